"""Whether a Gymnasium environment can be saved by copying it, found by a trial."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from trpolab.simulators.gym_adapter.environments import layers
from trpolab.simulators.gym_adapter.spaces import Encoding

# Packages whose objects keep their state in C: a copy in Python does not carry it.
_NATIVE = ("mujoco", "ale_py", "Box2D")
_WARM_UP, _REPLAY = 5, 25  # steps


def copy_problem(factory: Callable[[], gymnasium.Env], encoding: Encoding) -> str:
    """Why a deep copy of the environment cannot stand for its future, or "" if it replays bit for bit.

    Makes an environment of its own, steps it with random actions, copies it, and demands that the copy gives the same
    observations, rewards and ends as the original, also after another copy went elsewhere.
    """
    env = factory()
    try:
        name = type(env.unwrapped).__name__
        native = native_part(env)
        if native:
            return f"{name} holds {native}, whose state a copy in Python does not carry"
        encoding.action_space.seed(0)
        actions = [encoding.act(encoding.action_space.sample()) for _ in range(_REPLAY)]
        others = [encoding.act(encoding.action_space.sample()) for _ in range(_REPLAY)]
        try:
            env.reset(seed=1)
            if _ended(_trace(env, encoding, others[:_WARM_UP])):
                env.reset(seed=1)
        except Exception as failure:  # noqa: BLE001  it may only fail now and then; training will show it in full
            return f"{name} failed when it was tried out ({type(failure).__name__}: {failure})"
        if sealed := [key for layer in layers(env) for key, value in vars(layer).items() if _is_sealed(value)]:
            return f"{name} draws noise from {sealed[0]}, which only a numpy.random.Generator could draw anew"
        try:
            saved, spoiled = copy.deepcopy(env), copy.deepcopy(env)
            first = _trace(env, encoding, actions)
            _trace(spoiled, encoding, others)
            second = _trace(copy.deepcopy(saved), encoding, actions)
            third = _trace(saved, encoding, actions)
        except Exception as failure:  # noqa: BLE001  a foreign environment's copy may fail in any way
            return f"{name} cannot be copied ({type(failure).__name__}: {failure})"
        if first != second or first != third:
            return f"a deep copy of {name} does not repeat its future: part of its state or noise lives elsewhere"
        return ""
    finally:
        env.close()


def native_part(env: gymnasium.Env) -> str:
    """An attribute of the environment, or of a wrapper, that belongs to a native package; or ""."""
    for layer in layers(env):
        for name, value in vars(layer).items():
            if type(value).__module__.split(".")[0] in _NATIVE:
                return f"{name} ({type(value).__module__}.{type(value).__qualname__})"
    return ""


def draw_anew(env: gymnasium.Env, seed: int) -> None:
    """Start every generator of the environment and its wrappers afresh: Gymnasium's own, and those in attributes."""
    env.np_random = np.random.default_rng(seed)
    own = [
        (layer, name)
        for layer in layers(env)
        for name, value in vars(layer).items()
        if isinstance(value, np.random.Generator) and name != "_np_random"
    ]
    for (layer, name), child in zip(own, np.random.SeedSequence(seed).spawn(len(own)), strict=True):
        setattr(layer, name, np.random.default_rng(child))


def _is_sealed(value: Any) -> bool:
    """Whether it is a random generator of the older kinds, `RandomState` or `random.Random`."""
    return isinstance(value, np.random.RandomState) or type(value).__module__ == "random"


def _trace(env: gymnasium.Env, encoding: Encoding, actions: list[Any]) -> list[tuple[bytes, float, bool, bool]]:
    """Observations (as bytes, so that NaN equals itself), rewards and ends, up to the end of the episode."""
    trace = []
    for action in actions:
        obs, reward, terminated, truncated, _ = env.step(action)
        trace.append((encoding.observe(obs).tobytes(), float(reward), bool(terminated), bool(truncated)))
        if terminated or truncated:
            break
    return trace


def _ended(trace: list[tuple[bytes, float, bool, bool]]) -> bool:
    return trace[-1][2] or trace[-1][3]

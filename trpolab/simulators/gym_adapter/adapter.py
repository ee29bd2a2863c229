"""Any Gymnasium environment, by id or from a callable: slots are environments that step in turn, in this process."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np

from trpolab.simulators.base import (
    Snapshot,
    SnapshotUnsupported,
    Task,
    TaskSimulator,
    Transition,
    UnknownTask,
    refuse_misfit,
)
from trpolab.simulators.gym_adapter.copies import copy_problem, draw_anew, layers
from trpolab.simulators.gym_adapter.replay import Past
from trpolab.simulators.gym_adapter.spaces import encode

Factory = Callable[[], gymnasium.Env]


def describe(factory: Factory, name: str | None = None) -> Task:
    """The task of the factory's environments; one of them is tried out to see whether it can be restored.

    Raises UnknownTask where the factory makes no environment, and UnsupportedSpace for spaces that no policy here can
    take.
    """
    env = factory()
    if not isinstance(env, gymnasium.Env):
        raise UnknownTask(f"the callable returned {type(env).__name__}, which is not a gymnasium.Env")
    try:
        encoding, own = encode(env), (env.observation_space, env.action_space)
        limit = _time_limit(env)
        known = name or (env.spec.id if env.spec is not None else type(env.unwrapped).__name__)
    finally:
        env.close()
    problem = copy_problem(factory, encoding)
    spaces = encoding.observation_space, encoding.action_space
    return Task(known, *spaces, limit, not problem, problem, own, python=True)


class GymnasiumSimulator(TaskSimulator):
    """W environments as slots (see `Simulator`). A snapshot holds deep copies, where these were seen to replay."""

    def __init__(self, about: Task, factory: Factory, slots: int):
        super().__init__(about, slots)
        self._envs = [factory() for _ in range(slots)]
        self._encoding = encode(self._envs[0])
        self._obs = np.zeros((slots, *(self.observation_space.shape or ())), self.observation_space.dtype)
        self._past = Past(slots)

    def reset(self, slots: np.ndarray | None, seeds: np.ndarray) -> np.ndarray:
        """Start new episodes from the environments' own seeds. Obs [n, *O]."""
        ids = self._ids(slots)
        for slot, seed in zip(ids, seeds, strict=True):
            with _naming(slot):
                obs, _ = self._envs[slot].reset(seed=int(seed))
            self._obs[slot] = self._encoding.observe(obs)
            self._past.begin(slot, int(seed))
        return self._obs[ids]

    def step(self, slots: np.ndarray | None, actions: np.ndarray) -> Transition:
        """Advance by one decision; whole-number actions [n] or [n, factors] count from 0."""
        ids = self._ids(slots)
        refuse_misfit(self.action_space, actions, len(ids))
        reward, flags = np.empty(len(ids)), np.empty((3, len(ids)), bool)
        for n, (slot, action) in enumerate(zip(ids, actions, strict=True)):
            env = self._envs[slot]
            with _naming(slot):
                obs, reward[n], terminated, truncated, _ = env.step(self._encoding.act(action))
            self._obs[slot] = self._encoding.observe(obs)
            self._past.add(slot, action)
            unstable = was_reset_by_mujoco(env)
            flags[:, n] = terminated and not unstable, truncated and not unstable, unstable
        return Transition(self._obs[ids], reward, *flags)

    def snapshot(self, slots: np.ndarray | None) -> Snapshot:
        """Deep copies of the environments, wrappers and noise included, and their observations."""
        self._demand_restore()
        ids = self._ids(slots)
        copies = np.empty(len(ids), object)
        copies[:] = [copy.deepcopy(self._envs[slot]) for slot in ids]
        return Snapshot({"env": copies, "obs": self._obs[ids]})

    def restore(self, slots: np.ndarray | None, snapshot: Snapshot, seeds: np.ndarray | None = None) -> np.ndarray:
        """Put copies of the saved environments into the slots.

        With seeds, Gymnasium's `np_random` and every generator in an attribute start anew; noise that an environment
        keeps deeper inside goes on as saved.
        """
        self._demand_restore()
        ids = self._ids(slots)
        for n, (slot, saved) in enumerate(zip(ids, snapshot.parts["env"], strict=True)):
            self._envs[slot].close()
            self._envs[slot] = copy.deepcopy(saved)
            self._past.forget(slot)
            if seeds is not None:
                draw_anew(self._envs[slot], int(seeds[n]))
        self._obs[ids] = snapshot.parts["obs"]
        return self._obs[ids]

    def past(self) -> dict[str, np.ndarray]:
        """Each slot's seed, its actions since, and what it observes now."""
        return {**self._past.arrays(), "obs": self._obs.copy()}

    def relive(self, past: dict[str, np.ndarray]) -> None:
        """Reset every slot with its seed and repeat its actions; what it then observes must be what it observed."""
        if len(past["seed"]) != self.width:
            raise SnapshotUnsupported(f"the past of {len(past['seed'])} slots cannot be relived in {self.width}")
        for slot, actions in enumerate(np.split(past["actions"], np.cumsum(past["steps"])[:-1])):
            only = np.array([slot])
            self.reset(only, past["seed"][only])
            for action in actions:
                self.step(only, action[None])
            if self._obs[slot].tobytes() != past["obs"][slot].tobytes():
                raise SnapshotUnsupported(
                    f"slot {slot}: {self.task} does not come to the same state from the same seed and actions"
                )

    def close(self) -> None:
        """Close every environment."""
        for env in self._envs:
            env.close()


@contextmanager
def _naming(slot: int) -> Iterator[None]:
    """Whatever the environment raises passes through, with a note that says in which slot."""
    try:
        yield
    except Exception as error:
        error.add_note(f"raised by the environment in slot {slot}")
        raise


def was_reset_by_mujoco(env: gymnasium.Env) -> bool:
    """Whether MuJoCo has reset the environment's simulation in mid-step. Clears the warnings that tell so."""
    mujoco: Any = sys.modules.get("mujoco")
    data = getattr(env.unwrapped, "data", None)
    if mujoco is None or not isinstance(data, mujoco.MjData):
        return False
    resetting = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADQACC) + 1)
    bad = bool(data.warning.number[resetting].any())
    data.warning.number[resetting] = 0
    return bad


def _time_limit(env: gymnasium.Env) -> int | None:
    """Steps after which the environment cuts an episode, or None where it doesn't say."""
    for layer in layers(env):
        if isinstance(layer, gymnasium.wrappers.TimeLimit):
            return int(layer._max_episode_steps)
    return env.spec.max_episode_steps if env.spec is not None else None

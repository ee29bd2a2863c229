"""What a Gymnasium environment is made of, so that a run is not resumed on another one of the same name."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from trpolab.simulators.base import CALLABLE
from trpolab.simulators.gym_adapter.environments import layers

LONGEST = 200  # characters of a value that are kept as they are
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def fingerprint(env: gymnasium.Env, factory: Callable[[], gymnasium.Env] | None) -> dict[str, str]:
    """A text for each part of a new environment, the same in every process: its spaces, its class with the arguments of
    its id, its wrappers with theirs, and its MuJoCo model; and the callable's name, if a `factory` made it.
    """
    *wrappers, inside = layers(env)
    spec, pickled = inside.spec, getattr(inside, "_ezpickle_args", ())
    given = {**({"args": pickled} if pickled else {}), **getattr(inside, "_ezpickle_kwargs", {})}
    named = _called(inside, given if spec is None else {**given, "id": spec.id, **spec.kwargs})
    wrapped = ", ".join(_called(each, getattr(each, "_saved_kwargs", {})) for each in wrappers)
    spaces = {"observation space": _told(env.observation_space), "action space": _told(env.action_space)}
    parts = {**spaces, "environment": named, "wrappers": wrapped}
    every = [value for layer in layers(env) for value in vars(layer).values()]
    if models := [value for value in every if type(value).__name__ == "MjModel"]:
        parts["model"] = ", ".join(map(_model, models))
    return parts if factory is None else {**parts, CALLABLE: getattr(factory, "__qualname__", type(factory).__name__)}


def _called(part: Any, arguments: Mapping[str, Any]) -> str:
    given = (f"{name}={_told(value)}" for name, value in arguments.items())
    return f"{type(part).__name__}({', '.join(given)})"


def _told(value: Any) -> str:
    """A value as a text that is the same in every process; its type's name where it has none."""
    try:
        text = _ADDRESS.sub("", _text(value))
    except Exception:  # noqa: BLE001  what a foreign object says of itself may fail in any way
        return type(value).__name__
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... {_digest(text.encode())}"


def _text(value: Any) -> str:
    """Of a function its name, and the names and constants in its code; of a path its last part."""
    if isinstance(value, functools.partial):
        value = (value.func, *value.args, value.keywords)
    if isinstance(value, tuple | list | set | frozenset):
        told = map(_told, value)
        return f"({', '.join(told if isinstance(value, tuple | list) else sorted(told))})"
    if (code := getattr(value, "__code__", None)) is not None:
        known = inspect.getclosurevars(value)
        outside = (*known.nonlocals.values(), *known.globals.values(), *(value.__defaults__ or ()))
        plain = [_told(each) for each in (*code.co_consts, *outside) if isinstance(each, bool | int | float | str)]
        return f"{value.__name__}<{', '.join((*code.co_names, *plain))}>"
    if isinstance(value, str | Path) and "/" in str(value):  # the same file may lie elsewhere
        return Path(value).name
    if isinstance(value, Box):
        return f"{value} {_digest(value.low.tobytes() + value.high.tobytes())}"
    return (
        f"{value.dtype}{list(value.shape)} {_digest(value.tobytes())}" if isinstance(value, np.ndarray) else repr(value)
    )


def _model(model: Any) -> str:
    """A MuJoCo model by its compiled bytes."""
    mujoco: Any = sys.modules["mujoco"]
    compiled = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, compiled)
    return _digest(compiled.tobytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]

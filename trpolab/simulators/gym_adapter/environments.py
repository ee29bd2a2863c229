"""Environments from a factory: each a new one, none of whose parts is another's."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gymnasium

from trpolab.settings import PACKAGE, PlainError
from trpolab.simulators.base import UnknownTask

Factory = Callable[[], gymnasium.Env]


def make_environments(factory: Factory, count: int, watch: Callable[[], None] | None = None) -> list[gymnasium.Env]:
    """So many environments. Raises UnknownTask where the factory makes none, or gives one, or a part of it, twice.

    `watch` is called before each of them, and may raise to end this. If it fails, those made so far are closed; except
    where one came twice, for then somebody else has it.
    """
    made: list[gymnasium.Env] = []
    seen: set[int] = set()
    try:
        for _ in range(count):
            if watch is not None:
                watch()
            env = _made_by(factory)
            if not isinstance(env, gymnasium.Env):
                several = "; of a vector environment give a single one: `slots` says how many there are"
                how = several if isinstance(env, gymnasium.vector.VectorEnv) else ""
                raise UnknownTask(f"the callable returned {type(env).__name__}, which is not a gymnasium.Env{how}")
            own = {id(part): part for part in parts(env)}
            if shared := [own[key] for key in own if key in seen]:
                made = []
                raise UnknownTask(_given_twice(env, shared))
            seen |= set(own)
            made.append(env)
    except BaseException:
        close(made)
        raise
    return made


def _made_by(factory: Factory) -> Any:
    try:
        return factory()
    except (PlainError, ImportError):
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f" ({last.filename}, line {last.lineno})"
        if last.filename.startswith(PACKAGE):  # the call itself failed
            name = getattr(factory, "__name__", "MyEnv")
            where = f"; it is called without arguments: give a function that gives it some, as `lambda: {name}(...)`"
        why = f"{type(error).__name__}: {' '.join(str(error).split())}{where}"
        raise UnknownTask(f"the environment could not be made: {why}") from error


def close(envs: list[gymnasium.Env]) -> None:
    """Close every environment. One that fails in it is told of by a warning: nothing is left to be done with it."""
    for env in envs:
        try:
            env.close()
        except Exception as error:  # noqa: BLE001  a foreign environment may fail in any way
            warnings.warn(f"{type(env.unwrapped).__name__}.close: {type(error).__name__}: {error}", stacklevel=2)


def layers(env: gymnasium.Env) -> Iterator[Any]:
    """The environment's wrappers, from the outermost, then the environment itself."""
    while isinstance(env, gymnasium.Wrapper):
        yield env
        env = env.env
    yield env


def parts(env: gymnasium.Env) -> Iterator[Any]:
    """The environment, and every environment that one of these holds in an attribute or in a collection there.

    Those of other packages, with a `reset` and a `step` of their own, are among them.
    """
    met, waiting = set[int](), list[Any]([env])
    while waiting:
        part = waiting.pop()
        if id(part) in met:
            continue
        met.add(id(part))
        yield part
        for value in getattr(part, "__dict__", {}).values():
            held = value.values() if isinstance(value, Mapping) else value
            held = held if isinstance(value, Mapping | list | tuple | set) else (value,)
            waiting += [each for each in held if hasattr(type(each), "reset") and hasattr(type(each), "step")]


def _given_twice(env: gymnasium.Env, shared: list[Any]) -> str:
    """What is said of a factory that gave an environment that it had given before, or one with a part of that one."""
    known = any(part is env for part in shared)
    again = "the same environment twice" if known else f"two environments that share one {type(shared[0]).__name__}"
    made = f"{type(env.unwrapped).__name__}(...)" if env.spec is None else f"gymnasium.make({env.spec.id!r})"
    return f"the callable returned {again}: every call must make a new one, as `lambda: {made}` does"

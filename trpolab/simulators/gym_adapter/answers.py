"""What environments answer, checked before anything is made of it: nothing is broadcast, rounded or guessed."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

import gymnasium
import numpy as np

from trpolab.simulators.base import AnswerError
from trpolab.simulators.gym_adapter.environments import layers

Observe = Callable[[Any], np.ndarray]  # an environment's observation -> [*O]; raises AnswerError without a name
NUMBERS = frozenset({float, int, bool, np.float64, np.float32, np.float16, np.int64, np.int32, np.bool_})
FLAGS = frozenset({bool, np.bool_})
WEIGHED = (
    "; gymnasium.wrappers.TransformReward(env, lambda reward: float(weights @ reward)), or mo-gymnasium's "
    "LinearReward, makes one of several"
)


def of_reset(answer: Any, observe: Observe, env: gymnasium.Env, slot: int | None = None) -> np.ndarray:
    """The observation [*O] of what `reset` returned. Raises AnswerError."""
    try:
        if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[1], Mapping):
            raise AnswerError(f"returned {in_words(answer)}: must be (observation, info), where info is a dict")
        return observe(answer[0])
    except AnswerError as error:
        raise AnswerError(f"{_called(env, 'reset', slot)} {error}") from None


def of_step(
    answer: Any, observe: Observe, env: gymnasium.Env, slot: int | None = None
) -> tuple[np.ndarray, float, bool, bool]:
    """Observation [*O], reward, terminated and truncated of what `step` returned. Raises AnswerError."""
    try:
        if not isinstance(answer, tuple) or len(answer) != 5:
            raise AnswerError(f"returned {in_words(answer)}: {_five(answer)}")
        obs, reward, terminated, truncated, _ = answer
        if type(reward) not in NUMBERS:
            reward = _number(reward)
        if type(terminated) not in FLAGS:
            terminated = _flag("terminated", terminated)
        if type(truncated) not in FLAGS:
            truncated = _flag("truncated", truncated)
        return observe(obs), float(reward), terminated, truncated
    except AnswerError as error:
        raise AnswerError(f"{_called(env, 'step', slot)} {error}") from None
    except OverflowError:
        called = _called(env, "step", slot)
        raise AnswerError(f"{called} returned {in_words(reward)} as the reward: no float can hold it") from None


def refuse_old_reset(env: gymnasium.Env) -> None:
    """Raise AnswerError if the environment, or a wrapper of it, has a `reset` that takes no seed."""
    for layer in layers(env):
        try:
            inspect.signature(layer.reset).bind(seed=0)
        except TypeError:
            raise AnswerError(
                f"{type(layer).__name__}.reset takes no seed: must be reset(self, *, seed=None, options=None)"
            ) from None
        except ValueError:  # a function of C does not tell
            continue


def as_array(value: Any) -> np.ndarray:
    """What came as an array; of what is none, an array that fits nothing."""
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError):  # ragged lists, tensors that need a gradient
        return np.asarray(None)


def in_words(value: Any) -> str:
    """What came, for a message: kind and shape of an array, the types in a tuple, else the value, shortened."""
    if isinstance(value, tuple):
        return f"{len(value)} values ({', '.join(type(part).__name__ for part in value)})"
    if isinstance(value, np.ndarray | list):
        array = as_array(value)
        if isinstance(value, list) and array.dtype == object:  # rows of different lengths
            return f"the list {reprlib.repr(value)}"
        numbers = f", numbers {array.min()} to {array.max()}" if array.dtype.kind in "iu" and array.size else ""
        return f"an array of {array.dtype}, shape {list(array.shape)}{numbers}"
    return "None" if value is None else f"{type(value).__name__} {reprlib.repr(value)}{_no_array(value)}"


def _no_array(value: Any) -> str:
    """Why NumPy can't read it, where it says so: of a tensor what has to be done first."""
    try:
        np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as why:
        return f" ({why})"
    return ""


def _called(env: gymnasium.Env, method: str, slot: int | None) -> str:
    return f"{type(env.unwrapped).__name__}.{method}" + ("" if slot is None else f" (slot {slot})")


def _five(answer: Any) -> str:
    wanted = "must be (observation, reward, terminated, truncated, info)"
    if isinstance(answer, tuple) and len(answer) == 4:
        return f"{wanted}; of the older (observation, reward, done, info), done is either terminated or truncated"
    return wanted


def _number(value: Any) -> float:
    """A reward as one number, where it is one. Raises AnswerError."""
    array = as_array(value)
    one = array.reshape(())[()] if array.size == 1 else None
    if isinstance(one, Real | Decimal | np.bool_):
        return float(one)
    how = WEIGHED if array.size > 1 else ""
    raise AnswerError(f"returned {in_words(value)} as the reward: must be one number{how}")


def _flag(name: str, value: Any) -> bool:
    """Whether an episode ended, where that is said by one truth value. Raises AnswerError."""
    array = as_array(value)
    if array.size == 1 and array.dtype.kind in "biu" and array.reshape(())[()] in (0, 1):
        return bool(array.reshape(())[()])
    raise AnswerError(f"returned {in_words(value)} as {name}: must be True or False")

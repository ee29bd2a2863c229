"""Gymnasium's spaces as policies here take them: boxes and one-hot observations, boxes and whole-number actions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import Env, Space
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple

from trpolab.simulators.base import AnswerError, UnsupportedSpace
from trpolab.simulators.gym_adapter.answers import as_array, in_words

MOST = 2**14  # numbers of a one-hot observation, and alternatives of an action: each takes a column in every array
TRIED = 100  # actions by which a space of the user's own class is tried
TRANSFORMED = (
    "wrap the environment in gymnasium.wrappers.TransformAction(env, function, space), whose function turns actions of "
    "a Box of floats, Discrete or flat MultiDiscrete into the environment's own"
)


@dataclass(frozen=True)
class Encoding:
    """The spaces that a simulator shows, and how its arrays become the environment's own values."""

    own_spaces: tuple[Space, Space]  # of the environment itself
    observation_space: Space
    action_space: Space
    observe: Callable[[Any], np.ndarray]  # the environment's observation -> [*O]; raises AnswerError
    act: Callable[[Any], Any]  # actions [n, *A] or [*A] -> the same within the environment's own action space


def encode(env: Env) -> Encoding:
    """How to talk to this environment. Raises UnsupportedSpace naming every space that cannot be taken.

    The spaces are copies: nothing is seeded or drawn from the environment's own.
    """
    observed, acted = copy.deepcopy([_space_of(env, name) for name in ("observation_space", "action_space")])
    problems = [*_observation_problems(observed), *_action_problems(acted)]
    if problems:
        raise UnsupportedSpace("; ".join(problems))
    shown, act = _shown(observed, acted), _actor(acted)
    if type(acted).contains not in (Box.contains, Discrete.contains, MultiDiscrete.contains):
        shown[1].seed(0)
        if not all(acted.contains(act(shown[1].sample())) for _ in range(TRIED)):
            only = f"the action space {in_short(acted)} contains only some of the actions within its bounds"
            raise UnsupportedSpace(f"{only}: {TRANSFORMED}")
    return Encoding((observed, acted), *shown, _observer(observed), act)


def _space_of(env: Env, name: str) -> Any:
    try:
        return getattr(env, name, None)
    except Exception as error:
        raised = f"{type(error).__name__}: {' '.join(str(error).split())}"
        where = f"{type(env.unwrapped).__name__}.{name}"
        raise UnsupportedSpace(f"{where} raised {raised}; spaces must be known before the first reset") from error


def in_short(space: Any) -> str:
    """A space on one line, without the middle of long bounds."""
    text = " ".join(str(space).split())
    return text if len(text) <= 160 else f"{text[:100]} ... {text[-50:]}"


def _observation_problems(space: Any) -> list[str]:
    """Why no policy here can take observations of this space, and what makes them such that one can."""
    named = f"the observation space {in_short(space)}"
    if not isinstance(space, Space):
        return [f"{named} is no gymnasium.spaces.Space"]
    if isinstance(space, Box) and space.dtype.kind in "biuf":
        return [f"{named} holds no number"] if 0 in space.shape else []
    if isinstance(space, Discrete):
        return [] if space.n <= MOST else [f"{named} has more than {MOST:,} states: describe them by a Box of numbers"]
    wrapper = "FlattenObservation(env)" if _flattens(space) else "TransformObservation(env, function, box)"
    wrapped = f"wrap the environment in gymnasium.wrappers.{wrapper}{_alone(space)}"
    return [f"{named} is neither a Box nor Discrete: {wrapped}"]


def _action_problems(space: Any) -> list[str]:
    """The same for actions."""
    named = f"the action space {in_short(space)}"
    if not isinstance(space, Space):
        return [f"{named} is no gymnasium.spaces.Space"]
    if isinstance(space, Box) and space.dtype in (np.float16, np.float32, np.float64):
        if not (space.low <= space.high).all():  # bounds may be set later, and be NaN
            return [f"{named} contains nothing: its lower bounds must not be above its upper ones"]
        return [f"{named} holds no number"] if 0 in space.shape else []
    if isinstance(space, Discrete) or (isinstance(space, MultiDiscrete) and space.nvec.ndim == 1):
        count = int(np.sum(space.n if isinstance(space, Discrete) else space.nvec, dtype=object))
        return (
            [] if count <= MOST else [f"{named} has more than {MOST:,} alternatives, the most a policy chooses among"]
        )
    return [f"{named} is no Box of floats, Discrete or flat MultiDiscrete: {TRANSFORMED}"]


def _alone(space: Any) -> str:
    """How a picture among other things is seen as one; flattened it would be plain numbers."""
    from trpolab.policies.frames import height_axis, looks_like_pictures  # loads torch, which listing tasks does not

    held = space.items() if isinstance(space, Dict) else enumerate(space) if isinstance(space, Tuple) else ()
    pictures = [key for key, part in held if height_axis(part) is not None or looks_like_pictures(part)]
    if not pictures:
        return ""
    key = f"[{pictures[0]!r}]"
    alone = f"TransformObservation(env, lambda obs: obs{key}, env.observation_space{key})"
    return f", which makes plain numbers of pixels, or in {alone}, whose policy sees that picture alone"


def _flattens(space: Space) -> bool:
    try:
        return space.is_np_flattenable
    except NotImplementedError:  # a space of the user's own
        return False


def _shown(observed: Any, acted: Any) -> tuple[Space, Space]:
    """What a simulator shows: floats of 64 bits, states one-hot, and whole-number actions that count from 0."""
    if isinstance(observed, Box) and observed.dtype.kind == "f":  # environments often give more digits than declared
        with np.errstate(over="ignore"):  # Gymnasium looks whether bounds fit into float32
            observed = Box(observed.low, observed.high, dtype=np.float64)
    if isinstance(observed, Discrete):
        observed = Box(0.0, 1.0, (int(observed.n),), np.float32)
    if isinstance(acted, Discrete):
        acted = Discrete(int(acted.n))
    elif isinstance(acted, MultiDiscrete):
        acted = MultiDiscrete(acted.nvec)
    return observed, acted


def _observer(space: Any) -> Callable[[Any], np.ndarray]:
    shape, declared = space.shape, space.dtype
    dtype = np.dtype(np.float64) if declared.kind == "f" else declared

    def refuse(value: Any) -> AnswerError:
        kind = "floats" if dtype.kind == "f" else f"whole numbers of {dtype}"
        wanted = f"{kind} of shape {list(shape)}, as" if isinstance(space, Box) else "one whole number of"
        return AnswerError(f"returned {in_words(value)} as the observation: must be {wanted} {in_short(space)}")

    exact = (declared, dtype)

    def observe_box(value: Any) -> np.ndarray:
        if type(value) is np.ndarray and value.dtype in exact and value.shape == shape:
            return value
        array = as_array(value)
        if array.shape != shape or not _holds(dtype, array):
            raise refuse(value)
        with np.errstate(over="ignore"):  # what becomes infinite is found, and named, where numbers are looked at
            return array.astype(dtype)

    def observe_state(value: Any) -> np.ndarray:
        array = as_array(value)
        if array.shape != () or array.dtype.kind not in "biu" or not 0 <= (place := int(array) - start) < states:
            raise refuse(value)
        row = np.zeros(states, np.float32)
        row[place] = 1
        return row

    if isinstance(space, Box):
        return observe_box
    states, start = int(space.n), int(space.start)
    return observe_state


def _holds(dtype: np.dtype, array: np.ndarray) -> bool:
    """Whether numbers of this dtype can stand for the array: floats for any, whole numbers for themselves only."""
    if dtype.kind == "f":
        return array.dtype.kind in "biuf"
    return array.dtype.kind in "biu" and bool((array.astype(dtype) == array).all())


def _actor(space: Any) -> Callable[[Any], Any]:
    if isinstance(space, Box):
        from trpolab.numerics.arrays import clipped, finite_bounds  # loads torch, which listing tasks does not

        low, high = finite_bounds(space.low, space.high)

        def within(actions: Any) -> Any:
            inside = np.asarray(clipped(actions, low, high))
            return inside if space.shape or not inside.ndim else [np.asarray(action) for action in inside]

        return within
    dtype = space.dtype
    start = np.asarray(space.start, dtype)
    return lambda actions: np.asarray(actions).astype(dtype) + start  # what overflows on the way comes back

"""A generator of odd environments. Each writes down all that it is given and all that it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

INF = np.inf
FLOATS = (np.float16, np.float32, np.float64)


def _array_bounds(dtype: Any) -> Box:
    return Box(np.array([-INF, -0.1, 0.3], dtype), np.array([0.7, INF, 0.3], dtype), dtype=dtype)


class Shares(Box):
    """They sum to one."""

    def contains(self, x: Any) -> bool:
        return super().contains(x) and abs(float(np.sum(x)) - 1) < 1e-3


# Spaces that can be taken, by name; the pictures among them are at least as large as two convolutions need.
OBSERVATIONS: dict[str, Callable[[], spaces.Space]] = {
    **{f"box {dtype.__name__}": lambda dtype=dtype: Box(-1, 1, (3,), dtype) for dtype in FLOATS},
    "unbounded": lambda: Box(-INF, INF, (4,)),
    "half-open": lambda: _array_bounds(np.float32),
    "far": lambda: Box(-1e300, 1e300, (2,), np.float64),
    "scalar": lambda: Box(-1, 1, ()),
    "matrix": lambda: Box(-1, 1, (2, 3)),
    "one number": lambda: Box(0, 5, (1,)),
    "int64": lambda: Box(-5, 5, (3,), np.int64),
    "int8": lambda: Box(-128, 127, (2,), np.int8),
    "bool": lambda: Box(0, 1, (4,), np.bool_),
    "memory": lambda: Box(0, 255, (16,), np.uint8),
    "memories": lambda: Box(0, 255, (4, 16), np.uint8),
    "board": lambda: Box(0, 2, (3, 4, 4), np.uint8),
    "states": lambda: Discrete(5),
    "late states": lambda: Discrete(4, start=-7),
    "small states": lambda: Discrete(4, start=120, dtype=np.int8),
    "one state": lambda: Discrete(1),
    "channels last": lambda: Box(0, 255, (14, 12, 3), np.uint8),
    "channels first": lambda: Box(0, 255, (3, 12, 14), np.uint8),
    "grey": lambda: Box(0, 255, (32, 34), np.uint8),
    "stack": lambda: Box(0, 255, (4, 12, 12), np.uint8),
    "stack of colours": lambda: Box(0, 255, (2, 12, 13, 3), np.uint8),
}
REFUSED_OBSERVATIONS: dict[str, tuple[Callable[[], spaces.Space], str]] = {
    "dict": (lambda: spaces.Dict(a=Box(-1, 1, (2,)), b=Discrete(3)), "FlattenObservation"),
    "tuple": (lambda: spaces.Tuple((Discrete(3), Box(-1, 1, (2,)))), "FlattenObservation"),
    "text": (lambda: spaces.Text(5), "FlattenObservation"),
    "bits": (lambda: MultiBinary(4), "FlattenObservation"),
    "states of factors": (lambda: MultiDiscrete([3, 2]), "FlattenObservation"),
    "either": (lambda: spaces.OneOf((Discrete(3), Box(-1, 1, (2,)))), "FlattenObservation"),
    "sequence": (lambda: spaces.Sequence(Box(-1, 1, (2,))), "TransformObservation"),
    "graph": (lambda: spaces.Graph(Box(-1, 1, (2,)), None), "TransformObservation"),
    "nothing": (lambda: Box(-1, 1, (0,)), "holds no number"),
    "tiny picture": (lambda: Box(0, 255, (7, 7, 3), np.uint8), "7 x 7 pixels are too small .* need 10 x 10"),
    "picture in floats": (lambda: Box(0, 1, (12, 14, 3)), r"look like pictures.*TransformObservation.*'mlp'"),
    "large planes": (lambda: Box(-INF, INF, (2, 32, 33)), r"look like pictures.*TransformObservation.*'mlp'"),
    "no space": (lambda: None, "is no gymnasium.spaces.Space"),  # type: ignore[dict-item]
    "many states": (lambda: Discrete(10**6), "more than 16,384 states"),
}
ACTIONS: dict[str, Callable[[], spaces.Space]] = {
    **{f"box {dtype.__name__}": lambda dtype=dtype: Box(-0.1, 0.1, (2,), dtype) for dtype in FLOATS},
    "half-open": lambda: _array_bounds(np.float64),
    "half-open float16": lambda: _array_bounds(np.float16),
    "unbounded": lambda: Box(-INF, INF, (1,)),
    "far away": lambda: Box(5, 35, (1,)),
    "far": lambda: Box(-1e300, 1e300, (2,), np.float64),
    "scalar": lambda: Box(-0.3, 0.1, (), np.float64),
    "matrix": lambda: Box(-1, 1, (2, 2)),
    "discrete": lambda: Discrete(3),
    "late": lambda: Discrete(3, start=4),
    "small": lambda: Discrete(5, start=-3, dtype=np.int8),
    "unsigned": lambda: Discrete(4, start=250, dtype=np.uint8),
    "one": lambda: Discrete(1),
    "factors": lambda: MultiDiscrete([3, 2]),
    "late factors": lambda: MultiDiscrete([3, 2], start=[-1, 7], dtype=np.int32),
    "small factors": lambda: MultiDiscrete([200, 2], start=[-100, 0], dtype=np.int16),
}
REFUSED_ACTIONS: dict[str, tuple[Callable[[], spaces.Space], str]] = {
    "ints": (lambda: Box(0, 3, (2,), np.int64), "TransformAction"),
    "bits": (lambda: MultiBinary(3), "TransformAction"),
    "dict": (lambda: spaces.Dict(a=Discrete(2)), "TransformAction"),
    "tuple": (lambda: spaces.Tuple((Discrete(2), Discrete(3))), "TransformAction"),
    "text": (lambda: spaces.Text(3), "TransformAction"),
    "table": (lambda: MultiDiscrete([[3, 2], [2, 2]]), "TransformAction"),
    "nothing": (lambda: Box(-1, 1, (0,)), "holds no number"),
    "many": (lambda: Discrete(10**6), "more than 16,384"),
    "shares": (lambda: Shares(0, 1, (3,)), "contains only some of the actions within its bounds.*TransformAction"),
}

# What may be answered in more than one way.
REWARDS: dict[str, Callable[[float], Any]] = {
    **{kind.__name__: kind for kind in (float, np.float64, np.float32, np.float16, Fraction)},
    "int": round,
    "bool": lambda reward: reward > 0,
    "numpy int": lambda reward: np.int32(round(reward)),
    "array": lambda reward: np.array([reward]),
    "array without axes": np.asarray,
    "list": lambda reward: [reward],
    "decimal": Decimal,
    "object": lambda reward: np.array(reward, object),
}
FLAGS: dict[str, Callable[[bool], Any]] = {
    "bool": bool,
    "numpy": np.bool_,
    "array": lambda flag: np.array([flag]),
    "array without axes": np.asarray,
    "int": int,
}

# What is wrong with an answer: how the right one is spoiled, or what comes in place of a part of it.
WRONG_RESETS: dict[str, Callable[[Any], Any]] = {
    "no info": lambda obs: obs,
    "info is None": lambda obs: (obs, None),
    "three": lambda obs: (obs, {}, {}),
    "None": lambda obs: None,
    "list": lambda obs: [obs, {}],
}
WRONG_STEPS: dict[str, Callable[[tuple], Any]] = {
    "four values": lambda right: (right[0], right[1], right[2], right[4]),
    "six values": lambda right: (*right, None),
    "None": lambda right: None,
    "obs alone": lambda right: right[0],
    "dict": lambda right: {"obs": right[0]},
}
WRONG_REWARDS: dict[str, Any] = {
    "two": np.array([1.0, 2.0]),
    "list of two": [1.0, 2.0],
    "None": None,
    "text": "1.0",
    "complex": 1j,
    "nothing": np.zeros(0),
    "table": {"task": 1.0},
    "huge": 10**400,
}
WRONG_FLAGS: dict[str, Any] = {
    "None": None,
    "text": "False",
    "two": np.array([True, False]),
    "half": 0.5,
    "table": {},
    "not a number": np.nan,
}
WRONG_OBSERVATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "another axis": lambda obs, space: np.asarray(obs)[None],
    "None": lambda obs, space: None,
    "text": lambda obs, space: "here",
    "table": lambda obs, space: {"obs": obs},
    "complex": lambda obs, space: np.asarray(obs) * 1j,
    "ragged": lambda obs, space: [[1.0], [1.0, 2.0]],
    "beyond": lambda obs, space: _beyond(space),
    "one for all": lambda obs, space: np.zeros((1,) * (1 + (space.shape == (1,))), space.dtype),
}


def _beyond(space: spaces.Space) -> Any:
    """Numbers that the space's kind of number can't hold, or more of them than it has."""
    if isinstance(space, Discrete):
        return int(space.start) + int(space.n)
    if space.dtype.kind == "f":
        return np.zeros((*space.shape, 2))
    return np.full(space.shape, 1000 if space.dtype.itemsize == 1 and space.dtype.kind != "b" else 0.5)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "reset": (WRONG_RESETS, r"Odd\.reset.* returned .*: must be \(observation, info\)"),
    "step": (WRONG_STEPS, r"Odd\.step.* returned .*: must be \(observation, reward, terminated, truncated, info\)"),
    "reward": (WRONG_REWARDS, r"Odd\.step.* returned .* as the reward: "),
    "flag": (WRONG_FLAGS, r"Odd\.step.* returned .* as (terminated|truncated): must be True or False"),
    "observation of reset": (WRONG_OBSERVATIONS, r"Odd\.reset.* returned .* as the observation: must be"),
    "observation of step": (WRONG_OBSERVATIONS, r"Odd\.step.* returned .* as the observation: must be"),
}


class Shared:
    """Copies of an environment share it."""

    def __deepcopy__(self, memo: dict) -> Shared:
        return self


@dataclass
class Record(Shared):
    """What one environment was given and what it answered."""

    seeds: list[Any] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)  # what was given to it that must not be
    obs: list[Any] = field(default_factory=list)  # before each step
    actions: list[Any] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    ages: list[int] = field(default_factory=list)  # steps before each step in its episode
    over: list[bool] = field(default_factory=list)


@dataclass
class Case(Shared):
    """One odd environment: everything that is odd about it, and what must come of it."""

    number: int
    observation: str = ""
    action: str = ""
    answer: str = "right"  # what is wrong with an answer
    when: int = 0  # the step of an environment's life at which the wrong answer comes
    reward: str = "float"
    flag: str = "bool"
    length: int = 5  # of an episode; 0: it never ends
    ending: str = "terminated"
    limit: int = 0  # of gymnasium.wrappers.TimeLimit; 0: none
    factory: str = "new"
    refusal: str = ""  # a pattern in the message, if it must be refused
    nonfinite: str = ""  # the field that is not finite, if that must be found
    records: list[Record] = field(default_factory=list)

    def __str__(self) -> str:
        told = (self.observation, self.action, self.answer, self.reward, self.flag, self.factory)
        return f"{self.number}: {', '.join(told)}, length {self.length}, limit {self.limit}"

    def spaces(self) -> tuple[Any, Any]:
        """The environment's spaces, made anew."""
        observed = {**OBSERVATIONS, **{name: make for name, (make, _) in REFUSED_OBSERVATIONS.items()}}
        acted = {**ACTIONS, **{name: make for name, (make, _) in REFUSED_ACTIONS.items()}}
        return observed[self.observation](), acted[self.action]()

    def make_factory(self) -> Callable[[], gymnasium.Env]:
        """What is given as the task."""

        def new() -> gymnasium.Env:
            env: gymnasium.Env = Odd(self)
            return gymnasium.wrappers.TimeLimit(env, self.limit) if self.limit else env

        one = new() if self.factory != "new" else None
        return {"new": new, "same": lambda: one, "around one": lambda: gymnasium.wrappers.TimeLimit(one, 9)}[
            self.factory
        ]


def make_case(number: int) -> Case:
    """The case of this number: some four in ten are to be refused, the others to be trained."""
    rng = np.random.default_rng(number)

    def one_of(names: Any) -> str:
        return str(rng.choice(sorted(names)))

    case = Case(number, one_of(OBSERVATIONS), one_of(ACTIONS), reward=one_of(REWARDS), flag=one_of(FLAGS))
    case.length, case.ending = int(rng.choice([0, 1, 2, 5, 30])), one_of(["terminated", "truncated"])
    case.limit, case.when = int(rng.choice([0, 0, 7])), int(rng.choice([0, 20]))
    what = rng.choice(["right", "space", "answer", "factory", "not finite"], p=[0.6, 0.12, 0.2, 0.04, 0.04])
    if what == "space" and rng.random() < 0.5:
        case.observation = one_of(REFUSED_OBSERVATIONS)
        case.refusal = REFUSED_OBSERVATIONS[case.observation][1]
    elif what == "space":
        case.action = one_of(REFUSED_ACTIONS)
        case.refusal = REFUSED_ACTIONS[case.action][1]
    elif what == "factory":
        case.factory, case.refusal = one_of(["same", "around one"]), "every call must make a new one"
    elif what == "not finite":
        case.nonfinite, case.reward = one_of(["reward", "observation"]), "float"
        case.observation = one_of(["box float16", "box float32", "box float64", "unbounded"])
    elif what == "answer":
        where = one_of(WRONG)
        case.answer, case.refusal = f"{where}: {one_of(WRONG[where][0])}", WRONG[where][1]
        case.limit = 0 if case.when else case.limit  # a wrapper would fail before we see what came
        case.length = min(case.length or 2, 5)  # so that there are several resets
    return case


class Odd(gymnasium.Env):
    """The environment of a case."""

    def __init__(self, case: Case):
        self.case, self.record, self.closed = case, Record(), False
        self.observation_space, self.action_space = case.spaces()
        self._age = self._steps = self._resets = 0
        case.records.append(self.record)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        self.record.seeds.append(seed)
        if type(seed) is not int or not 0 <= seed < 2**31 or options is not None:
            self.record.misfits.append(f"seed {seed!r}, options {options!r}")
        self._rng, self._age, self._now = np.random.default_rng(seed), 0, self._resets >= self.case.when // 10
        self._resets += 1
        obs, (where, _, name) = self._observe(), self.case.answer.partition(": ")
        if self._now and where == "reset":
            return WRONG_RESETS[name](obs)
        return self._spoiled(obs, "observation of reset"), {}

    def step(self, action: Any) -> Any:
        self._check(action)
        case, now = self.case, self._steps >= self.case.when
        self._age, self._steps, self._now = self._age + 1, self._steps + 1, now
        over = {case.ending: self._age == case.length}
        reward = REWARDS[case.reward](float(self._rng.normal()))
        reward = np.nan if now and case.nonfinite == "reward" else reward
        flags = [FLAGS[case.flag](over.get(name, False)) for name in ("terminated", "truncated")]
        self._keep(action, reward, over[case.ending])
        where, _, name = case.answer.partition(": ")
        if now and where == "reward":
            reward = WRONG_REWARDS[name]
        if now and where == "flag":
            flags[case.number % 2] = WRONG_FLAGS[name]
        right = (self._spoiled(self._observe(), "observation of step"), reward, *flags, {})
        return WRONG_STEPS[name](right) if now and where == "step" else right

    def close(self) -> None:
        self.closed = True

    def _check(self, action: Any) -> None:
        space, misfits = self.action_space, self.record.misfits
        kind = np.integer if isinstance(space, Discrete) else np.ndarray
        if not isinstance(action, kind) or action.dtype != space.dtype or not space.contains(action):
            misfits.append(f"action {action!r} for {space}")
        elif not np.isfinite(action).all():
            misfits.append(f"action {action!r}")
        if space._np_random is not None:
            misfits.append("the action space was drawn from")

    def _keep(self, action: Any, reward: Any, over: bool) -> None:
        record = self.record
        record.obs.append(self._last)
        record.actions.append(np.array(action))
        record.rewards.append(float(np.asarray(reward, float).ravel()[0]))
        record.ages.append(self._age - 1)
        record.over.append(over or self._age == self.case.limit)

    def _observe(self) -> Any:
        """A random observation, sometimes in another form than the space's own."""
        space, rng = self.observation_space, self._rng
        if isinstance(space, Discrete):
            state = int(space.start) + int(rng.integers(space.n))
            self._last = np.eye(int(space.n))[state - int(space.start)]
            return space.dtype.type(state) if self.case.number % 2 else state
        if not isinstance(space, Box):
            return space.sample()
        if space.dtype.kind == "f":
            values = np.clip(rng.normal(size=space.shape), space.low, space.high).astype(space.dtype)
            values = np.full_like(values, np.nan) if self._now and self.case.nonfinite == "observation" else values
        else:
            low, high = int(space.low.min(initial=0)), int(space.high.max(initial=1))
            values = np.asarray(rng.integers(low, high, size=space.shape, endpoint=True)).astype(space.dtype)
        self._last = values.astype(np.float64)
        others = [values, values.tolist(), values.astype(np.int64 if space.dtype.kind in "iub" else np.float64)]
        return others[self.case.number % 3]

    def _spoiled(self, obs: Any, here: str) -> Any:
        where, _, name = self.case.answer.partition(": ")
        return WRONG_OBSERVATIONS[name](obs, self.observation_space) if self._now and where == here else obs

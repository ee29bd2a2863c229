"""What environments are given lies in their action spaces; spaces that can't be taken are refused with what helps."""

from __future__ import annotations

import re
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from gymnasium.wrappers import FlattenObservation, TransformAction, TransformObservation

import trpolab
from tests.simulators.gym_adapter.odd import ACTIONS
from trpolab.policies import make_policy
from trpolab.policies.config import PolicyConfig
from trpolab.settings import ConfigError
from trpolab.simulators import AnswerError, UnsupportedSpace, find_task, make
from trpolab.simulators.gym_adapter.spaces import encode


class Shown(gymnasium.Env):
    """Any spaces; it observes what its space samples."""

    def __init__(self, observation_space: Any = Discrete(2), action_space: Any = Discrete(2)):  # noqa: B008
        self.observation_space, self.action_space = observation_space, action_space
        self.given: list[Any] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        self.given.append(action)
        return self.observation_space.sample(), 0.0, False, False, {}


def is_own(space: spaces.Space, action: Any) -> bool:
    kind = np.integer if isinstance(space, Discrete) else np.ndarray
    return isinstance(action, kind) and action.dtype == space.dtype and space.contains(action)


@pytest.mark.parametrize("name", ACTIONS)
def test_what_is_handed_over_lies_in_the_action_space(name: str) -> None:
    space = ACTIONS[name]()
    encoding = encode(Shown(action_space=space))
    if isinstance(space, Box):
        largest = np.finfo(np.float32).max
        rng = np.random.default_rng(0)
        numbers = [*rng.normal(size=200), *rng.normal(size=200) * 1e5, 0.1, -0.1, 0.7, 0.3, largest, -largest, 0.0]
        rows = np.stack([np.full(space.shape, number, np.float32) for number in numbers])
        rows = np.concatenate([rows, np.nextafter(rows, np.float32(1)), np.nextafter(rows, np.float32(-1))])
    else:
        encoding.action_space.seed(0)
        rows = np.stack([encoding.action_space.sample() for _ in range(600)])
    own = encoding.act(rows)
    assert all(is_own(space, own[n]) and np.isfinite(own[n]).all() for n in range(len(rows)))
    assert all(is_own(space, encoding.act(row)) for row in rows[:20])
    if not isinstance(space, Box):
        assert len(np.unique([own[n] for n in range(len(rows))], axis=0)) > len(np.unique(rows, axis=0)) - 1
    policy = make_policy(Box(-1, 1, (3,)), space, PolicyConfig(log_std=2.0), np.random.default_rng(0))
    assert all(is_own(space, policy(np.full(3, n / 10))) for n in range(20))
    assert all(is_own(space, action) for action in policy(np.zeros((20, 3)))) or space.shape == ()


def test_casting_bounds_to_another_dtype_does_not_move_an_action_out_of_them() -> None:
    """-0.1 as float32 is below -0.1 as float64."""
    encoding = encode(Shown(action_space=Box(-0.1, 0.1, (1,), np.float64)))
    assert encoding.act(np.float32([-0.1])).tolist() == [-0.1]


def test_the_environments_own_spaces_are_neither_seeded_nor_drawn_from() -> None:
    env = Shown(Box(-1, 1, (2,)), MultiDiscrete([3, 2]))
    encoding = encode(env)
    encoding.action_space.seed(3)
    encoding.own_spaces[1].sample()
    assert env.action_space._np_random is None and env.observation_space._np_random is None


@pytest.mark.parametrize(
    ("space", "came", "kept"),
    [
        (Box(-1, 1, (2,)), np.array([0.5, 0.25]), [0.5, 0.25]),
        (Box(-1, 1, (2,)), [1, 0], [1, 0]),
        (Box(-1, 1, ()), 0.5, 0.5),
        (Box(0, 255, (2,), np.uint8), np.array([3, 255]), [3, 255]),
        (Box(0, 255, (2,), np.uint8), [True, False], [1, 0]),
        (Box(0, 1, (2,), np.bool_), [1, 0], [True, False]),
        (Discrete(3, start=5), 6, [0, 1, 0]),
        (Discrete(3, start=5), np.int8(7), [0, 0, 1]),
        (Discrete(3), np.array(2), [0, 0, 1]),
    ],
)
def test_observations_in_another_form(space: spaces.Space, came: Any, kept: Any) -> None:
    encoding = encode(Shown(space))
    found = encoding.observe(came)
    assert found.tolist() == kept and found.dtype == encoding.observation_space.dtype
    assert found.shape == encoding.observation_space.shape


@pytest.mark.parametrize(
    ("space", "came", "said"),
    [
        (Box(-1, 1, (4,)), np.zeros(1), r"an array of float64, shape \[1\] as .*: must be floats of shape \[4\]"),
        (Box(-1, 1, (4,)), np.zeros((1, 4)), r"shape \[1, 4\]"),
        (Box(-1, 1, (4,)), 0.0, "float 0.0"),
        (Box(-1, 1, (2,)), np.array([1j, 0]), "complex128"),
        (Box(-1, 1, (2,)), {"a": 1}, "dict"),
        (Box(-1, 1, (2,)), [[1], [1, 2]], "list"),
        (
            Box(0, 255, (2,), np.uint8),
            np.array([0.5, 0.0]),
            r"float64.*: must be whole numbers of uint8 of shape \[2\]",
        ),
        (Box(0, 255, (2,), np.uint8), np.array([0, 256]), "numbers 0 to 256"),
        (Box(-5, 5, (2,), np.int8), np.array([0, -300]), "numbers -300 to 0"),
        (Discrete(3, start=5), 4, r"int 4 as .*: must be one whole number of Discrete\(3, start=5\)"),
        (Discrete(3), 2.0, "float 2.0"),
        (Discrete(3), np.array([2]), r"shape \[1\]"),
        (Discrete(3), None, "None"),
        (Discrete(3), 10**30, "int 10"),
    ],
)
def test_observations_of_another_kind_are_refused(space: spaces.Space, came: Any, said: str) -> None:
    with pytest.raises(AnswerError, match=said):
        encode(Shown(space)).observe(came)


NESTED = {
    "dict": spaces.Dict(a=Box(-1, 1, (2,)), b=Discrete(3)),
    "tuple": spaces.Tuple((Discrete(3), Box(-1, 1, (2,)))),
    "text": spaces.Text(5),
    "bits": MultiBinary(4),
    "factors": MultiDiscrete([3, 2]),
    "either": spaces.OneOf((Discrete(3), Box(-1, 1, (2,)))),
}


@pytest.mark.parametrize("name", NESTED)
def test_the_wrapper_that_is_named_helps(name: str) -> None:
    with pytest.raises(
        UnsupportedSpace, match=r"wrap the environment in gymnasium\.wrappers\.FlattenObservation\(env\)$"
    ):
        find_task(lambda: Shown(NESTED[name]))
    find_task(lambda: FlattenObservation(Shown(NESTED[name])))


@pytest.mark.parametrize(
    ("space", "key"),
    [
        (spaces.Dict(place=Box(-1, 1, (2,)), camera=Box(0, 255, (16, 16, 3), np.uint8)), "camera"),
        (spaces.Tuple((Discrete(3), Box(0, 255, (3, 16, 16), np.uint8))), 1),
    ],
    ids=["dict", "tuple"],
)
def test_a_picture_among_other_things_can_be_seen_alone(space: Any, key: Any) -> None:
    with pytest.raises(UnsupportedSpace) as refused:
        find_task(lambda: Shown(space))
    told = str(refused.value).partition(" or in ")[2].partition(", whose policy")[0]
    seen = eval(told, {"TransformObservation": TransformObservation, "env": Shown(space)})  # noqa: S307
    assert seen.observation_space == space[key] and find_task(
        lambda: seen.__class__(Shown(space), seen.func, space[key])
    )


def test_a_space_that_cannot_be_asked_for_is_said() -> None:
    class Unready(Shown):
        @property
        def action_space(self) -> Any:
            raise RuntimeError("call reset first")

        @action_space.setter
        def action_space(self, space: Any) -> None: ...

    with pytest.raises(UnsupportedSpace, match=r"^Unready\.action_space raised RuntimeError: call reset first; spaces"):
        find_task(lambda: Unready(Box(-1, 1, (1,))))


@pytest.mark.parametrize("space", [spaces.Sequence(Discrete(2)), spaces.Graph(Box(-1, 1, (2,)), None)], ids=str)
def test_what_cannot_be_flattened_is_to_be_transformed(space: spaces.Space) -> None:
    with pytest.raises(UnsupportedSpace, match=r"TransformObservation\(env, function, box\)"):
        find_task(lambda: Shown(space))
    find_task(lambda: TransformObservation(Shown(space), lambda obs: np.zeros(1, np.float32), Box(-1, 1, (1,))))


@pytest.mark.parametrize(
    ("space", "easier", "back"),
    [
        (MultiBinary(3), MultiDiscrete([2] * 3), lambda action: action.astype(np.int8)),
        (Box(0, 3, (2,), np.int64), MultiDiscrete([4, 4]), lambda action: action),
        (spaces.Dict(a=Discrete(2), b=Discrete(3)), MultiDiscrete([2, 3]), lambda a: {"a": int(a[0]), "b": int(a[1])}),
        (spaces.Tuple((Discrete(2), Discrete(3))), MultiDiscrete([2, 3]), lambda a: tuple(a)),
        (MultiDiscrete([[2, 3], [4, 5]]), MultiDiscrete([2, 3, 4, 5]), lambda action: action.reshape(2, 2)),
    ],
    ids=["bits", "ints", "dict", "tuple", "table"],
)
def test_actions_of_other_kinds_are_to_be_transformed(space: spaces.Space, easier: spaces.Space, back: Any) -> None:
    with pytest.raises(
        UnsupportedSpace, match=r"is no Box of floats, Discrete or flat MultiDiscrete: .*TransformAction"
    ):
        find_task(lambda: Shown(action_space=space))
    made: list[Shown] = []

    def factory() -> gymnasium.Env:
        made.append(Shown(action_space=space))
        return TransformAction(made[-1], back, easier)

    find_task(factory)
    given = [action for env in made for action in env.given]
    assert given and all(space.contains(action) for action in given)


def test_what_is_no_space_is_said() -> None:
    with pytest.raises(UnsupportedSpace, match=r"observation space None is no gymnasium.*; the action space 4 is no"):
        find_task(lambda: Shown(None, 4))


class Simplex(Box):
    """Shares that sum to one, which no clipping to bounds makes."""

    def contains(self, x: Any) -> bool:
        return super().contains(x) and abs(float(np.sum(x)) - 1) < 1e-3


class Named(Box):
    """A class of the user's own that contains what its bounds say."""

    def contains(self, x: Any) -> bool:
        return super().contains(x)


def test_a_space_that_contains_only_some_actions_within_its_bounds_is_to_be_transformed() -> None:
    with pytest.raises(
        UnsupportedSpace, match=r"^the action space Box\(0\.0, 1\.0.* contains only some .*TransformAction"
    ):
        find_task(lambda: Shown(action_space=Simplex(0, 1, (3,))))
    wrapped = TransformAction(Shown(action_space=Simplex(0, 1, (3,))), lambda x: x / x.sum(), Box(0.1, 1, (3,)))
    assert encode(wrapped).action_space == Box(0.1, 1, (3,))
    assert encode(Shown(action_space=Named(0, 1, (3,)))).action_space.shape == (3,)


@pytest.mark.parametrize(("kind", "first", "later"), [("observation", "-1.0", "-3.0"), ("action", "-2.0", "-4.0")])
def test_spaces_that_change_from_one_episode_to_the_next_are_refused(kind: str, first: str, later: str) -> None:
    class Growing(Shown):
        def reset(self, **options: Any) -> tuple[Any, dict]:
            setattr(self, f"{kind}_space", Box(float(later), 9, (1,)))
            return super().reset(**options)

    said = rf"^Growing: the {kind} space of slot 0 is Box\({later}, 9.0, .*; that of slot 0 was Box\({first}, "
    with pytest.raises(UnsupportedSpace, match=said):
        make(lambda: Growing(Box(-1, 1, (1,)), Box(-2, 2, (1,))), 2).reset(None, np.array([0, 1]))


def test_spaces_that_are_made_anew_at_each_look_are_the_same() -> None:
    class Fresh(Shown):
        observation_space = property(lambda self: Box(-1, 1, (2,)), lambda self, space: None)

    simulator = make(Fresh, 2)
    simulator.reset(None, np.array([0, 1]))
    assert simulator.reset(None, np.array([0, 1])).shape == (2, 2)


PICTURES = {
    "floats": Box(0, 1, (14, 12, 3)),
    "signed": Box(-1, 1, (3, 14, 12)),
    "grey": Box(0, 1, (36, 32), np.float64),
    "normalised": Box(-np.inf, np.inf, (34, 36, 3)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_that_are_no_bytes_are_refused_with_the_wrapper_that_helps(name: str) -> None:
    space = PICTURES[name]
    tiny: dict[str, Any] = {"iterations": 1, "steps_per_iteration": 32, "slots": 2, "hidden": (4,), "out": None}
    with pytest.raises(
        ConfigError, match=r"look like pictures, .* as bytes: wrap .*'mlp' takes plain numbers$"
    ) as refused:
        trpolab.Session(lambda: Shown(space), **tiny)
    told = re.search(r"gymnasium\.wrappers\.(Transform.*np\.uint8\)\));", str(refused.value))
    known = {"TransformObservation": TransformObservation, "Box": Box, "np": np, "brightness": lambda obs: 9 * obs}

    def wrapped() -> gymnasium.Env:
        return eval(told.group(1), {**known, "env": Shown(PICTURES[name])})  # noqa: S307  what the sentence says

    session = trpolab.train(wrapped, **{**tiny, "value.hidden": (4,)})
    assert session.policy.sees_pixels and session.history[-1]["outcome"].startswith(("accepted", "skipped_zero"))
    plain = trpolab.Session(lambda: Shown(space), **{**tiny, "policy.network": "mlp"})
    assert not plain.policy.sees_pixels


@pytest.mark.parametrize(("low", "high"), [(1.0, -1.0), (-1.0, np.nan)])
def test_bounds_that_hold_nothing_between_them_are_refused(low: float, high: float) -> None:
    space = Box(-1, 1, (1,))
    space.low, space.high = np.array([low], np.float32), np.array([high], np.float32)
    with pytest.raises(UnsupportedSpace, match="contains nothing: its lower bounds must not be above its upper ones"):
        find_task(lambda: Shown(action_space=space))

"""Every slot has an environment of its own, whatever the factory promised; what is somebody else's is left open."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest

import trpolab
from tests.simulators.environments import Corridor
from trpolab.simulators import UnknownTask, find_task, make
from trpolab.simulators.gym_adapter.environments import make_environments, parts


class Closing(Corridor):
    """Remembers whether it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


class Around(gymnasium.Env):
    """Holds an environment without being a wrapper of it."""

    def __init__(self, held: Any):
        self.held = held
        self.observation_space, self.action_space = Corridor.observation_space, Corridor.action_space


def limited(env: gymnasium.Env) -> gymnasium.Env:
    return gymnasium.wrappers.TimeLimit(env, 5)


class Foreign:
    """An environment of another package."""

    def reset(self) -> None: ...

    def step(self, action: Any) -> None: ...


@pytest.mark.parametrize(
    "around",
    [
        lambda env: lambda: env,
        lambda env: functools.cache(lambda: env),
        lambda env: lambda: limited(env),
        lambda env: lambda: limited(limited(env)),
        lambda env: lambda: Around(env),
        lambda env: lambda: limited(Around([Corridor(), env])),
        lambda env: lambda: Around({"inner": limited(env)}),
    ],
    ids=["same", "cached", "wrapped", "wrapped twice", "held", "held in a list", "held in a table"],
)
def test_one_environment_for_all_slots_is_refused_and_left_open(around: Callable[[Any], Any]) -> None:
    env = Closing()
    for entry in (find_task, lambda task: make(task, 3), lambda task: trpolab.train(task, iterations=1, out=None)):
        with pytest.raises(
            UnknownTask, match=r"^the callable returned .*: every call must make a new one, as `lambda: "
        ):
            entry(around(env))
    assert not env.closed


def test_one_environment_of_another_package_for_all_slots_is_refused() -> None:
    foreign = Foreign()
    with pytest.raises(UnknownTask, match="two environments that share one Foreign: every call must make a new one"):
        find_task(lambda: limited(Around(foreign)))
    assert len(make_environments(lambda: Around(Foreign()), 3)) == 3


class Walks(Corridor):
    """Its place is kept in a world that it is given."""

    common: ClassVar[dict[str, float]] = {}

    def __init__(self, world: dict[str, float]):
        super().__init__()
        self.world = world

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> Any:
        self.world["place"] = float(np.random.default_rng(seed).normal())
        return np.full(2, self.world["place"], np.float32), {}

    def step(self, action: Any) -> Any:
        self.world["place"] *= 0.9
        return np.full(2, self.world["place"], np.float32), 0.0, False, False, {}


@pytest.mark.parametrize("factory", [lambda: Walks(Walks.common), lambda world={}: limited(Walks(world))])
def test_environments_that_share_what_their_steps_change_are_refused(factory: Callable[[], gymnasium.Env]) -> None:
    with pytest.raises(UnknownTask, match=r"a step of one Walks changes what another one does: .* must have its own"):
        find_task(factory)


class Drawn(Walks):
    """Noise from the generator that the whole process shares, which a reset seeds."""

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> Any:
        np.random.seed(seed)  # noqa: NPY002
        return super().reset(seed=seed)

    def step(self, action: Any) -> Any:
        self.world["place"] += np.random.normal()  # noqa: NPY002
        return super().step(action)


class Counted(Walks):
    """All together count their steps, which changes nothing of what they do."""

    steps: ClassVar[list[int]] = []

    def step(self, action: Any) -> Any:
        Counted.steps.append(1)
        return super().step(action)


@pytest.mark.parametrize("kind", [Walks, Drawn, Counted])
def test_what_is_shared_without_harm_is_allowed(kind: type[Walks]) -> None:
    assert find_task(lambda: kind({})).name == kind.__name__


def test_the_message_says_what_is_shared_and_how_to_make_it() -> None:
    env = gymnasium.make("Pendulum-v1")
    with pytest.raises(UnknownTask, match=r"the same environment twice.*`lambda: gymnasium.make\('Pendulum-v1'\)`"):
        find_task(lambda: env)
    inner = Closing()
    with pytest.raises(UnknownTask, match=r"two environments that share one Closing.*`lambda: Closing\(...\)`"):
        find_task(lambda: limited(inner))


def test_a_few_environments_in_turn_are_refused_by_the_simulator() -> None:
    turn = itertools.cycle([Corridor() for _ in range(7)])
    with pytest.raises(UnknownTask, match="same environment twice"):
        make(lambda: next(turn), 9)


def test_an_environment_in_place_of_a_callable_is_told_to_be_made_anew() -> None:
    with pytest.raises(
        UnknownTask, match=r"makes a new gymnasium.Env at each call, not Corridor; .*`lambda: MyEnv\(...\)`"
    ):
        find_task(Corridor())


def test_what_was_made_is_closed_if_the_factory_fails_later() -> None:
    made = []

    def factory() -> gymnasium.Env:
        if len(made) == 3:
            raise OSError("no more licences")
        made.append(Closing())
        return made[-1]

    with pytest.raises(UnknownTask, match=r"not be made: OSError: no more licences \(.*test_environments\.py, line"):
        make_environments(factory, 5)
    assert [env.closed for env in made] == [True] * 3


def test_parts_end_where_environments_hold_each_other() -> None:
    one, other = Around(None), Around(None)
    one.held, other.held = other, (one, limited(one))
    assert {type(part) for part in parts(one)} == {Around, gymnasium.wrappers.TimeLimit} and len(list(parts(one))) == 3


def test_shared_things_that_are_no_environments_are_nobody_elses_business() -> None:
    table = {"rows": list(range(5))}

    def factory() -> gymnasium.Env:
        env = Corridor()
        env.table = table
        return env

    assert len(make_environments(factory, 3)) == 3


def test_a_callable_that_needs_arguments_is_told_how_it_is_given() -> None:
    with pytest.raises(
        UnknownTask,
        match=r"Around.*missing 1 .*'held'; .*without arguments: give a function .*`lambda: Around\(...\)`$",
    ):
        find_task(Around)
    with pytest.raises(UnknownTask, match=r"as `lambda: Around\(...\)`$"):
        find_task(f"{__name__}:Around")


def test_a_vector_environment_is_not_taken_for_one() -> None:
    with pytest.raises(UnknownTask, match=r"returned .*VectorEnv, which is not .*give a single one: `slots`"):
        find_task(lambda: gymnasium.make_vec("CartPole-v1", num_envs=2))


def test_environments_that_cannot_be_closed_end_no_run() -> None:
    class Stuck(Closing):
        def close(self) -> None:
            super().close()
            raise OSError("the window is gone")

    made = []
    with pytest.warns(UserWarning, match=r"Stuck\.close: OSError: the window is gone"):
        run = trpolab.train(lambda: made.append(Stuck()) or made[-1], iterations=1, steps_per_iteration=64, out=None)
    assert run.state == "finished" and all(env.closed for env in made)


@pytest.mark.parametrize("sampler", ["single-path", "vine"])
def test_a_stop_ends_the_making_of_environments(sampler: str) -> None:
    made: list[Closing] = []

    def slow() -> gymnasium.Env:
        if len(made) == 5:  # two of them were looked at before
            session.controls.stop()
        made.append(Closing())
        return made[-1]

    session = trpolab.Session(slow, out=None, slots=64, sampler=sampler, iterations=3)
    assert session.run().state == "stopped" and len(session.history) == 0
    assert len(made) == 6 and all(env.closed for env in made)
    assert len(session.run().history) == 3  # it can go on


def test_a_stop_while_an_evaluation_makes_its_environments_leaves_it_out() -> None:
    made: list[Closing] = []

    def slow() -> gymnasium.Env:
        if len(made) == 2 + 8 + 1:
            session.controls.stop()
        made.append(Closing())
        return made[-1]

    session = trpolab.Session(slow, out=None, slots=8, steps_per_iteration=64, evaluate_every=1, iterations=3)
    assert session.run().state == "stopped"
    assert [row["evaluation_mean"] for row in session.history] == [None]
    assert len(made) == 12 and all(env.closed for env in made)

"""Every slot has an environment of its own, whatever the factory promised; what is somebody else's is left open."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import gymnasium
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

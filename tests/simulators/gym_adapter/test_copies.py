"""Copies that are none, noise from outside, episodes that hang together: told by a trial, for the right reason."""

from __future__ import annotations

import copy
import itertools
import random
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.utils import EzPickle

from trpolab.simulators import find_task, make
from trpolab.simulators.registry import remembered


class Swing(gymnasium.Env):
    """A number that goes up and down between 0 and 3 by two actions; nothing ends it."""

    observation_space, action_space = Box(0, 3, (1,), np.float32), Discrete(2)

    def __init__(self) -> None:
        self.place, self.age = 0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.place, self.age = 0, 0
        return self.see(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.place, self.age = min(max(self.place + 2 * int(action) - 1, 0), 3), self.age + 1
        return self.see(), float(self.place), False, False, {}

    def see(self) -> np.ndarray:
        return np.array([self.place], np.float32)


class Rebuilt(Swing, EzPickle):
    """Copied as Gymnasium's EzPickle does it."""

    def __init__(self) -> None:
        Swing.__init__(self)
        EzPickle.__init__(self)


class RebuiltWrapper(gymnasium.Wrapper, EzPickle):
    """A wrapper that is: of what it wraps, a copy gets a new one."""

    def __init__(self) -> None:
        gymnasium.Wrapper.__init__(self, Swing())
        EzPickle.__init__(self)


class HoldsRebuilt(Swing):
    """The environment proper is an attribute, and no wrapper's."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Rebuilt()


class CopiesItself(Rebuilt):
    """The same with a copy of its own."""

    def __deepcopy__(self, memo: dict) -> CopiesItself:
        other = type(self)()
        other.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return other


class KeepsItsState(Rebuilt):
    """The same with a state of its own."""

    def __getstate__(self) -> dict:
        return self.__dict__.copy()

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)


class StartsOver(Swing):
    """Its copy is a new one, reset."""

    def __deepcopy__(self, memo: dict) -> StartsOver:
        other = type(self)()
        other.reset()
        return other


class ForgetsLate(Swing):
    """Its copy lacks what counts from step 40 on."""

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        obs, reward, *rest = super().step(action)
        return obs, reward + max(self.age - 40, 0), *rest

    def __deepcopy__(self, memo: dict) -> ForgetsLate:
        other = type(self)()
        other.place = self.place
        return other


class Nothing(Swing):
    """Whatever is done, nothing comes of it; its copy is a new one."""

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        return np.zeros(1, np.float32), 0.0, False, False, {}

    __deepcopy__ = StartsOver.__deepcopy__


def touching(touch: Callable[[], object], late: int) -> type[Swing]:
    """An environment that calls this in steps from `late` on, and makes no use of it."""

    class Touches(Swing):
        def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
            made = super().step(action)
            if self.age > late:
                touch()
            return made

    return Touches


@pytest.mark.reliability("R18")
@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (Rebuilt, "a copy of Rebuilt is a new one, which EzPickle builds"),
        (lambda: gymnasium.wrappers.TimeLimit(Rebuilt(), 50), "a copy of Rebuilt is a new one"),
        (RebuiltWrapper, "a copy of RebuiltWrapper is a new one"),
        (HoldsRebuilt, "a copy of Rebuilt is a new one"),
        (StartsOver, "a deep copy of StartsOver does not repeat its future"),
        (ForgetsLate, "a deep copy of ForgetsLate does not repeat its future"),
        (Nothing, "in 92 steps Nothing did nothing that tells a copy of it from a new environment"),
        (touching(random.random, 0), "touches the global generator of random, which a copy does not hold"),
        (touching(np.random.random, 60), "touches the global generator of numpy.random,"),
        (touching(lambda: torch.rand(1), 60), "touches the global generator of torch,"),
        (touching(lambda: np.random.seed(1), 60), "touches the global generator of numpy.random,"),  # noqa: NPY002
    ],
)
def test_a_copy_that_is_none_is_refused(task: Any, reason: str) -> None:
    about = find_task(task)
    assert not about.can_restore and reason in about.restore_reason


@pytest.mark.reliability("R18")
@pytest.mark.parametrize("task", [Swing, CopiesItself, KeepsItsState, "CliffWalking-v1", "Acrobot-v1"])
def test_a_copy_that_is_one_is_not(task: Any) -> None:
    about = find_task(task)
    assert about.can_restore and about.restore_reason == ""


def test_the_trial_leaves_the_generators_of_the_process_alone() -> None:
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    find_task(Swing)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == states  # noqa: NPY002


def test_there_is_one_verdict_wherever_a_run_uses_its_environments() -> None:
    """The trial would now end otherwise."""
    tried = itertools.count()

    class Moody(Swing):
        def __deepcopy__(self, memo: dict) -> Moody:
            if next(tried) == 0:
                raise RuntimeError("not today")
            other = type(self)()
            other.place, other.age = self.place, self.age
            return other

    about = find_task(Moody)
    assert not about.can_restore and find_task(Moody).can_restore
    source = remembered(Moody, about)
    for simulator in (make(source, 2), make(source)):
        assert not simulator.can_restore and "not today" in simulator.restore_reason
    assert find_task(source) is not about and find_task(source) == about


@pytest.mark.parametrize(
    "task",
    [
        lambda: gymnasium.wrappers.NormalizeReward(gymnasium.make("Pendulum-v1")),
        lambda: gymnasium.wrappers.NormalizeObservation(gymnasium.make("Pendulum-v1")),
        lambda: gymnasium.wrappers.TransformReward(Swing(), lambda reward: reward + time.time_ns()),
    ],
)
def test_what_goes_on_from_episode_to_episode_is_noticed(task: Any) -> None:
    assert "does not repeat an episode from its seed and actions" in find_task(task).seed_problem


@pytest.mark.parametrize("task", [Swing, "Pendulum-v1", "FrozenLake-v1", "HumanoidStandup-v5"])
def test_what_a_seed_decides_is_not_accused(task: Any) -> None:
    assert find_task(task).seed_problem == ""


class WritesToActions(Swing):
    """Halves in place what it is given."""

    action_space = Box(-1, 1, (1,))

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        action *= 0.5
        self.place = min(max(self.place + float(action[0]), 0), 3)
        return self.see(), float(action[0]), False, False, {}


def test_an_environment_may_write_to_the_actions_that_it_is_given() -> None:
    about = find_task(WritesToActions)
    assert about.can_restore and about.seed_problem == ""
    simulator, actions = make(WritesToActions, 2), np.array([[0.5], [-0.25]], np.float32)
    simulator.reset(None, np.array([0, 1]))
    assert simulator.step(None, actions).reward.tolist() == [0.25, -0.125]
    assert actions.tolist() == [[0.5], [-0.25]]


def test_a_failure_in_the_trial_is_told_on_one_line() -> None:
    class Talkative(Swing):
        def step(self, action: Any) -> Any:
            if self.age == 30:
                raise RuntimeError("level 4\n  is not there")
            return super().step(action)

    assert "(RuntimeError: level 4 is not there)" in find_task(Talkative).restore_reason

"""What reset and step return is taken as it is, or refused in a sentence; nothing is guessed."""

from __future__ import annotations

import sys
from decimal import Decimal
from fractions import Fraction
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

import trpolab
from trpolab.simulators import AnswerError, find_task, make
from trpolab.simulators.gym_adapter.answers import of_reset, of_step

RIGHT = (np.zeros(4), {})


class Says(gymnasium.Env):
    """Answers what it is told to, from a step on; before that as it should."""

    observation_space, action_space = Box(-1, 1, (4,)), Discrete(2)

    def __init__(self, reset: Any = RIGHT, step: Any = None, late: int = 0):
        self.says, self.late, self.steps = (reset, step), late, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.says[0]

    def step(self, action: Any) -> Any:
        self.steps += 1
        return self.says[1] if self.steps > self.late else (np.zeros(4), 1.0, False, False, {})


def step(reward: Any = 1.0, terminated: Any = False, truncated: Any = False) -> tuple:
    return np.zeros(4), reward, terminated, truncated, {}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (np.zeros(4), r"an array of float64, shape \[4\]: must be \(observation, info\), where info is a dict"),
        ((np.zeros(4), None), r"2 values \(ndarray, NoneType\): must be"),
        ((np.zeros(4), {}, {}), "3 values"),
        ([0.0, 0.0], r"an array of float64, shape \[2\]"),
        (None, "None: must be"),
        ((np.zeros(1), {}), r"shape \[1\] as the observation: must be floats of shape \[4\]"),
    ],
)
def test_resets_that_are_none(answer: Any, said: str) -> None:
    with pytest.raises(AnswerError, match=rf"^Says\.reset returned .*{said}"):
        find_task(lambda: Says(answer))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            step()[:4],
            r"returned 4 values .*must be .*; of the older \(observation, reward, done, info\), done is either",
        ),
        ((*step(), None), "returned 6 values"),
        (None, r"returned None: must be \(observation, reward, terminated, truncated, info\)"),
        ((np.zeros((4, 1)), *step()[1:]), r"shape \[4, 1\] as the observation"),
        (step(np.array([1.0, 2.0])), r"shape \[2\] as the reward: must be one number; .*TransformReward.*LinearReward"),
        (step([1.0, 2.0, 3.0]), r"shape \[3\] as the reward"),
        (step(torch.ones(1, requires_grad=True)), r"Tensor .*detach\(\).* as the reward: must be one number$"),
        (step(np.array(None)), r"an array of object, shape \[\] as the reward"),
        (step("1"), "str '1' as the reward: must be one number$"),
        (step(None), "None as the reward"),
        (step(1j), "complex 1j as the reward"),
        (step(10**400), "as the reward: no float can hold it"),
        (step(terminated=np.array([True, False])), "as terminated: must be True or False"),
        (step(terminated=None), "None as terminated"),
        (step(truncated="False"), "str 'False' as truncated"),
        (step(truncated=0.5), "float 0.5 as truncated"),
        (step(truncated=2), "int 2 as truncated"),
    ],
)
def test_steps_that_are_none(answer: Any, said: str) -> None:
    with pytest.raises(AnswerError, match=rf"^Says\.step .*{said}") as refused:
        find_task(lambda: Says(step=answer))
    assert "\n" not in str(refused.value)
    with pytest.raises(AnswerError, match=r"^Says\.step \(slot [01]\) returned"):  # later it is the same, with the slot
        trpolab.train(lambda: Says(step=answer, late=300), slots=2, steps_per_iteration=64, iterations=9, out=None)


@pytest.mark.parametrize(
    "number",
    [
        *(2, 2.0, np.float32(2), np.int8(2), np.array(2.0), np.array([2]), [2.0], Fraction(2), Decimal("2.0")),
        *(np.array(Fraction(2)), np.array([2.0], object), [Decimal(2)], torch.tensor(2), torch.tensor([2.0])),
    ],
)
def test_one_number_is_a_number(number: Any) -> None:
    assert of_step(step(number), np.asarray, Says())[1:] == (2.0, False, False)
    assert type(of_step(step(number), np.asarray, Says())[1]) is float


def test_truth_values_of_other_kinds() -> None:
    for yes, no in ((True, False), (1, 0), (np.True_, np.False_), (np.array([True]), np.array(False))):
        assert of_step(step(1.0, yes, no), np.asarray, Says())[2:] == (True, False)
    assert of_step(step(torch.tensor(1.5), torch.tensor(True)), np.asarray, Says())[1:] == (1.5, True, False)
    assert of_reset((torch.zeros(4), {}), np.asarray, Says()).tolist() == [0] * 4


def test_nothing_runs_where_rewards_are_several() -> None:
    """The first environment that is made answers, and no other is asked."""
    made: list[Says] = []

    def factory() -> gymnasium.Env:
        made.append(Says(step=step(np.ones(3))))
        return made[-1]

    with pytest.raises(AnswerError, match=r"shape \[3\]"):
        trpolab.train(factory, out=None)
    assert [env.steps for env in made] == [1, 0]
    weighted = gymnasium.wrappers.TransformReward(factory(), lambda reward: float(np.ones(3) @ reward))
    assert of_step(weighted.step(0), np.asarray, weighted)[1] == 3


@pytest.mark.parametrize(
    "wrap", [lambda env: gymnasium.wrappers.TimeLimit(env, 9), gymnasium.wrappers.FlattenObservation]
)
def test_a_wrapper_that_fails_on_what_came_from_inside_is_not_blamed(wrap: Any) -> None:
    with pytest.raises(AnswerError, match=r"^Says\.step returned 4 values"):
        find_task(lambda: wrap(Says(step=step()[:4])))
    with pytest.raises(AnswerError, match=r"^Says\.reset returned 3 values"):
        find_task(lambda: gymnasium.wrappers.FlattenObservation(Says((np.zeros(4), {}, {}))))


class Old(Says):
    """Its reset is that of older versions."""

    def reset(self) -> Any:  # type: ignore[override]
        return np.zeros(4)


def test_a_reset_without_seeds_is_told_what_is_due() -> None:
    for factory in (Old, lambda: gymnasium.wrappers.TimeLimit(Old(), 5)):
        with pytest.raises(
            AnswerError, match=r"Old\.reset takes no seed: must be reset\(self, \*, seed=None, options=None\)"
        ):
            find_task(factory)


class Raises(Says):
    """Fails by itself."""

    def step(self, action: Any) -> Any:
        raise KeyError("my own bug")


def test_what_the_environment_raises_itself_passes_with_the_slot() -> None:
    assert find_task(Raises).name == "Raises"
    simulator = make(Raises, 3)
    simulator.reset(None, np.arange(3))
    with pytest.raises(KeyError, match="my own bug") as raised:
        simulator.step(np.array([2]), np.array([0]))
    assert raised.value.__notes__ == ["raised by the environment in slot 2"]


class RunsOut(Says):
    """Its data end."""

    def step(self, action: Any) -> Any:
        return next(iter(()))


class Leaves(Says):
    """Its window was closed."""

    def step(self, action: Any) -> Any:
        sys.exit(3)


def test_an_environment_does_not_end_the_process() -> None:
    with pytest.raises(RuntimeError, match=r"the environment in slot 0 raised SystemExit: it asked to end") as raised:
        trpolab.train(Leaves, iterations=1, out=None, slots=2)
    assert isinstance(raised.value.__cause__, SystemExit)


def test_what_the_trial_meets_is_refused_before_anything_runs() -> None:
    with pytest.raises(AnswerError, match=r"^Says\.step returned 4 values"):
        find_task(lambda: Says(step=(np.zeros(4), 1.0, False, {}), late=30))


def test_an_iterator_that_runs_out_does_not_end_our_loops() -> None:
    with pytest.raises(RuntimeError, match="the environment in slot 0 raised StopIteration: an iterator") as raised:
        trpolab.train(RunsOut, iterations=1, out=None, slots=2)
    assert isinstance(raised.value.__cause__, StopIteration)

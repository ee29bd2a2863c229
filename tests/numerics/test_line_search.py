"""The backtracking search: both tests hold for whatever it accepts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from trpolab.numerics import LineSearchStatus, backtrack

START = torch.tensor([0.0, 0.0], dtype=torch.float64)
STEP = torch.tensor([2.0, 0.0], dtype=torch.float64)


def gains_until(edge: float):
    """An objective that rises along the first axis up to `edge` and falls steeply beyond."""
    return lambda x: float(x[0]) if x[0] <= edge else -float(x[0])


def length(x: torch.Tensor) -> float:
    return float(x.norm())


def test_takes_the_full_step_if_it_passes() -> None:
    found = backtrack(gains_until(5), length, START, STEP, bound=2.0)
    assert found.status is LineSearchStatus.ACCEPTED
    assert torch.equal(found.x, START + STEP)
    assert [(t.fraction, t.gain, t.constraint, t.accepted) for t in found.trials] == [(1.0, 2.0, 2.0, True)]


def test_shrinks_until_the_constraint_holds() -> None:
    found = backtrack(gains_until(5), length, START, STEP, bound=0.7, shrink=0.5)
    assert [trial.fraction for trial in found.trials] == [1.0, 0.5, 0.25]
    assert torch.equal(found.x, START + 0.25 * STEP)


def test_shrinks_until_the_objective_gains() -> None:
    found = backtrack(gains_until(0.3), length, START, STEP, bound=10, shrink=0.5)
    assert [trial.accepted for trial in found.trials] == [False, False, False, True]


def test_the_bound_itself_is_allowed_and_no_gain_is_not() -> None:
    assert backtrack(gains_until(5), lambda x: 1.0, START, STEP, bound=1.0).accepted
    assert not backtrack(lambda x: 0.0, lambda x: 0.0, START, STEP, bound=1.0).accepted


@pytest.mark.reliability("R13")
def test_rejection_returns_the_very_start() -> None:
    found = backtrack(gains_until(5), lambda x: 9.0, START, STEP, bound=1.0, max_tries=4)
    assert found.status is LineSearchStatus.REJECTED
    assert found.x is START
    assert len(found.trials) == 4


@pytest.mark.reliability("R13")
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_never_pass(bad: float) -> None:
    def objective(x: torch.Tensor) -> float:
        return 0.0 if torch.equal(x, START) else bad

    assert backtrack(objective, lambda x: 0.0, START, STEP, bound=1.0).x is START
    assert backtrack(lambda x: bad, lambda x: 0.0, START, STEP, bound=1.0).x is START
    assert backtrack(gains_until(5), lambda x: bad, START, STEP, bound=1.0).x is START


@pytest.mark.reliability("R13")
def test_accepted_points_pass_both_tests_recomputed() -> None:
    generator = np.random.default_rng(7)
    accepted = 0
    for _ in range(50):
        a, b = torch.from_numpy(generator.normal(size=(2, 3)))
        bound, shrink = generator.uniform(0.1, 3), generator.uniform(0.2, 0.9)

        def objective(x: torch.Tensor, a: torch.Tensor = a) -> float:
            return float(a @ x - x @ x)

        found = backtrack(objective, length, torch.zeros(3).double(), 4 * b, bound=bound, shrink=shrink, max_tries=6)
        assert len(found.trials) <= 6
        if found.accepted:
            accepted += 1
            assert objective(found.x) > 0
            assert length(found.x) <= bound
    assert 5 < accepted < 50


def test_evaluates_the_start_once_and_each_candidate_once() -> None:
    seen = []

    def objective(x: torch.Tensor) -> float:
        seen.append(float(x[0]))
        return -1.0 if x[0] > 0 else 0.0

    backtrack(objective, length, START, STEP, bound=1.0, max_tries=3)
    assert seen == [0.0, 2.0, 1.0, 0.5]


def test_does_not_write_to_its_arguments() -> None:
    start, step = START.clone(), STEP.clone()
    backtrack(gains_until(5), length, start, step, bound=0.1)
    assert torch.equal(start, START)
    assert torch.equal(step, STEP)


@pytest.mark.parametrize(("name", "value"), [("shrink", 1.0), ("shrink", 0.0), ("max_tries", 0)])
def test_misuse_raises_with_the_value(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} = {value}"):
        backtrack(length, length, START, STEP, bound=1.0, **{name: value})

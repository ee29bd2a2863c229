"""δ that goes to another value until the run's end: what each update used, and what stays as it was."""

from __future__ import annotations

import numpy as np
import pytest

from trpolab.settings import ConfigError
from trpolab.simulators import find_task
from trpolab.training.config import resolve
from trpolab.training.session import Session, train

SMALL = {"steps_per_iteration": 256, "delta": 0.02, "threads": 1}


def deltas(rows):
    return np.array([row["delta"] for row in rows])


def test_it_goes_in_a_straight_line_over_the_iterations():
    rows = train("CartPole-v1", out=None, iterations=5, delta_end=0.0, **SMALL).history
    np.testing.assert_allclose(deltas(rows), 0.02 * (1 - np.arange(5) / 5), rtol=1e-12)
    assert all(row["kl_mean"] <= row["delta"] for row in rows)
    assert not any("delta" in row.get("changed", {}) for row in rows), "nobody turned it"


def test_a_run_with_a_budget_goes_by_its_simulator_steps():
    rows = train("CartPole-v1", out=None, steps=2048, delta_end=0.01, **SMALL).history
    before = np.array([row["sim_steps"] - row["batch_steps"] for row in rows])  # the normaliser's first look included
    np.testing.assert_allclose(deltas(rows), 0.02 - 0.01 * before / 2048, rtol=1e-12)
    assert deltas(rows)[-1] < 0.0125


def test_it_can_begin_to_fall_late():
    rows = train("CartPole-v1", out=None, iterations=10, delta_end=0.0, delta_fall=0.4, **SMALL).history
    np.testing.assert_allclose(deltas(rows), 0.02 * np.array([1, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]), rtol=1e-9)


def test_the_update_is_that_of_the_delta_in_use():
    """The last iteration of a run that falls is that of a run whose δ was turned by hand to the same values."""
    line = {index: {"delta": 0.02 - 0.005 * (index - 1)} for index in (2, 3)}
    by_hand = Session("CartPole-v1", out=None, iterations=3, schedule=line, **SMALL).run()
    fallen = Session("CartPole-v1", out=None, iterations=3, delta_end=0.005, **SMALL).run()
    np.testing.assert_array_equal(by_hand.learner.policy.theta, fallen.learner.policy.theta)


def test_without_it_delta_stays():
    assert set(deltas(train("CartPole-v1", out=None, iterations=3, **SMALL).history)) == {0.02}


def test_a_run_that_goes_on_has_the_delta_of_its_place(tmp_path):
    """Stopped and resumed, it ends as the run that never stopped."""
    whole = train("CartPole-v1", out=tmp_path / "whole", iterations=6, delta_end=0.0, **SMALL)
    part = Session("CartPole-v1", out=tmp_path / "part", iterations=6, delta_end=0.0, checkpoint_every=1, **SMALL)
    for done in part.iterate():
        if done.index == 3:
            part.controls.stop()
    resumed = Session("CartPole-v1", resume=part.path).run()
    assert [row["iteration"] for row in resumed.history] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(whole.learner.policy.theta, resumed.learner.policy.theta)


def test_what_can_not_be_is_refused():
    with pytest.raises(ConfigError, match=r"delta_end = -0.1: must be"):
        resolve(find_task("CartPole-v1"), overrides={"delta_end": -0.1})

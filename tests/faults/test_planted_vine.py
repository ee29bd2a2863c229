"""Faults of vine samplers, planted one at a time: each must make a check fail that the true code passes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.faults.points import plant
from tests.sampling.vine import checks
from tests.sampling.vine.test_proposals import PI, uniform_error


@pytest.mark.reliability("R18")
def test_a_restore_without_the_warm_start(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.replay_difference("Walker2d-v5") == 0
    plant("MuJoCo restored without the warm start", monkeypatch)
    assert checks.replay_difference("Walker2d-v5") > 0


@pytest.mark.reliability("R18")
@pytest.mark.parametrize(("simulators", "task"), [("cart-poles", "CartPole-v1"), ("MuJoCo", "Swimmer-v5")])
def test_a_restore_without_the_step_counter(simulators: str, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 500 if task == "CartPole-v1" else 1000
    assert checks.steps_to_the_limit(task, limit - 10) == 10
    plant(f"{simulators} restored without the step counter", monkeypatch)
    assert checks.steps_to_the_limit(task, limit - 10) > 10


@pytest.mark.reliability("R33")
@pytest.mark.parametrize("task", ["paper/Swimmer", checks.finite])
def test_one_noise_sequence_for_all_states(task, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.equal_across_states(task) == 0
    plant("one noise sequence for all states", monkeypatch)
    assert checks.equal_across_states(task) > 0


@pytest.mark.reliability("R33")
def test_equation_16_over_the_old_policy_when_actions_are_uniform() -> None:
    """On a peaked four-armed state: the true form is exact once K reaches all actions, the wrong one never is."""
    assert uniform_error(4) < 1e-12
    assert uniform_error(4, lambda actions: np.log(PI)[actions]) > 0.01


@pytest.mark.reliability("R33")
def test_equation_16_over_the_old_policy_points_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same through the draws themselves: 64 actions, 32 of them drawn, a peaked policy."""
    assert checks.uniform_gradient_cosine() > 0.9
    plant("Equation 16 over the old policy, in its check", monkeypatch)
    assert checks.uniform_gradient_cosine() < 0.8


@pytest.mark.reliability("R33")
def test_equation_16_over_the_old_policy_in_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.uniform_log_q_error() < 1e-6
    plant("Equation 16 over the old policy", monkeypatch)
    assert checks.uniform_log_q_error() > 0.1

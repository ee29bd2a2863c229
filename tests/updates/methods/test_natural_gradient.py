"""Natural gradient: θ' = θ + (1/λ) A⁻¹g, nothing else."""

from __future__ import annotations

import pytest
import torch

from tests import reference
from tests.updates.methods.steps import EXACT, true_gradient, update
from trpolab.updates import factors_of_three


def test_is_the_dense_solution_however_far() -> None:
    policy = reference.small_policy(hidden=())
    batch = reference.small_batch(policy, states=60)
    learner, found = update(
        "natural_gradient", policy, batch, **{**EXACT, "damping": 1e-3, "natural_gradient.step": 2.5}
    )
    matrix = reference.dense_fisher(policy, reference.features64(policy, batch.obs)) + 1e-3 * torch.eye(policy.size)
    expected = 2.5 * torch.linalg.solve(matrix, true_gradient(policy, batch))
    assert torch.allclose(learner.policy.theta - policy.theta, expected, rtol=1e-3, atol=1e-6)
    assert found.search is None
    assert found.kl_mean > 0.01  # δ means nothing to it


def test_twice_the_step_is_twice_the_move() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=60)
    moves = [
        update("natural_gradient", policy, batch, **{"natural_gradient.step": length})[0].policy.theta - policy.theta
        for length in (0.1, 0.2)
    ]
    assert torch.allclose(2 * moves[0], moves[1], rtol=1e-9)


def test_the_sweep_goes_in_factors_of_three() -> None:
    steps = factors_of_three(0.9, 2)
    assert steps == pytest.approx((0.1, 0.3, 0.9, 2.7, 8.1))

"""Max KL, Eq. 11: every sampled state stays under δ."""

from __future__ import annotations

import pytest
import torch

from tests import reference
from tests.updates.methods.steps import KINDS, kl_of, update
from trpolab.updates import Problem


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("delta", [1e-4, 1e-2, 1.0])
def test_no_state_goes_beyond_delta(kind: str, delta: float) -> None:
    policy = reference.small_policy(kind)
    batch = reference.small_batch(policy, states=40)
    learner, found = update("max_kl", policy, batch, delta=delta)
    assert found.outcome.accepted
    kl = kl_of(policy, batch, learner.policy.theta)
    assert float(kl.max()) <= delta * (1 + 1e-6)
    assert float(kl.mean()) < float(kl.max())
    assert found.kl_max == pytest.approx(float(kl.max()), rel=1e-6)


def test_a_small_full_step_spends_delta_in_the_state_that_moves_most() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    learner, _ = update("max_kl", policy, batch, delta=1e-6, damping=0.0, line_search=False)
    assert float(kl_of(policy, batch, learner.policy.theta).max()) == pytest.approx(1e-6, rel=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_curvature_is_that_of_the_dense_matrices(kind: str) -> None:
    policy = reference.small_policy(kind)
    batch = reference.small_batch(policy, states=12)
    v = torch.randn(policy.size, dtype=torch.float64)
    x = reference.features64(policy, batch.obs)
    each = [float(v @ reference.dense_fisher(policy, row.unsqueeze(0)) @ v) for row in x]
    assert Problem(policy, batch).largest_curvature(v) == pytest.approx(max(each))


def test_it_goes_along_trpos_direction_and_less_far() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    most, mean = (update(m, policy, batch)[0].policy.theta - policy.theta for m in ("max_kl", "trpo"))
    assert float(most @ mean / (most.norm() * mean.norm())) == pytest.approx(1.0)
    assert float(most.norm()) < float(mean.norm())

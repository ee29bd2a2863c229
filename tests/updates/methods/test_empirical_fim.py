"""Empirical Fisher matrix: the covariance of the score, by one loop over samples and one over actions."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from tests import reference
from tests.updates.methods.steps import KINDS, kl_of, under_uniform_proposals, update
from trpolab.updates import Problem


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("actions", [1, 3])
def test_is_the_loop(kind: str, actions: int) -> None:
    policy = reference.small_policy(kind)
    batch = reference.small_batch(policy, actions=actions)
    found = reference.matrix_of(Problem(policy, batch).fisher(kind="empirical"), policy.size)
    assert torch.allclose(found, reference.empirical_fisher(policy, batch), atol=1e-10)


def test_under_another_proposal_the_scores_are_reweighted() -> None:
    policy = reference.small_policy("categorical")
    batch = under_uniform_proposals(reference.small_batch(policy, states=9))
    found = reference.matrix_of(Problem(policy, batch).fisher(kind="empirical"), policy.size)
    assert torch.allclose(found, reference.empirical_fisher(policy, batch), atol=1e-10)


def test_over_every_action_once_it_is_the_analytic_matrix() -> None:
    """Uniform q over all three actions, each tried once: the average over actions is exact."""
    policy = reference.small_policy("categorical")
    batch = reference.small_batch(policy, states=9)
    tried = np.tile(np.arange(3), (9, 1))
    batch = dataclasses.replace(
        batch, actions=tried, log_q=np.full((9, 3), -math.log(3)), q_values=np.ones((9, 3)) * tried
    )
    found = reference.matrix_of(Problem(policy, batch).fisher(kind="empirical"), policy.size)
    assert torch.allclose(found, reference.dense_fisher(policy, reference.features64(policy, batch.obs)), atol=1e-10)


def test_approaches_the_analytic_matrix_with_more_samples() -> None:
    policy = reference.small_policy(hidden=())
    errors = []
    for states in (200, 20_000):
        batch = reference.small_batch(policy, states=states)
        problem = Problem(policy, batch)
        dense = reference.matrix_of(problem.fisher(), policy.size)
        found = reference.matrix_of(problem.fisher(kind="empirical"), policy.size)
        errors.append(float((found - dense).norm() / dense.norm()))
    assert errors[1] < errors[0] / 4
    assert errors[1] < 0.1


def test_a_share_of_the_states_takes_their_own_actions() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=30, actions=2)
    product = Problem(policy, batch).fisher(0.2, np.random.default_rng(3), "empirical")
    rows = np.sort(np.random.default_rng(3).choice(30, 6, replace=False, shuffle=False))
    part = dataclasses.replace(
        batch,
        **{name: getattr(batch, name)[rows] for name in ("obs", "actions", "log_q", "q_values", "weights", "old")},
        path=batch.path[rows],
        t=batch.t[rows],
    )
    expected = reference.empirical_fisher(policy, part)
    assert torch.allclose(reference.matrix_of(product, policy.size), expected, atol=1e-10)


def test_the_step_still_obeys_both_tests() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=60)
    learner, found = update("empirical_fim", policy, batch)
    assert float(kl_of(policy, batch, learner.policy.theta).mean()) <= 0.01 * (1 + 1e-6)
    assert found.surrogate_gain > 0
    assert not torch.allclose(learner.policy.theta, update("trpo", policy, batch)[0].policy.theta)

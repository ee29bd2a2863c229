"""Reward-weighted regression: weighted maximum likelihood; for linear Gaussian policies in closed form."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests import reference
from tests.updates.methods.steps import EXACT, kl_of, under_uniform_proposals, update
from trpolab.sampling.batch import Batch


def weights(batch: Batch, temperature: float) -> np.ndarray:
    """w [N·K], written out."""
    q = batch.q_values - (batch.q_values.mean(1, keepdims=True) if batch.q_values.shape[1] > 1 else 0)
    w = np.exp(q / (temperature * q.std())) * batch.weights[:, None]
    return (w / w.sum()).ravel()


@pytest.mark.parametrize("actions", [1, 3])
def test_is_weighted_least_squares_for_a_linear_gaussian(actions: int) -> None:
    policy = reference.small_policy(hidden=())
    batch = reference.small_batch(policy, states=80, actions=actions)
    learner, found = update("rwr", policy, batch, **{**EXACT, "rwr.temperature": 0.7, "rwr.steps": 30})
    assert found.outcome.accepted, found.message
    w = weights(batch, 0.7)
    x = np.hstack([reference.features64(policy, batch.obs).numpy(), np.ones((80, 1))]).repeat(actions, 0)
    a = batch.actions.reshape(-1, 2)
    gain = np.linalg.solve(x.T @ (w[:, None] * x), x.T @ (w[:, None] * a))  # [inputs + 1, 2]
    sigma = np.sqrt((w[:, None] * (a - x @ gain) ** 2).sum(0))
    theta = learner.policy.theta.numpy()
    np.testing.assert_allclose(theta[:6].reshape(2, 3), gain[:3].T, atol=1e-5)
    np.testing.assert_allclose(theta[6:8], gain[3], atol=1e-5)
    np.testing.assert_allclose(np.exp(theta[8:]), sigma, rtol=1e-5)


def test_hot_counts_all_alike_and_cold_takes_the_best() -> None:
    """One state without inputs that matter: the policy becomes the weighted counts of its actions."""
    policy = reference.small_policy("categorical", hidden=())
    batch = reference.small_batch(policy, states=300)
    batch = dataclasses.replace(
        batch, obs=np.zeros_like(batch.obs), constraint_obs=np.zeros_like(batch.obs), weights=np.ones(300)
    )
    old = policy.parameters(reference.features64(policy, batch.obs)).detach()
    drawn = batch.actions[:, 0]
    batch = dataclasses.replace(
        batch,
        old=old.numpy(),
        constraint_old=old.numpy(),
        log_q=old.log_softmax(1).numpy()[np.arange(300), drawn][:, None],
        q_values=(drawn == 2).astype(float)[:, None],
    )
    found = []
    for temperature in (1e6, 0.05):
        given = {"rwr.temperature": temperature, "rwr.steps": 40, "damping": 1e-6, "cg_iterations": 20}
        learner, _ = update("rwr", policy, batch, **given)
        found.append(learner.policy.parameters(torch.zeros(1, 3).double()).detach().softmax(1)[0].numpy())
    np.testing.assert_allclose(found[0], np.bincount(drawn, minlength=3) / 300, atol=1e-3)
    assert found[1][2] > 0.99


def test_under_another_proposal_actions_count_by_how_likely_they_were() -> None:
    policy = reference.small_policy("categorical", hidden=())
    plain = reference.small_batch(policy, states=400)
    uniform = under_uniform_proposals(plain, k=8)
    given = {"rwr.temperature": 1e6, "rwr.steps": 20, "damping": 1e-4}
    learner, _ = update("rwr", policy, uniform, **given)
    kl = kl_of(policy, uniform, learner.policy.theta).mean()
    assert float(kl) < 0.02  # nothing is preferred, so the policy stays, uniform though q was

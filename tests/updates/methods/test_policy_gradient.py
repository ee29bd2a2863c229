"""Policy gradient, Eq. 18."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests import reference
from tests.updates.methods.steps import true_gradient, update


def test_goes_along_the_gradient_to_the_edge_of_the_ball() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    learner, found = update("policy_gradient", policy, batch, **{"policy_gradient.radius": 1e-3})
    move, g = learner.policy.theta - policy.theta, true_gradient(policy, batch)
    assert 0.5 * float(move @ move) == pytest.approx(1e-3)
    assert float(move @ g / (move.norm() * g.norm())) == pytest.approx(1.0)
    assert found.cg is None


def test_no_point_of_the_ball_promises_more() -> None:
    policy = reference.small_policy(hidden=())
    batch = reference.small_batch(policy, states=40)
    _, found = update("policy_gradient", policy, batch, **{"policy_gradient.radius": 1e-3})
    g = true_gradient(policy, batch)
    others = np.random.default_rng(0).normal(size=(1000, policy.size))
    others *= math.sqrt(2e-3) / np.linalg.norm(others, axis=1, keepdims=True)
    assert found.expected_gain > float((others @ g.numpy()).max())


def test_or_a_fixed_multiple_of_it() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    given = {"policy_gradient.rule": "step", "policy_gradient.step": 0.05}
    move = update("policy_gradient", policy, batch, **given)[0].policy.theta - policy.theta
    assert torch.allclose(move, 0.05 * true_gradient(policy, batch), atol=1e-7)

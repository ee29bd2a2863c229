"""What all methods that follow the surrogate's gradient owe to whoever calls `step`."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests import reference
from tests.updates.methods.steps import KINDS, kl_of, update
from trpolab.training.config import settings
from trpolab.updates import METHODS, Outcome, Problem
from trpolab.updates.methods.kl_penalty import STATE

GRADIENT_METHODS = ("trpo", "natural_gradient", "empirical_fim", "max_kl", "kl_penalty", "policy_gradient", "rwr")


@pytest.mark.parametrize("method", GRADIENT_METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_moves_theta_and_reports_what_it_did(method: str, kind: str) -> None:
    policy = reference.small_policy(kind)
    batch = reference.small_batch(policy, states=40)
    learner, found = update(method, policy, batch)
    assert found.outcome.accepted, found.message
    theta = learner.policy.theta
    kl = kl_of(policy, batch, theta)
    gain = reference.surrogate_by_loops(policy, batch, theta) - reference.surrogate_by_loops(
        policy, batch, policy.theta
    )
    assert found.kl_mean == pytest.approx(float(kl.mean()), rel=1e-6)
    assert found.kl_max == pytest.approx(float(kl.max()), rel=1e-6)
    assert found.surrogate_gain == pytest.approx(gain, rel=1e-5)
    g = Problem(policy, batch).gradient()
    assert found.expected_gain == pytest.approx(float(g @ (theta - policy.theta)))


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_writes_to_nothing_and_repeats_itself(method: str) -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40, actions=2)
    theta, q_values = policy.theta.clone(), batch.q_values.copy()
    first, second = (update(method, policy, batch, fisher_fraction=0.5)[0].policy.theta for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(policy.theta, theta)
    np.testing.assert_array_equal(batch.q_values, q_values)


@pytest.mark.reliability
@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_a_batch_that_is_not_finite_is_skipped(method: str) -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    bad = dataclasses.replace(batch, q_values=np.where(batch.t[:, None] == 3, np.nan, batch.q_values))
    learner, found = update(method, policy, bad)
    assert found.outcome is Outcome.SKIPPED_NONFINITE
    assert learner.policy.theta is policy.theta
    assert found.message == "q_values is not finite in row 3 (path 0, t = 3)"


def test_the_state_of_another_method_is_left_behind() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    learner, _ = update("trpo", policy, batch, state={STATE: np.array([2.0])})
    assert learner.state == {}


def test_there_is_a_function_for_every_name_that_may_be_chosen() -> None:
    choices = settings()["method"].choices
    assert choices is not None and set(choices) == set(METHODS)
    assert {name for kind in METHODS.values() for name in kind.names} <= set(settings())

"""Faults seen in real TRPO code, planted one at a time: each must make a check fail that the true code passes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from tests import reference
from tests.faults.points import plant
from tests.reference import step
from trpolab.numerics import conjugate_gradient
from trpolab.policies import Learner
from trpolab.sampling.batch import Estimator
from trpolab.training.config import Config
from trpolab.updates import surrogate


def solve_with_shared_memory(A, b, *, iterations=10, tolerance=1e-10):
    """CG whose p and r are the same memory, while r is updated in place."""
    x, r = torch.zeros_like(b), b.clone()
    p = r
    rr = float(r @ r)
    for _ in range(iterations):
        product = A(p)
        alpha = rr / float(p @ product)
        x += alpha * p
        r -= alpha * product
        previous, rr = rr, float(r @ r)
        if rr < tolerance:
            break
        p = r + rr / previous * p
    return x


def cosine_to_solution(solve) -> float:
    spectrum = np.geomspace(1, 100, 30)
    matrix = torch.from_numpy(reference.random_spd(np.random.default_rng(0), spectrum))
    b = torch.from_numpy(np.random.default_rng(1).normal(size=30))
    x, exact = solve(lambda v: matrix @ v, b), torch.linalg.solve(matrix, b)
    return float(x @ exact / (x.norm() * exact.norm()))


@pytest.mark.reliability("R32")
def test_aliased_cg_vectors() -> None:
    assert cosine_to_solution(lambda A, b: conjugate_gradient(A, b).x) > 0.99
    assert cosine_to_solution(solve_with_shared_memory) < 0.95


def kl_breach(delta: float = 0.5) -> float:
    """How far beyond δ the true KL(old‖new) of an accepted step lies, on a batch that wants σ smaller."""
    policy = reference.small_policy(hidden=())
    batch = reference.small_batch(policy, states=400, actions=1)
    spread = np.abs(batch.actions[:, 0] - batch.old[:, :2]).sum(-1, keepdims=True)
    batch = dataclasses.replace(batch, q_values=-spread + spread.mean())
    config = Config().replace(delta=delta, fisher_fraction=1.0, damping=0.0, shrink=0.95, max_tries=40)
    learner, found = step(Learner(policy), batch, config, np.random.default_rng(0))
    assert found.outcome.accepted, found.message
    new = learner.policy.parameters(reference.features64(policy, batch.obs))
    kl = reference.torch_kl(policy.distribution, torch.from_numpy(batch.old), new).mean()
    return float(kl) - delta


@pytest.mark.reliability("R32")
def test_swapped_kl_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kl_breach() <= 1e-9
    plant("KL arguments swapped", monkeypatch)
    assert kl_breach() > 0.01


@pytest.mark.reliability("R32")
def test_a_line_search_that_ignores_the_kl(monkeypatch: pytest.MonkeyPatch) -> None:
    plant("a line search that ignores the KL", monkeypatch)
    assert kl_breach() > 0.01


@pytest.mark.reliability("R32")
def test_a_search_that_accepts_one_and_a_half_times_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    plant("a line search with one and a half times the bound", monkeypatch)
    assert kl_breach() > 0.01


def rejected_theta_is_the_same() -> bool:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    config = Config().replace(delta=100.0, fisher_fraction=1.0, damping=0.0, max_tries=1)
    learner, found = step(Learner(policy), batch, config, np.random.default_rng(0))
    return not found.outcome.accepted and learner.policy.theta is policy.theta


@pytest.mark.reliability("R13")
def test_a_rejected_candidate_left_in_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rejected_theta_is_the_same()
    plant("a rejected candidate left in the policy", monkeypatch)
    assert not rejected_theta_is_the_same()


def advantage_of_the_step() -> float:
    """gᵀ(θ' - θ) with g by differences of the loop-written surrogate."""
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    config = Config().replace(delta=0.01, fisher_fraction=1.0, line_search=False)
    learner, _ = step(Learner(policy), batch, config, np.random.default_rng(0))
    g = reference.numeric_gradient(lambda t: reference.surrogate_by_loops(policy, batch, t), policy.theta)
    return float(g @ (learner.policy.theta - policy.theta))


@pytest.mark.reliability("R32")
def test_negated_advantages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert advantage_of_the_step() > 0
    plant("advantages negated", monkeypatch)
    assert advantage_of_the_step() < 0


def uniform_proposal_error(values=surrogate.state_values) -> float:
    """Distance of the Eq. 16 estimate under uniform actions from the exact expectation, 3 actions, large K."""
    q_hat, log_pi = torch.tensor([0.2, 1.0, -0.5]), torch.tensor([0.3, -0.2, 0.1]).log_softmax(0)
    drawn = torch.from_numpy(np.random.default_rng(0).integers(0, 3, size=(400, 500)))
    log_w = log_pi[drawn] + math.log(3)
    estimate = values(log_w, q_hat[drawn], Estimator.SELF_NORMALIZED).mean()
    return abs(float(estimate - log_pi.exp() @ q_hat))


@pytest.mark.reliability("R33")
def test_the_old_policy_in_the_denominators_under_a_uniform_proposal() -> None:
    assert uniform_proposal_error() < 0.01
    # at θ_old π_θ/π_old is 1 for every action: the plain mean
    assert uniform_proposal_error(lambda log_w, q, _: q.mean(1)) > 0.03

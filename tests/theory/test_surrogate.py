"""Eq. 1-4 on a thousand random MDPs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.theory import twins
from trpolab import theory
from trpolab.theory import surrogate

CLOSE = 1e-8


def test_the_identities_of_eq_1_and_2() -> None:
    for mdp, old, new in twins.random_cases(1000, seed=10):
        found = theory.identity(mdp, old, new)
        assert found.by_time == pytest.approx(found.eta, abs=CLOSE)
        assert found.by_states == pytest.approx(found.eta, abs=CLOSE)


def test_the_local_model_of_eq_3_by_its_definition() -> None:
    """Σ_t γ^t with the states of π and the actions of π̃, step by step."""
    for mdp, old, new in twins.random_cases(1000, seed=11):
        steps = twins.steps_for(mdp.gamma, 1e-11)
        advantages = theory.evaluate(mdp, old).advantages
        ahead = (new * advantages).sum(1) * mdp.living
        walk = np.einsum("sa,sat->st", old, mdp.transitions)
        state, total = mdp.start, 0.0
        for t in range(steps):
            total += mdp.gamma**t * float(state @ ahead)
            state = state @ walk
        assert theory.local_model(mdp, old, new) == pytest.approx(theory.eta(mdp, old) + total, abs=CLOSE)


def test_the_first_order_match_of_eq_4() -> None:
    for mdp, old, _ in twins.random_cases(1000, seed=12):
        found = theory.first_order_match(mdp, np.log(old))
        assert found.surrogate == pytest.approx(found.eta, abs=CLOSE)
        np.testing.assert_allclose(found.surrogate_gradient, found.eta_gradient, atol=CLOSE)
        np.testing.assert_allclose(theory.policy_gradient(mdp, old).ravel(), found.eta_gradient, atol=CLOSE)


def test_the_gradient_of_eta_is_its_slope() -> None:
    """Against differences of sums over time, which know of no solve."""
    for mdp, old, _ in twins.random_cases(10, seed=13):
        logits, steps, h = np.log(old), twins.steps_for(mdp.gamma), 1e-5
        slopes = []
        for index in range(logits.size):
            moved = h * np.eye(logits.size)[index].reshape(logits.shape)
            ends = [twins.eta_by_steps(mdp, theory.softmax(logits + s * moved), steps) for s in (1, -1)]
            slopes.append((ends[0] - ends[1]) / (2 * h))
        np.testing.assert_allclose(theory.first_order_match(mdp, logits).eta_gradient, slopes, atol=1e-7)


def test_eq_4_holds_for_any_parameters() -> None:
    """Two numbers for the whole policy: they match to first order, and part at the second."""
    mdp = theory.chain(5)
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 5, 2)))

    def table(theta: torch.Tensor) -> torch.Tensor:
        return torch.softmax(torch.tanh(torch.einsum("d,dsa->sa", theta, features)), dim=1)

    theta = np.array([0.7, -0.4])
    found = theory.first_order_match(mdp, theta, table)
    assert found.eta_gradient.shape == (2,)
    np.testing.assert_allclose(found.surrogate_gradient, found.eta_gradient, atol=CLOSE)
    old, new = (table(torch.tensor(t)).numpy() for t in (theta, theta + 0.5))
    assert abs(theory.local_model(mdp, old, new) - theory.eta(mdp, new)) > 1e-3


def test_theta_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"theta: 3 numbers, must be 16, one for each state and action"):
        theory.first_order_match(theory.chain(8), np.zeros(3))


def test_a_sum_over_time_that_hardly_shrinks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mdp = theory.chain(4, gamma=0.99999)
    monkeypatch.setattr(surrogate, "MOST_STEPS", 1000)
    with pytest.raises(ValueError, match=r"gamma = 0.99999: the sum of Eq. 1 has not converged after 1,000 steps"):
        theory.identity(mdp, theory.uniform_policy(mdp), theory.uniform_policy(mdp))

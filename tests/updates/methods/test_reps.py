"""REPS: the dual, and what its weights are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.reference import propose, step
from tests.updates.methods.searches import config, population, quadratic, start
from trpolab.numerics.roots import NoConvergence
from trpolab.updates.methods.reps import reweight


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 2.0])
def test_the_temperature_minimises_the_dual(epsilon: float) -> None:
    returns = np.random.default_rng(0).normal(100.0, 30.0, size=50)
    found = reweight(returns, epsilon)
    grid = np.geomspace(1e-2, 1e4, 20_001)
    dual = [eta * (epsilon + math.log(np.exp((returns - returns.max()) / eta).mean())) for eta in grid]
    best = grid[np.argmin(dual + returns.max())]
    assert found.temperature == pytest.approx(best, rel=1e-3)
    np.testing.assert_allclose(found.weights, np.exp(returns / best) / np.exp(returns / best).sum(), rtol=0.05)
    assert found.kl == pytest.approx(epsilon, rel=1e-6)


def test_no_other_weights_within_epsilon_expect_more() -> None:
    generator = np.random.default_rng(1)
    returns = generator.normal(size=6)
    found = reweight(returns, 0.3)
    for _ in range(20_000):
        other = generator.dirichlet(np.full(6, 2.0))
        if (other * np.log(6 * other)).sum() <= 0.3:
            assert other @ returns <= found.weights @ returns + 1e-9


def test_a_wide_bound_leaves_the_best_alone() -> None:
    found = reweight(np.array([1.0, 3.0, 3.0, 2.0]), 5.0)
    assert found.weights.tolist() == [0.0, 0.5, 0.5, 0.0]
    assert found.kl == pytest.approx(math.log(2))


@pytest.mark.parametrize("scale", [1e-300, 1e-8, 1.0, 1e8, 1e300])
@pytest.mark.parametrize("epsilon", [1e-9, 0.1, 1.0])
def test_the_bound_is_met_on_any_scale(scale: float, epsilon: float) -> None:
    returns = scale * np.random.default_rng(3).normal(size=30)
    assert reweight(returns, epsilon).kl == pytest.approx(epsilon, rel=1e-5)


def test_the_bound_is_met_between_all_but_equal_candidates() -> None:
    """Two all but equal ones far above a third: only a tiny temperature tells them apart."""
    assert reweight(np.array([1 - 1e-15, 1.0, 0.0, 0.0]), 1.2).kl == pytest.approx(1.2, rel=1e-5)


def test_a_bound_that_is_not_met_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoConvergence, match=r"reps\.epsilon = 1e-30: the candidates' weights came to a KL of"):
        monkeypatch.setattr("trpolab.updates.methods.reps._weights_and_kl", lambda *_: (np.ones(3) / 3, 0.5))
        reweight(np.array([0.0, 1.0, 2.0]), 1e-30)


def test_adding_to_or_scaling_all_returns_changes_no_weight() -> None:
    returns = np.random.default_rng(2).normal(size=30)
    plain, moved = reweight(returns, 0.5).weights, reweight(1e4 * returns - 7e5, 0.5).weights
    np.testing.assert_allclose(plain, moved, rtol=1e-5)


def test_the_fit_is_the_weighted_one() -> None:
    learner = start()
    candidates = propose(learner, config("reps"), np.random.default_rng(0))
    returns = quadratic(candidates)
    after, _ = step(learner, population(candidates, returns), config("reps"), np.random.default_rng(0))
    w = reweight(returns, config("reps").reps.epsilon).weights
    mean = sum(weight * candidate for weight, candidate in zip(w, candidates, strict=True))
    covariance = sum(
        weight * np.outer(candidate - mean, candidate - mean) for weight, candidate in zip(w, candidates, strict=True)
    ) / (1 - (w**2).sum())
    np.testing.assert_allclose(after.state["reps.mean"], mean)
    np.testing.assert_allclose(after.state["reps.covariance"], covariance, rtol=1e-4, atol=1e-5)

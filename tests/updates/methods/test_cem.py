"""CEM: elite statistics and the noise schedule, written out."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reference import propose, step
from tests.updates.methods.searches import config, population, quadratic, search, start
from trpolab.updates.methods.cem import elite_count


def test_mean_and_spread_are_those_of_the_elite() -> None:
    settings = {"cem.population": 10, "cem.elite": 0.3, "cem.noise": 0.6, "cem.noise_iterations": 4}
    learner = start()
    for iteration in range(6):
        candidates = propose(learner, config("cem", **settings), np.random.default_rng(iteration))
        returns = quadratic(candidates)
        learner, _ = step(learner, population(candidates, returns), config("cem", **settings), np.random.default_rng(9))
        elite = candidates[sorted(range(10), key=lambda row: -returns[row])[:3]]
        extra = 0.36 * max(0.0, 1 - iteration / 4)
        np.testing.assert_allclose(learner.state["cem.mean"], elite.mean(axis=0))
        np.testing.assert_allclose(learner.state["cem.std"] ** 2, elite.var(axis=0) + extra)
        np.testing.assert_allclose(learner.policy.theta.numpy(), np.clip(elite.mean(axis=0), None, 1e9), rtol=1e-6)


def test_without_noise_the_search_narrows_before_it_has_arrived() -> None:
    """Why Szita and Lőrincz add it: the optimum lies ten starting deviations away."""

    def far(candidates: np.ndarray) -> np.ndarray:
        return -np.abs(candidates - 10).sum(axis=1)

    def missed(noise: float) -> float:
        given = {"cem.noise": noise, "cem.noise_iterations": 30, "cem.std": 1.0}
        return float(np.abs(search("cem", 60, returns=far, **given)[0].state["cem.mean"] - 10).max())

    assert missed(1.0) < 1.0
    assert missed(0.0) > 5.0


@pytest.mark.parametrize(("elite", "count"), [(0.01, 2), (0.2, 8), (0.21, 9), (1.0, 40)])
def test_how_many_are_kept(elite: float, count: int) -> None:
    assert elite_count(config("cem", **{"cem.elite": elite}).cem) == count

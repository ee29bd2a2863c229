"""R32: what must be learned, and that broken twins do not learn it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.faults.points import plant
from tests.reliability.tabular import GAMMA, STATES, Tabular, best, values
from trpolab.selftest.runs import score
from trpolab.training.session import Session

SEEDS = range(5)
MIDDLE, WORST = 400.0, 150.0  # of CartPole-v1's 500 after 30 iterations: interquartile mean, and every seed


def interquartile_mean(scores: list[float]) -> float:
    """Mean of the middle half."""
    ordered, cut = np.sort(scores), len(scores) // 4
    return float(ordered[cut : len(scores) - cut].mean())


@pytest.mark.reliability("R32")
def test_cartpole_is_learned_by_every_seed() -> None:
    scores = [score(seed=seed) for seed in SEEDS]
    assert interquartile_mean(scores) >= MIDDLE, scores
    assert min(scores) >= WORST, scores


@pytest.mark.reliability("R32")
@pytest.mark.parametrize("fault", ["advantages negated", "the sign of the KL flipped"])
def test_a_broken_twin_does_not_learn_it(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(fault, monkeypatch)
    assert score() < WORST


@pytest.mark.reliability("R32")
def test_with_a_damping_of_1000_nothing_is_learned() -> None:
    assert score(damping=1000.0) < WORST


@pytest.mark.reliability("R32")
@pytest.mark.parametrize("sampler", ["single-path", "vine"])
def test_a_finite_mdp_is_solved_to_near_the_exact_optimum(sampler: str) -> None:
    """η by a linear solve, of the probabilities that the learned policy has in each state."""
    vine = {"vine.trunk_length": 50, "vine.states": 40, "vine.rollout_length": 20, "proposal": "all"}
    settings = {"hidden": (), "normalize_observations": False, "gamma": GAMMA, "lam": 1.0, "sampler": sampler}
    for seed in range(2):
        session = Session(
            Tabular, out=None, iterations=25, seed=seed, steps_per_iteration=800, slots=16, **settings, **vine
        )
        start = eta(session.policy)
        session.run()
        assert start < 0.8 * best()
        assert eta(session.policy) > 0.95 * best(), seed


def eta(policy) -> float:
    """E[V(s_0)]."""
    u = policy.parameters(policy.features(np.eye(STATES, dtype=np.float32)))
    return values(u.double().softmax(1).detach().numpy())[2]

"""What the samplers estimate, against the exact gradient of the same truncated problem."""

from __future__ import annotations

import numpy as np
import pytest

from tests.theory import sampled
from trpolab import theory
from trpolab.training.session import Session

MDP = sampled.small_mdp()
LEARNER = sampled.peaked_learner(MDP)
MOST = 4.0  # standard errors


@pytest.mark.parametrize("weighting", ["equal", "discounted"])
def test_single_path_estimates_the_exact_gradient(weighting: str) -> None:
    exact = sampled.exact_single_path(MDP, LEARNER.policy, weighting == "discounted")
    assert sampled.worst_deviation(sampled.by_single_path(MDP, LEARNER, weighting), exact) < MOST


@pytest.mark.parametrize("weighting", ["equal", "discounted"])
@pytest.mark.parametrize("common", [True, False])
def test_all_actions_estimate_the_exact_gradient(weighting: str, common: bool) -> None:
    """Eq. 15."""
    exact = sampled.exact_vine(MDP, LEARNER.policy, weighting == "discounted")
    found = sampled.by_vine(MDP, LEARNER, weighting, proposal="all", common_random_numbers=common)
    assert sampled.worst_deviation(found, exact) < MOST


@pytest.mark.parametrize("proposal", ["policy", "widened", "uniform"])
def test_importance_weights_estimate_the_exact_gradient_whatever_q_was(proposal: str) -> None:
    """Eq. 14 with two actions of three."""
    exact = sampled.exact_vine(MDP, LEARNER.policy, discounted=False)
    found = sampled.by_vine(MDP, LEARNER, proposal=proposal, actions=2, estimator="importance")
    assert sampled.worst_deviation(found, exact) < MOST


@pytest.mark.parametrize("actions", [2, 4])
def test_self_normalising_shrinks_the_gradient_by_a_known_factor(actions: int) -> None:
    """Eq. 16 with q = π: (K-1)/K of the exact gradient, and not the whole of it."""
    exact = sampled.exact_vine(MDP, LEARNER.policy, discounted=False)
    found = sampled.by_vine(MDP, LEARNER, proposal="policy", actions=actions, estimator="self-normalized")
    assert sampled.worst_deviation(found, (actions - 1) / actions * exact) < MOST
    assert sampled.worst_deviation(found, exact) > MOST


def test_more_paths_come_closer() -> None:
    """The agreement is no accident of wide errors: the mean of all repeats is near in relative terms too."""
    exact = sampled.exact_vine(MDP, LEARNER.policy, discounted=False)
    mean = sampled.by_vine(MDP, LEARNER, proposal="all").mean(axis=0)
    assert mean @ exact / np.linalg.norm(mean) / np.linalg.norm(exact) > 0.99
    assert np.linalg.norm(mean) / np.linalg.norm(exact) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("sampler", ["single-path", "vine"])
def test_training_comes_close_to_the_exact_optimum(sampler: str) -> None:
    """With the defaults of the task; the table of the learnt policy is judged exactly."""
    mdp = theory.finite_mdp("finite/gridworld-4x4")
    session = Session("finite/gridworld-4x4", out=None, seed=1, iterations=25, sampler=sampler).run()
    best = theory.eta(mdp, theory.policy_iteration(mdp, theory.uniform_policy(mdp)))
    start, reached = theory.eta(mdp, theory.uniform_policy(mdp)), theory.eta(mdp, theory.tabulate(mdp, session.policy))
    assert best - reached < 0.05 * (best - start)


def test_arrays_of_ones_own_are_a_task() -> None:
    session = Session(MDP, out=None, seed=1, iterations=8, steps_per_iteration=512).run()
    assert session.config.task == "finite/sampled" and session.config.gamma == MDP.gamma
    assert theory.eta(MDP, theory.tabulate(MDP, session.policy)) > theory.eta(MDP, theory.uniform_policy(MDP))

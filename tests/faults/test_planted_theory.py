"""Faults of the theory and of finite MDPs, planted one at a time: each fails a check that the true code passes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.faults.points import plant
from tests.sampling.vine import checks as vine_checks
from tests.theory import sampled, twins
from trpolab import theory

pytestmark = pytest.mark.reliability


def identity_error() -> float:
    """Largest |Eq. 2 - η(π̃)| of some random cases."""
    found = [theory.identity(*case) for case in twins.random_cases(10, seed=90)]
    return max(abs(one.by_states - one.eta) for one in found)


def test_a_normalised_visitation(monkeypatch: pytest.MonkeyPatch) -> None:
    """ρ sums to 1/(1-γ); the mean over states is another thing."""
    assert identity_error() < 1e-8
    plant("a normalised visitation", monkeypatch)
    assert identity_error() > 1e-2


def gap_to_the_first_term() -> float:
    """Largest |L - η - first-order term| of some random cases."""
    found = [(theory.local_model(*case), theory.perturbation(*case)) for case in twins.random_cases(10, seed=91)]
    return max(abs(model - series.eta - series.first) for model, series in found)


def test_a_local_model_with_the_states_of_the_new_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gap_to_the_first_term() < 1e-8
    plant("a local model with the states of the new policy", monkeypatch)
    assert gap_to_the_first_term() > 1e-3


def test_an_epsilon_of_expected_advantages_with_a_squared_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    case = twins.t1_example()
    assert theory.theorem_1(*case).holds
    plant("an epsilon of expected advantages", monkeypatch)
    assert not theory.theorem_1(*case).holds


def agreement_short_of_its_promise() -> float:
    """How far P(n_t = 0) falls below (1-α)^t: one state, three actions, the second policy without the first of them."""
    mdp = theory.FiniteMDP(np.ones((1, 3, 1)), np.zeros(1), np.ones(1), 0.9)
    found = theory.coupling_argument(mdp, np.full((1, 3), 1 / 3), np.array([[0, 0.5, 0.5]]), 5)
    return float((found.agreed_least - found.agreed).max())


def test_one_uniform_for_both_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    assert agreement_short_of_its_promise() < 1e-12
    plant("one uniform for both policies", monkeypatch)
    assert agreement_short_of_its_promise() > 0.1


def largest_kl_breach(delta: float = 0.2) -> float:
    """How far beyond δ the KL(old‖new) of an exact step lies, and of TRPO's own."""
    worst = -np.inf
    for mdp, old, _ in twins.random_cases(10, seed=93):
        for update, spent in ((theory.trpo_step, theory.mean_kl), (theory.max_kl_step, theory.max_kl)):
            worst = max(worst, spent(mdp, old, update(mdp, old, delta).policy) - delta)
    return worst


def test_swapped_kl_arguments_in_an_exact_step(monkeypatch: pytest.MonkeyPatch) -> None:
    assert largest_kl_breach() < 1e-6
    plant("KL arguments swapped in an exact step", monkeypatch)
    assert largest_kl_breach() > 1e-3


def worst_rise(iterations: int = 6) -> float:
    """The least of η(π_{i+1}) - M_i(π_{i+1}) over Algorithm 1's iterations: negative where a promise is broken."""
    least = np.inf
    for mdp, old, _ in twins.random_cases(4, seed=94):
        run = theory.improve(mdp, old, theory.algorithm_1_step, iterations)
        least = min(least, *(after - step.guaranteed for after, step in zip(run.etas[1:], run.steps, strict=True)))
    return float(least)


def test_a_penalty_without_the_squared_horizon(monkeypatch: pytest.MonkeyPatch) -> None:
    """C without 1/(1-γ)²: the steps are larger, and M is no lower bound any more."""
    assert worst_rise() >= -1e-10
    plant("a penalty without the squared horizon", monkeypatch)
    assert worst_rise() < -1e-4


def test_a_multiplier_that_is_not_the_constraints(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that takes 1/t for μ stops short of the maximum of M."""
    mdp, old, _ = next(twins.random_cases(1, seed=95))
    best = theory.algorithm_1_step(mdp, old).guaranteed
    plant("a multiplier that is not the constraint's", monkeypatch)
    assert theory.algorithm_1_step(mdp, old).guaranteed < best - 1e-9


def single_path_deviation(weighting: str = "discounted") -> float:
    mdp = sampled.small_mdp()
    learner = sampled.peaked_learner(mdp)
    exact = sampled.exact_single_path(mdp, learner.policy, weighting == "discounted")
    return sampled.worst_deviation(sampled.by_single_path(mdp, learner, weighting), exact)


def test_states_without_their_discount(monkeypatch: pytest.MonkeyPatch) -> None:
    assert single_path_deviation() < 4
    plant("states without their discount", monkeypatch)
    assert single_path_deviation() > 4


def test_returns_that_do_not_discount(monkeypatch: pytest.MonkeyPatch) -> None:
    plant("returns that do not discount", monkeypatch)
    assert single_path_deviation() > 4


def test_a_restore_without_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert vine_checks.replay_difference("finite/random-20x4") == 0
    plant("finite MDPs restored without the noise", monkeypatch)
    assert vine_checks.replay_difference("finite/random-20x4") > 0


def test_a_finite_restore_without_the_step_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert vine_checks.steps_to_the_limit("finite/chain-8", 90) == 10
    plant("finite MDPs restored without the step counter", monkeypatch)
    assert vine_checks.steps_to_the_limit("finite/chain-8", 90) > 10

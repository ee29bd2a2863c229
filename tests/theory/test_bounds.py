"""Every bound on 3,000 random cases; the pairings of ε and distance; the numbers of the paper and of its readers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.theory import twins
from trpolab import theory

BOUNDS = (
    theory.theorem_1,
    theory.kl_bound,
    theory.coupling_bound,
    theory.pinsker_bound,
    theory.mean_tv_bound,
    theory.mean_kl_bound,
)


def test_no_bound_is_violated_and_the_wrong_pairing_is() -> None:
    rng, broken = np.random.default_rng(20), 0
    for mdp, old, new in twins.random_cases(3000, seed=21):
        for bound in BOUNDS:
            both = bound(mdp, old, new)
            assert both.eta >= both.bound - 1e-9, bound.__name__
            assert both.holds
        mixed = theory.mixture_bound(mdp, old, theory.greedy(mdp, old), rng.uniform())
        assert mixed.eta >= mixed.bound - 1e-9 and mixed.holds
        wrong = theory.mispaired_bound(mdp, old, new)
        broken += wrong.eta < wrong.bound - 1e-9
    assert broken >= 100


def test_eq_6_holds_for_a_mixture_with_any_policy() -> None:
    for mdp, old, target in twins.random_cases(300, seed=22):
        for alpha in (0.01, 0.3, 1.0):
            assert theory.mixture_bound(mdp, old, target, alpha).holds


def test_both_sides_are_what_they_say() -> None:
    """One case written out: γ, ε, the distances and the factors of each bound."""
    for mdp, old, new in twins.random_cases(20, seed=23):
        if mdp.terminal.any():
            continue
        advantages = theory.evaluate(mdp, old).advantages
        eps, eps_bar = np.abs(advantages).max(), np.abs((new * advantages).sum(1)).max()
        tv, kl = 0.5 * np.abs(old - new).sum(1), twins.kl(old, new)
        steps = twins.steps_for(mdp.gamma)
        d = (1 - mdp.gamma) * mdp.gamma ** np.arange(steps) @ twins.states_at(mdp, old, steps)
        g, a = mdp.gamma, tv.max()
        expected = {
            theory.theorem_1: 4 * eps * g / (1 - g) ** 2 * a**2,
            theory.kl_bound: 4 * eps * g / (1 - g) ** 2 * kl.max(),
            theory.coupling_bound: 4 * a**2 * g * eps / ((1 - g) * (1 - g * (1 - a))),
            theory.pinsker_bound: 2 * eps * g / (1 - g) ** 2 * kl.max(),
            theory.mean_tv_bound: 2 * eps_bar * g / (1 - g) ** 2 * (d @ tv),
            theory.mean_kl_bound: 2 * eps_bar * g / (1 - g) ** 2 * math.sqrt(d @ kl / 2),
        }
        for bound, penalty in expected.items():
            both = bound(mdp, old, new)
            assert both.eta == theory.eta(mdp, new)
            assert both.surrogate == pytest.approx(theory.local_model(mdp, old, new))
            assert both.surrogate - both.bound == pytest.approx(penalty, rel=1e-6), bound.__name__


def test_the_later_bounds_are_ordered() -> None:
    for mdp, old, new in twins.random_cases(200, seed=24):
        penalties = {bound.__name__: bound(mdp, old, new).penalty for bound in BOUNDS}
        assert penalties["coupling_bound"] <= penalties["theorem_1"] <= penalties["kl_bound"] + 1e-12
        assert penalties["pinsker_bound"] == pytest.approx(penalties["kl_bound"] / 2)
        assert penalties["mean_tv_bound"] <= penalties["mean_kl_bound"] + 1e-12


def test_the_smallest_case_that_breaks_the_wrong_pairing() -> None:
    alpha = 0.01
    mdp, old, new = twins.t1_example(alpha)
    off = theory.eta(mdp, new) - theory.local_model(mdp, old, new)
    assert off == pytest.approx(-(0.25 * alpha**2) / (2 * 0.5 * (1 + 0.5 * alpha)), abs=1e-15)
    assert off == pytest.approx(-2.48756e-5, rel=1e-5)
    wrong = theory.mispaired_bound(mdp, old, new)
    assert wrong.penalty == pytest.approx(2e-6)
    assert not wrong.holds and wrong.used == pytest.approx(12.4, abs=0.05)
    assert theory.theorem_1(mdp, old, new).penalty == pytest.approx(2e-4)
    assert theory.mean_tv_bound(mdp, old, new).penalty == pytest.approx(1e-4)


@pytest.mark.parametrize(("gamma", "constant"), [(0.9, 360), (0.95, 1520), (0.99, 39_600), (0.995, 159_200)])
def test_the_size_of_c(gamma: float, constant: float) -> None:
    assert theory.penalty_constant(gamma) == pytest.approx(constant)
    assert theory.penalty_constant(gamma, 2.5) == pytest.approx(2.5 * constant)


def test_how_far_a_step_within_delta_may_fall() -> None:
    assert theory.worst_fall(0.99, 0.01) == pytest.approx(1400, rel=1e-3)


def test_a_step_within_delta_falls_no_further() -> None:
    for mdp, old, _ in twins.random_cases(60, seed=25):
        for delta in (0.01, 0.5):
            new = theory.mean_kl_step(mdp, old, delta).policy
            epsilon = np.abs(theory.expected_advantages(mdp, old, new)).max()
            assert theory.eta(mdp, new) >= theory.eta(mdp, old) - theory.worst_fall(mdp.gamma, delta, epsilon)


def test_one_policy_twice_leaves_nothing_to_pay() -> None:
    mdp, old, _ = next(twins.random_cases(1, seed=26))
    for bound in BOUNDS:
        both = bound(mdp, old, old)
        assert both.penalty == pytest.approx(0, abs=1e-6) and both.holds


def test_an_action_given_up_makes_the_kl_infinite_and_the_bound_empty() -> None:
    mdp = theory.chain(4)
    both = theory.kl_bound(mdp, theory.uniform_policy(mdp), np.tile([1.0, 0.0], (4, 1)))
    assert both.bound == -math.inf and both.holds


@pytest.mark.parametrize("bound", BOUNDS)
def test_without_a_discount_there_is_no_bound(bound) -> None:
    mdp = theory.gridworld(2, 2, gamma=1.0)
    policy = theory.uniform_policy(mdp)
    with pytest.raises(ValueError, match=r"gamma = 1.0: the bounds divide by \(1-γ\)² and need 0 <= gamma < 1"):
        bound(mdp, policy, policy)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, math.nan])
def test_a_mixture_outside_0_and_1_is_refused(alpha: float) -> None:
    mdp = theory.chain(4)
    policy = theory.uniform_policy(mdp)
    with pytest.raises(ValueError, match=f"alpha = {alpha}: must be between 0 and 1"):
        theory.mixture_bound(mdp, policy, policy, alpha)


def test_a_negative_delta_is_refused() -> None:
    with pytest.raises(ValueError, match=r"delta = -1: must be at least 0"):
        theory.worst_fall(0.9, -1)

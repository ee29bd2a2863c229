"""Exact and conservative policy iteration."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from tests.theory import twins
from trpolab import theory
from trpolab.theory import steps


def test_policy_iteration_finds_the_best_of_all_policies() -> None:
    for mdp, old, _ in twins.random_cases(30, seed=50, states=4, actions=3):
        best = theory.policy_iteration(mdp, old)
        assert theory.eta(mdp, best) == pytest.approx(twins.best_by_enumeration(mdp), abs=1e-9)
        assert theory.evaluate(mdp, best).advantages.max() <= 1e-9


def test_no_step_of_it_makes_anything_worse() -> None:
    for mdp, old, _ in twins.random_cases(100, seed=51):
        run = theory.improve(mdp, old, theory.policy_iteration_step, 6)
        assert (np.diff(run.etas) >= -1e-10).all()
        assert all(after >= step.guaranteed - 1e-10 for after, step in zip(run.etas[1:], run.steps, strict=True))


def test_equally_good_actions_do_not_keep_it_going() -> None:
    """Every action the same: whatever the policy takes most, stays."""
    rng = np.random.default_rng(0)
    one = theory.random_mdp(5, 1, generator=rng)
    mdp = theory.FiniteMDP(np.repeat(one.transitions, 3, 1), np.repeat(one.rewards, 3, 1), one.start, 0.9)
    best = theory.policy_iteration(mdp, theory.random_policy(mdp, rng))
    assert np.array_equal(best, theory.policy_iteration(mdp, best))


class TestConservative:
    def test_its_target_maximises_the_local_model(self) -> None:
        for mdp, old, new in twins.random_cases(100, seed=52):
            target = theory.greedy(mdp, old)
            assert theory.local_model(mdp, old, target) >= theory.local_model(mdp, old, new) - 1e-12

    def test_its_step_size_maximises_the_right_side_of_eq_6(self) -> None:
        tried = np.linspace(0, 1, 101)
        for mdp, old, _ in twins.random_cases(15, seed=53):
            target = theory.greedy(mdp, old)
            alpha = theory.conservative_step_size(mdp, old, target)
            promises = [theory.mixture_bound(mdp, old, target, a).bound for a in tried]
            assert theory.mixture_bound(mdp, old, target, alpha).bound >= max(promises) - 1e-10
            assert abs(alpha - tried[np.argmax(promises)]) <= 0.0101

    def test_it_never_gets_worse_and_keeps_its_promise(self) -> None:
        for mdp, old, _ in twins.random_cases(60, seed=54):
            run = theory.improve(mdp, old, theory.conservative_step, 20)
            for before, after, step in zip(run.etas, run.etas[1:], run.steps, strict=False):
                assert after >= step.guaranteed - 1e-10
                assert step.guaranteed >= before - 1e-10

    def test_its_policy_is_the_mixture_of_eq_5(self) -> None:
        mdp, old, _ = next(twins.random_cases(1, seed=55))
        step = theory.conservative_step(mdp, old, alpha=0.25)
        np.testing.assert_allclose(step.policy, 0.75 * old + 0.25 * theory.greedy(mdp, old), atol=1e-15)
        assert step.tv_max <= 0.25

    def test_at_the_optimum_it_stays(self) -> None:
        mdp = theory.chain(5)
        best = theory.policy_iteration(mdp, theory.uniform_policy(mdp))
        assert theory.conservative_step_size(mdp, best, theory.greedy(mdp, best)) == 0

    def test_a_step_size_outside_0_and_1_is_refused(self) -> None:
        mdp = theory.chain(5)
        with pytest.raises(ValueError, match=r"alpha = 2: must be between 0 and 1"):
            theory.conservative_step(mdp, theory.uniform_policy(mdp), alpha=2)


def test_no_iterations_are_refused() -> None:
    mdp = theory.chain(5)
    with pytest.raises(ValueError, match=r"iterations = 0: must be at least 1"):
        theory.improve(mdp, theory.uniform_policy(mdp), theory.policy_iteration_step, 0)


def test_the_example_in_the_documentation() -> None:
    assert doctest.testmod(steps, extraglobs=vars(theory)) == doctest.TestResults(failed=0, attempted=2)

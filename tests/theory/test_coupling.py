"""Appendix A: couplings, Lemmas 2 and 3, and the misprint of Eq. 32."""

from __future__ import annotations

import numpy as np
import pytest

from tests.theory import twins
from trpolab import theory
from trpolab.theory import FiniteMDP


def distributions(count: int, actions: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.full(actions, 0.5), size=(2, count))
    q[::5] = p[::5]
    return p, q


@pytest.mark.parametrize("actions", [1, 2, 3, 7])
@pytest.mark.parametrize("coupling", [theory.maximal_coupling, theory.shared_uniform_coupling])
def test_a_coupling_has_its_marginals(coupling, actions: int) -> None:
    p, q = distributions(200, actions, seed=30)
    joint = coupling(p, q)
    assert (joint >= 0).all()
    np.testing.assert_allclose(joint.sum(-1), p, atol=1e-12)
    np.testing.assert_allclose(joint.sum(-2), q, atol=1e-12)


def test_the_maximal_coupling_disagrees_as_little_as_can_be() -> None:
    """P(a ≠ ã) >= D_TV for every coupling; the maximal one attains it."""
    p, q = distributions(300, 4, seed=31)
    tv = 0.5 * np.abs(p - q).sum(-1)
    np.testing.assert_allclose(theory.disagreement(theory.maximal_coupling(p, q)), tv, atol=1e-12)
    shared = theory.disagreement(theory.shared_uniform_coupling(p, q))
    assert (shared >= tv - 1e-12).all() and (shared > tv + 0.05).any()


def test_one_uniform_for_both_is_not_maximal() -> None:
    p, q = np.full(3, 1 / 3), np.array([0, 0.5, 0.5])
    assert theory.disagreement(theory.maximal_coupling(p, q)) == pytest.approx(1 / 3)
    assert theory.disagreement(theory.shared_uniform_coupling(p, q)) == pytest.approx(1 / 2)


def test_shared_uniforms_are_what_they_say() -> None:
    """Against draws by the inverse cumulative distribution."""
    p, q = np.array([0.2, 0.5, 0.3]), np.array([0.4, 0.1, 0.5])
    u = (np.arange(100_000) + 0.5) / 100_000
    a, b = (np.searchsorted(np.cumsum(x), u, side="right") for x in (p, q))
    counted = np.zeros((3, 3))
    np.add.at(counted, (a, b), 1e-5)
    np.testing.assert_allclose(theory.shared_uniform_coupling(p, q), counted, atol=2e-5)


class TestArgument:
    def test_both_lemmas_hold_at_every_state_and_step(self) -> None:
        for mdp, old, new in twins.random_cases(300, seed=32):
            found = theory.coupling_argument(mdp, old, new, steps=30)
            assert (np.abs(found.expected_advantages) <= found.lemma_2 + 1e-10).all()
            assert (np.abs(found.under_new - found.under_old) <= found.lemma_3 + 1e-10).all()
            assert (found.agreed >= found.agreed_least - 1e-10).all()
            assert abs(found.error) <= found.error_bound + 1e-10

    def test_the_steps_sum_to_the_error_of_the_local_model(self) -> None:
        for mdp, old, new in twins.random_cases(100, seed=33):
            steps = twins.steps_for(mdp.gamma)
            found, discounts = theory.coupling_argument(mdp, old, new, steps), mdp.gamma ** np.arange(steps)
            error = theory.eta(mdp, new) - theory.local_model(mdp, old, new)
            assert found.error == pytest.approx(error, abs=1e-12)
            assert discounts @ (found.under_new - found.under_old) == pytest.approx(error, abs=1e-9)
            assert discounts @ found.lemma_3 == pytest.approx(found.error_bound, rel=1e-9)

    def test_agreement_is_that_of_coupled_trajectories(self) -> None:
        """Two policies side by side, 20,000 times: same draw while their states agree."""
        mdp, old, new = next(twins.random_cases(1, seed=34, actions=3))
        rng, runs, steps = np.random.default_rng(0), 20_000, 6
        joint = theory.maximal_coupling(old, new)
        state = rng.choice(mdp.states, size=runs, p=mdp.start)
        agreeing, seen = np.ones(runs, bool), []
        for _ in range(steps):
            seen.append(agreeing.mean())
            pairs = joint[state].reshape(runs, -1).cumsum(1)
            pair = (pairs <= rng.random((runs, 1)) * pairs[:, -1:]).sum(1)
            first, second = np.divmod(pair, mdp.actions)
            agreeing &= first == second
            moves = mdp.transitions[state, first].cumsum(1)
            state = np.minimum((moves <= rng.random((runs, 1))).sum(1), mdp.states - 1)
        exact = theory.coupling_argument(mdp, old, new, steps).agreed
        np.testing.assert_allclose(seen, exact, atol=4 * 0.5 / np.sqrt(runs))

    def test_an_argument_by_shared_uniforms_breaks_its_promise(self) -> None:
        """From three actions on it disagrees more often than α."""
        transitions = np.full((1, 3, 1), 1.0)
        mdp = FiniteMDP(transitions, np.zeros(1), np.ones(1), 0.9)
        old, new = np.full((1, 3), 1 / 3), np.array([[0, 0.5, 0.5]])
        found = theory.coupling_argument(mdp, old, new, 5, theory.shared_uniform_coupling)
        assert (found.agreed[1:] < found.agreed_least[1:] - 0.1).all()

    def test_the_printed_middle_of_eq_32_fails(self) -> None:
        """2α max Ā bounds nothing; 2(1-(1-α)^t) max |Ā| does."""
        printed_fails = False
        for mdp, old, new in twins.random_cases(300, seed=35):
            found = theory.coupling_argument(mdp, old, new, steps=20)
            gap, ahead = np.abs(found.under_new - found.under_old), found.expected_advantages
            assert (gap <= 2 * (1 - found.agreed_least) * np.abs(ahead).max() + 1e-10).all()
            printed_fails |= bool((gap > 2 * found.alpha * ahead.max() + 1e-6).any())
        assert printed_fails

    def test_no_steps_are_refused(self) -> None:
        mdp = theory.chain(4)
        with pytest.raises(ValueError, match=r"steps = 0: must be at least 1"):
            theory.coupling_argument(mdp, theory.uniform_policy(mdp), theory.uniform_policy(mdp), steps=0)

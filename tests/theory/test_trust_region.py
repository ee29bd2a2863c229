"""Algorithm 1 and the exact trust-region steps: optimal, within their limits, and never worse."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch

from tests.theory import twins
from trpolab import theory
from trpolab.numerics import conjugate_gradient
from trpolab.theory import FiniteMDP


def objective(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> float:
    """M(π̃) of Algorithm 1, written out."""
    values = theory.evaluate(mdp, old)
    penalty = 4 * np.abs(values.advantages).max() * mdp.gamma / (1 - mdp.gamma) ** 2
    living = mdp.living
    return theory.local_model(mdp, old, new) - penalty * twins.kl(old, new)[living].max()


def nudged(policy: np.ndarray, rng: np.random.Generator, size: float) -> np.ndarray:
    """Another policy close by."""
    return theory.softmax(np.log(policy) + size * rng.normal(size=policy.shape))


class TestAlgorithm1:
    def test_eta_never_falls_and_rises_as_much_as_eq_10_says(self) -> None:
        """100 random MDPs, 50 iterations each."""
        for mdp, old, _ in twins.random_cases(100, seed=60):
            run = theory.improve(mdp, old, theory.algorithm_1_step, 50)
            assert np.diff(run.etas).min() >= -1e-10
            promised = np.array([step.guaranteed for step in run.steps])
            assert (run.etas[1:] >= promised - 1e-10).all()  # η(π_{i+1}) >= M_i(π_{i+1})
            assert (promised >= run.etas[:-1] - 1e-10).all()  # M_i(π_{i+1}) >= M_i(π_i) = η(π_i)
            assert max(step.residual for step in run.steps) < 1e-7
            assert run.etas[-1] > run.etas[0]

    def test_no_other_policy_has_a_larger_minorant(self) -> None:
        rng = np.random.default_rng(61)
        for mdp, old, _ in twins.random_cases(40, seed=62):
            step = theory.algorithm_1_step(mdp, old)
            best = objective(mdp, old, step.policy)
            assert step.guaranteed == pytest.approx(best, abs=1e-9)
            for size in (1e-5, 1e-3, 0.1):
                assert all(objective(mdp, old, nudged(step.policy, rng, size)) <= best + 1e-12 for _ in range(10))
            along = [objective(mdp, old, theory.mixture(old, step.policy, share)) for share in (0.5, 0.9, 1.1)[:2]]
            assert max(along) <= best + 1e-12

    def test_against_a_grid_over_all_policies(self) -> None:
        """Two states, two actions: the whole square of policies, finer and finer."""
        transitions = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.1, 0.9]]])
        mdp = FiniteMDP(transitions, np.array([[0.0, 1.0], [0.3, -1.0]]), np.array([0.5, 0.5]), 0.3)
        old = np.array([[0.6, 0.4], [0.3, 0.7]])
        values, eps = theory.evaluate(mdp, old), np.abs(theory.evaluate(mdp, old).advantages).max()
        centre, width = np.array([0.5, 0.5]), 0.4999
        for _ in range(14):
            axes = [np.clip(np.linspace(c - width, c + width, 201), 1e-9, 1 - 1e-9) for c in centre]
            second = np.stack(np.meshgrid(*axes, indexing="ij"), -1)  # π̃(1|s) [G, G, S]
            policies = np.stack([1 - second, second], -1)
            gain = (policies * values.advantages).sum(-1) @ values.visits
            minorant = values.eta + gain - 4 * eps * 0.3 / 0.7**2 * twins.kl(old, policies).max(-1)
            best = np.unravel_index(minorant.argmax(), minorant.shape)
            centre, width = second[best], 0.3 * width
        step = theory.algorithm_1_step(mdp, old)
        np.testing.assert_allclose(step.policy[:, 1], centre, atol=1e-5)
        assert step.guaranteed == pytest.approx(minorant.max(), abs=1e-9) and step.guaranteed >= minorant.max() - 1e-13

    def test_its_steps_are_tiny_at_gamma_099(self) -> None:
        rng = np.random.default_rng(63)
        mdp = theory.random_mdp(10, 3, gamma=0.99, generator=rng)
        step = theory.algorithm_1_step(mdp, theory.uniform_policy(mdp))
        assert 0 < step.kl_max < 1e-4
        assert theory.trpo_step(mdp, theory.uniform_policy(mdp), 0.01).kl_max > 100 * step.kl_max

    def test_where_nothing_can_be_gained_it_stays(self) -> None:
        mdp = FiniteMDP(np.full((2, 2, 2), 0.5), np.ones(2), np.array([1.0, 0.0]), 0.9)
        step = theory.algorithm_1_step(mdp, np.array([[0.3, 0.7], [0.5, 0.5]]))
        assert step.policy.tolist() == [[0.3, 0.7], [0.5, 0.5]] and step.kl_max == 0

    def test_a_policy_without_some_action_is_refused(self) -> None:
        mdp = theory.chain(4)
        policy = theory.uniform_policy(mdp)
        policy[2] = [0, 1]
        with pytest.raises(ValueError, match=r"policy\[2, 0\] = 0: a step measured by KL\(old‖new\) needs all prob"):
            theory.algorithm_1_step(mdp, policy)

    def test_without_a_discount_it_is_refused(self) -> None:
        mdp = theory.gridworld(2, 2, gamma=1.0)
        with pytest.raises(ValueError, match=r"gamma = 1.0: the bounds divide"):
            theory.algorithm_1_step(mdp, theory.uniform_policy(mdp))


@pytest.mark.parametrize(
    ("update", "spent"),
    [(theory.max_kl_step, lambda mdp, kl, d: kl.max()), (theory.mean_kl_step, lambda mdp, kl, d: d @ kl / d.sum())],
    ids=["max KL", "mean KL"],
)
class TestConstrained:
    @pytest.mark.parametrize("delta", [1e-9, 1e-3, 0.1, 1.0])
    def test_it_spends_delta_and_no_other_policy_gains_more(self, update, spent, delta: float) -> None:
        rng = np.random.default_rng(64)
        for mdp, old, _ in twins.random_cases(15, seed=65):
            new, d = update(mdp, old, delta).policy, theory.evaluate(mdp, old).visits
            assert spent(mdp, theory.kl_by_state(mdp, old, new), d) == pytest.approx(delta, rel=1e-6)
            best = theory.local_model(mdp, old, new)
            for size in (1e-4, 0.01, 0.3):
                for _ in range(10):
                    other = nudged(new, rng, size * math.sqrt(delta))
                    if spent(mdp, theory.kl_by_state(mdp, old, other), d) <= delta:
                        assert theory.local_model(mdp, old, other) <= best + 1e-12

    def test_a_large_delta_is_policy_iteration(self, update, spent) -> None:
        mdp, old, _ = next(twins.random_cases(1, seed=66))
        np.testing.assert_allclose(update(mdp, old, 100.0).policy, theory.greedy(mdp, old), atol=1e-9)

    @pytest.mark.parametrize("delta", [0, -1, math.inf, math.nan])
    def test_delta_is_above_0(self, update, spent, delta: float) -> None:
        mdp = theory.chain(4)
        with pytest.raises(ValueError, match=f"delta = {delta}: must be above 0"):
            update(mdp, theory.uniform_policy(mdp), delta)


def peaked(count: int, seed: int, sharpest: float):
    """MDPs with policies whose logits spread up to `sharpest`: all but certain of an action, right or wrong."""
    generator = np.random.default_rng(seed)
    for mdp, *_ in twins.random_cases(count, seed):
        logits = generator.uniform(1, sharpest) * generator.normal(size=(mdp.states, mdp.actions))
        yield mdp, np.maximum(theory.softmax(logits), 1e-300)


@pytest.mark.parametrize("sharpest", [10.0, 60.0, 400.0])
@pytest.mark.parametrize("delta", [1e-6, 0.01, 0.33, 5.0])
def test_peaked_policies_keep_to_delta(delta: float, sharpest: float) -> None:
    for mdp, old in peaked(40, seed=71, sharpest=sharpest):
        by_mean, by_max = theory.mean_kl_step(mdp, old, delta), theory.max_kl_step(mdp, old, delta)
        assert by_mean.kl_mean <= delta * (1 + 1e-6) and by_max.kl_max <= delta * (1 + 1e-6)
        assert by_mean.residual <= 1e-6 and by_max.residual <= 1e-6
        for step in (by_mean, by_max):
            assert (step.policy[mdp.living] > 0).all() and step.surrogate >= theory.eta(mdp, old) - 1e-9
        # no mixture with the greedy policy, and no step that TRPO's direction leads to, gains more
        for share in (1e-6, 1e-3, 0.1, 0.5):
            other = theory.mixture(old, np.maximum(theory.greedy(mdp, old), 1e-300), share)
            if theory.mean_kl(mdp, old, other) <= delta:
                assert theory.local_model(mdp, old, other) <= by_mean.surrogate + 1e-9
            if theory.max_kl(mdp, old, other) <= delta:
                assert theory.local_model(mdp, old, other) <= by_max.surrogate + 1e-9


def test_peaked_policies_spend_delta_where_they_can() -> None:
    """Where the best action has probability 1e-300, it has a way to go, and it goes as far as the KL allows."""
    mdp = FiniteMDP(np.full((2, 2, 2), 0.5), np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0.5, 0.5]), 0.5)
    for tiny in (1e-12, 1e-200, 1e-300, 5e-324):
        old = np.array([[1 - tiny, tiny], [0.5, 0.5]])
        for delta in (1e-4, 0.1, 3.0):
            by_max = theory.max_kl_step(mdp, old, delta)
            assert by_max.kl_max == pytest.approx(delta, rel=1e-6)
            kl = theory.kl_by_state(mdp, old, by_max.policy)
            np.testing.assert_allclose(kl, delta, rtol=1e-6)
            # by hand: (1 - p) -> KL = -log(1 - p) with p the new probability of the better action
            assert by_max.policy[0, 1] == pytest.approx(-np.expm1(-delta), rel=1e-6)
            assert theory.mean_kl_step(mdp, old, delta).kl_mean == pytest.approx(delta, rel=1e-6)
        step = theory.algorithm_1_step(mdp, old)
        assert step.residual <= 1e-6 and theory.eta(mdp, step.policy) >= step.guaranteed - 1e-12


def test_a_policy_that_is_as_good_as_it_gets_takes_the_end_of_its_curves() -> None:
    """Only 1e-300 is left to move, which no δ of a usual size is spent by."""
    mdp = FiniteMDP(np.full((2, 2, 2), 0.5), np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0.5, 0.5]), 0.5)
    old = np.array([[1e-300, 1.0], [1.0, 1e-300]])
    for update in (theory.max_kl_step, theory.mean_kl_step):
        step = update(mdp, old, 0.01)
        assert step.kl_max <= 1e-290 and step.policy.argmax(1).tolist() == [1, 0] and (step.policy > 0).all()


def test_the_mean_constraint_allows_more_than_the_max() -> None:
    for mdp, old, _ in twins.random_cases(30, seed=67):
        by_mean, by_max = theory.mean_kl_step(mdp, old, 0.05), theory.max_kl_step(mdp, old, 0.05)
        assert by_mean.surrogate >= by_max.surrogate - 1e-9
        assert by_mean.kl_max >= by_max.kl_max - 1e-9


class TestTRPO:
    def test_its_direction_solves_a_s_equals_g(self) -> None:
        """Against conjugate gradient on the dense Hessian of the mean KL, differentiated by torch."""
        for mdp, old, _ in twins.random_cases(8, seed=68, states=3):
            if mdp.terminal.any():
                continue
            values, delta = theory.evaluate(mdp, old), 1e-8
            p, d = torch.from_numpy(old), torch.from_numpy(values.state_weights)

            def mean_kl(logits, p=p, d=d):
                log_q = torch.log_softmax(logits.reshape(p.shape), 1)
                return d @ (p * (p.log() - log_q)).sum(1)

            hessian = torch.autograd.functional.hessian(mean_kl, p.log().reshape(-1))
            g = torch.from_numpy(theory.policy_gradient(mdp, old).ravel())
            cg = conjugate_gradient(lambda v, h=hessian: h @ v, g, iterations=60, tolerance=1e-24)
            logits = np.log(old) + math.sqrt(2 * delta / cg.curvature) * cg.x.numpy().reshape(old.shape)
            step = theory.trpo_step(mdp, old, delta * (1 + 1e-3), shrink=0.999)
            moved = step.policy - old
            expected = theory.softmax(logits) - old
            cosine = (moved * expected).sum() / np.linalg.norm(moved) / np.linalg.norm(expected)
            assert cosine > 1 - 1e-6
            assert step.kl_mean == pytest.approx(delta, rel=0.01)

    def test_it_stays_within_delta_and_gains(self) -> None:
        for mdp, old, _ in twins.random_cases(60, seed=69):
            for delta in (1e-4, 0.05, 2.0):
                step = theory.trpo_step(mdp, old, delta)
                assert step.kl_mean <= delta + 1e-12
                assert step.surrogate > theory.eta(mdp, old)
                assert step.surrogate <= theory.mean_kl_step(mdp, old, delta).surrogate + 1e-9

    def test_small_steps_are_the_exact_ones(self) -> None:
        for mdp, old, _ in twins.random_cases(20, seed=70):
            exact = theory.mean_kl_step(mdp, old, 1e-8)
            near = theory.trpo_step(mdp, old, 1e-8, shrink=0.99)
            gain = near.surrogate - theory.eta(mdp, old)
            assert gain == pytest.approx(exact.surrogate - theory.eta(mdp, old), rel=0.02)

    def test_it_learns_the_gridworld(self) -> None:
        mdp = theory.gridworld(4, 4)
        start = theory.uniform_policy(mdp)
        run = theory.improve(mdp, start, partial(theory.trpo_step, delta=0.1), 40)
        best = theory.eta(mdp, theory.policy_iteration(mdp, start))
        assert run.etas[0] < best - 5 and run.etas[-1] > best - 0.01

    def test_where_nothing_can_be_gained_it_stays(self) -> None:
        mdp = FiniteMDP(np.full((2, 2, 2), 0.5), np.ones(2), np.array([1.0, 0.0]), 0.9)
        policy = np.array([[0.3, 0.7], [0.5, 0.5]])
        for update in (theory.trpo_step, theory.max_kl_step, theory.mean_kl_step):
            assert update(mdp, policy, 0.1).policy.tolist() == policy.tolist()

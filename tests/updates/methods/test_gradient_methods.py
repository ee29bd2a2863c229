"""The methods that follow the surrogate's gradient, each against its definition, from dense matrices and loops."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from tests import reference
from tests.reference import step
from trpolab.policies import Learner, Policy
from trpolab.sampling.batch import Batch, Estimator
from trpolab.settings import ConfigError
from trpolab.simulators import find_task
from trpolab.training.config import Config, resolve, settings
from trpolab.updates import METHODS, Outcome, Problem, factors_of_three
from trpolab.updates.methods.kl_penalty import STATE

KINDS = list(reference.ACTION_SPACES)
EXACT = {"fisher_fraction": 1.0, "damping": 0.0, "cg_iterations": 200}
GRADIENT_METHODS = ("trpo", "natural_gradient", "empirical_fim", "max_kl", "kl_penalty", "policy_gradient", "rwr")


def update(method: str, policy: Policy, batch: Batch, seed: int = 0, state=None, **settings):
    config = Config().replace(method=method, **{"delta": 0.01, "fisher_fraction": 1.0, **settings})
    return step(Learner(policy, state=state or {}), batch, config, np.random.default_rng(seed))


def true_gradient(policy: Policy, batch: Batch) -> torch.Tensor:
    return reference.numeric_gradient(lambda t: reference.surrogate_by_loops(policy, batch, t), policy.theta)


def kl_of(policy: Policy, batch: Batch, theta: torch.Tensor) -> torch.Tensor:
    new = policy.parameters(reference.features64(policy, batch.constraint_obs), theta)
    return reference.torch_kl(policy.distribution, torch.from_numpy(batch.constraint_old), new)


def under_uniform_proposals(batch: Batch, n: int = 3, k: int = 6, seed: int = 4) -> Batch:
    """The same states with K actions each drawn uniformly from n."""
    drawn = np.random.default_rng(seed).integers(0, n, size=(len(batch.obs), k))
    q_values = np.random.default_rng(seed + 1).normal(size=drawn.shape)
    return dataclasses.replace(batch, actions=drawn, log_q=np.full(drawn.shape, -math.log(n)), q_values=q_values)


class TestEveryMethod:
    """What all of them owe to whoever calls `step`."""

    @pytest.mark.parametrize("method", GRADIENT_METHODS)
    @pytest.mark.parametrize("kind", KINDS)
    def test_moves_theta_and_reports_what_it_did(self, method: str, kind: str) -> None:
        policy = reference.small_policy(kind)
        batch = reference.small_batch(policy, states=40)
        learner, found = update(method, policy, batch)
        assert found.outcome.accepted, found.message
        theta = learner.policy.theta
        kl = kl_of(policy, batch, theta)
        gain = reference.surrogate_by_loops(policy, batch, theta) - reference.surrogate_by_loops(
            policy, batch, policy.theta
        )
        assert found.kl_mean == pytest.approx(float(kl.mean()), rel=1e-6)
        assert found.kl_max == pytest.approx(float(kl.max()), rel=1e-6)
        assert found.surrogate_gain == pytest.approx(gain, rel=1e-5)
        g = Problem(policy, batch).gradient()
        assert found.expected_gain == pytest.approx(float(g @ (theta - policy.theta)))

    @pytest.mark.parametrize("method", GRADIENT_METHODS)
    def test_writes_to_nothing_and_repeats_itself(self, method: str) -> None:
        policy = reference.small_policy()
        batch = reference.small_batch(policy, states=40, actions=2)
        theta, q_values = policy.theta.clone(), batch.q_values.copy()
        first, second = (update(method, policy, batch, fisher_fraction=0.5)[0].policy.theta for _ in range(2))
        assert torch.equal(first, second)
        assert torch.equal(policy.theta, theta)
        np.testing.assert_array_equal(batch.q_values, q_values)

    @pytest.mark.reliability
    @pytest.mark.parametrize("method", GRADIENT_METHODS)
    def test_a_batch_that_is_not_finite_is_skipped(self, method: str) -> None:
        policy = reference.small_policy()
        batch = reference.small_batch(policy, states=40)
        bad = dataclasses.replace(batch, q_values=np.where(batch.t[:, None] == 3, np.nan, batch.q_values))
        learner, found = update(method, policy, bad)
        assert found.outcome is Outcome.SKIPPED_NONFINITE
        assert learner.policy.theta is policy.theta
        assert found.message == "q_values is not finite in row 3 (path 0, t = 3)"

    def test_the_state_of_another_method_is_left_behind(self) -> None:
        policy = reference.small_policy()
        batch = reference.small_batch(policy, states=40)
        learner, _ = update("trpo", policy, batch, state={STATE: np.array([2.0])})
        assert learner.state == {}

    def test_there_is_a_function_for_every_name_that_may_be_chosen(self) -> None:
        choices = settings()["method"].choices
        assert choices is not None and set(choices) == set(METHODS)
        assert {name for kind in METHODS.values() for name in kind.names} <= set(settings())


class TestNaturalGradient:
    """θ' = θ + (1/λ) A⁻¹g, nothing else."""

    def test_is_the_dense_solution_however_far(self) -> None:
        policy = reference.small_policy(hidden=())
        batch = reference.small_batch(policy, states=60)
        learner, found = update(
            "natural_gradient", policy, batch, **{**EXACT, "damping": 1e-3, "natural_gradient.step": 2.5}
        )
        matrix = reference.dense_fisher(policy, reference.features64(policy, batch.obs)) + 1e-3 * torch.eye(policy.size)
        expected = 2.5 * torch.linalg.solve(matrix, true_gradient(policy, batch))
        assert torch.allclose(learner.policy.theta - policy.theta, expected, rtol=1e-3, atol=1e-6)
        assert found.search is None
        assert found.kl_mean > 0.01  # δ means nothing to it

    def test_twice_the_step_is_twice_the_move(self) -> None:
        policy = reference.small_policy()
        batch = reference.small_batch(policy, states=60)
        moves = [
            update("natural_gradient", policy, batch, **{"natural_gradient.step": length})[0].policy.theta
            - policy.theta
            for length in (0.1, 0.2)
        ]
        assert torch.allclose(2 * moves[0], moves[1], rtol=1e-9)

    def test_the_sweep_goes_in_factors_of_three(self) -> None:
        steps = factors_of_three(0.9, 2)
        assert steps == pytest.approx((0.1, 0.3, 0.9, 2.7, 8.1))


class TestEmpiricalFisher:
    """The covariance of the score, by one loop over samples and one over actions."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("actions", [1, 3])
    def test_is_the_loop(self, kind: str, actions: int) -> None:
        policy = reference.small_policy(kind)
        batch = reference.small_batch(policy, actions=actions)
        found = reference.matrix_of(Problem(policy, batch).fisher(kind="empirical"), policy.size)
        assert torch.allclose(found, reference.empirical_fisher(policy, batch), atol=1e-10)

    def test_under_another_proposal_the_scores_are_reweighted(self) -> None:
        policy = reference.small_policy("categorical")
        batch = under_uniform_proposals(reference.small_batch(policy, states=9))
        found = reference.matrix_of(Problem(policy, batch).fisher(kind="empirical"), policy.size)
        assert torch.allclose(found, reference.empirical_fisher(policy, batch), atol=1e-10)

    def test_over_every_action_once_it_is_the_analytic_matrix(self) -> None:
        """Uniform q over all three actions, each tried once: the average over actions is exact."""
        policy = reference.small_policy("categorical")
        batch = reference.small_batch(policy, states=9)
        tried = np.tile(np.arange(3), (9, 1))
        batch = dataclasses.replace(
            batch, actions=tried, log_q=np.full((9, 3), -math.log(3)), q_values=np.ones((9, 3)) * tried
        )
        found = reference.matrix_of(Problem(policy, batch).fisher(kind="empirical"), policy.size)
        assert torch.allclose(
            found, reference.dense_fisher(policy, reference.features64(policy, batch.obs)), atol=1e-10
        )

    def test_approaches_the_analytic_matrix_with_more_samples(self) -> None:
        policy = reference.small_policy(hidden=())
        errors = []
        for states in (200, 20_000):
            batch = reference.small_batch(policy, states=states)
            problem = Problem(policy, batch)
            dense = reference.matrix_of(problem.fisher(), policy.size)
            found = reference.matrix_of(problem.fisher(kind="empirical"), policy.size)
            errors.append(float((found - dense).norm() / dense.norm()))
        assert errors[1] < errors[0] / 4
        assert errors[1] < 0.1

    def test_a_share_of_the_states_takes_their_own_actions(self) -> None:
        policy = reference.small_policy()
        batch = reference.small_batch(policy, states=30, actions=2)
        product = Problem(policy, batch).fisher(0.2, np.random.default_rng(3), "empirical")
        rows = np.sort(np.random.default_rng(3).choice(30, 6, replace=False, shuffle=False))
        part = dataclasses.replace(
            batch,
            **{name: getattr(batch, name)[rows] for name in ("obs", "actions", "log_q", "q_values", "weights", "old")},
            path=batch.path[rows],
            t=batch.t[rows],
        )
        expected = reference.empirical_fisher(policy, part)
        assert torch.allclose(reference.matrix_of(product, policy.size), expected, atol=1e-10)

    def test_the_step_still_obeys_both_tests(self) -> None:
        policy = reference.small_policy()
        batch = reference.small_batch(policy, states=60)
        learner, found = update("empirical_fim", policy, batch)
        assert float(kl_of(policy, batch, learner.policy.theta).mean()) <= 0.01 * (1 + 1e-6)
        assert found.surrogate_gain > 0
        assert not torch.allclose(learner.policy.theta, update("trpo", policy, batch)[0].policy.theta)


class TestMaxKL:
    """Eq. 11: every sampled state stays under δ."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("delta", [1e-4, 1e-2, 1.0])
    def test_no_state_goes_beyond_delta(self, kind: str, delta: float) -> None:
        policy = reference.small_policy(kind)
        batch = reference.small_batch(policy, states=40)
        learner, found = update("max_kl", policy, batch, delta=delta)
        assert found.outcome.accepted
        kl = kl_of(policy, batch, learner.policy.theta)
        assert float(kl.max()) <= delta * (1 + 1e-6)
        assert float(kl.mean()) < float(kl.max())
        assert found.kl_max == pytest.approx(float(kl.max()), rel=1e-6)

    def test_a_small_full_step_spends_delta_in_the_state_that_moves_most(self) -> None:
        policy = reference.small_policy()
        batch = reference.small_batch(policy, states=40)
        learner, _ = update("max_kl", policy, batch, delta=1e-6, damping=0.0, line_search=False)
        assert float(kl_of(policy, batch, learner.policy.theta).max()) == pytest.approx(1e-6, rel=0.01)

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_largest_curvature_is_that_of_the_dense_matrices(self, kind: str) -> None:
        policy = reference.small_policy(kind)
        batch = reference.small_batch(policy, states=12)
        v = torch.randn(policy.size, dtype=torch.float64)
        x = reference.features64(policy, batch.obs)
        each = [float(v @ reference.dense_fisher(policy, row.unsqueeze(0)) @ v) for row in x]
        assert Problem(policy, batch).largest_curvature(v) == pytest.approx(max(each))

    def test_it_goes_along_trpos_direction_and_less_far(self) -> None:
        policy = reference.small_policy()
        batch = reference.small_batch(policy, states=40)
        most, mean = (update(m, policy, batch)[0].policy.theta - policy.theta for m in ("max_kl", "trpo"))
        assert float(most @ mean / (most.norm() * mean.norm())) == pytest.approx(1.0)
        assert float(most.norm()) < float(mean.norm())


class TestKLPenalty:
    """The maximum of L - C·KL."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("penalty", [30.0, 100.0])
    def test_ends_where_the_penalised_objective_is_flat(self, kind: str, penalty: float) -> None:
        policy = reference.small_policy(kind)
        batch = reference.small_batch(policy, states=20)
        settings = {"kl_penalty.coefficient": "fixed", "kl_penalty.penalty": penalty, "kl_penalty.ascents": 300}
        learner, _ = update("kl_penalty", policy, batch, damping=1e-3, cg_iterations=50, **settings)
        x, actions = reference.features64(policy, batch.obs), torch.from_numpy(batch.actions[:, 0])
        log_q, q_values = torch.from_numpy(batch.log_q[:, 0]), torch.from_numpy(batch.q_values[:, 0])
        weights = torch.from_numpy(batch.weights / batch.weights.sum())

        def objective(theta: torch.Tensor) -> torch.Tensor:
            log_pi = reference.torch_log_prob(policy.distribution, policy.parameters(x, theta), actions)
            gained = (weights * (log_pi - log_q).exp() * q_values).sum()
            return gained - penalty * kl_of(policy, batch, theta).mean()

        at_start, at_end = (
            torch.autograd.functional.jacobian(objective, theta).norm()
            for theta in (policy.theta, learner.policy.theta)
        )
        assert objective(learner.policy.theta) > objective(policy.theta)
        assert float(at_end) < 0.03 * float(at_start)

    def test_the_slope_is_that_of_the_loops(self) -> None:
        policy = reference.small_policy()
        batch = reference.small_batch(policy, states=9, actions=2, estimator=Estimator.SELF_NORMALIZED)
        trunk = reference.small_batch(policy, states=7, seed=9)
        for other in (batch, dataclasses.replace(batch, constraint_obs=trunk.obs, constraint_old=trunk.old)):
            away = policy.theta + 0.1
            expected = reference.numeric_gradient(
                lambda t, b=other: reference.surrogate_by_loops(policy, b, t) - 2.5 * float(kl_of(policy, b, t).mean()),
                away,
            )
            assert torch.allclose(Problem(policy, other).penalized_slope(away, 2.5), expected, atol=1e-7)

    def test_one_ascent_with_a_large_c_is_the_natural_gradient_with_lambda_c(self) -> None:
        policy = reference.small_policy()
        batch = reference.small_batch(policy, states=40)
        given = {"kl_penalty.coefficient": "fixed", "kl_penalty.penalty": 1000.0, "kl_penalty.ascents": 1}
        penalised = update("kl_penalty", policy, batch, **given)[0].policy.theta
        natural = update("natural_gradient", policy, batch, **{"natural_gradient.step": 1e-3})[0].policy.theta
        assert torch.allclose(penalised, natural, rtol=1e-9)

    @pytest.mark.parametrize(("delta", "factor"), [(1e-5, 2.0), (10.0, 0.5)])
    def test_an_adaptive_c_turns_towards_delta(self, delta: float, factor: float) -> None:
        policy = reference.small_policy()
        batch = reference.small_batch(policy, states=40)
        learner, found = update("kl_penalty", policy, batch, delta=delta, **{"kl_penalty.penalty": 4.0})
        assert found.penalty == 4.0
        assert learner.state[STATE].tolist() == [4.0 * factor]
        assert update("kl_penalty", policy, batch, state=learner.state)[1].penalty == 4.0 * factor

    def test_the_theorys_c_allows_hardly_any_step(self) -> None:
        policy = reference.small_policy()
        batch = reference.small_batch(policy, states=40)
        _, found = update("kl_penalty", policy, batch, gamma=0.99, **{"kl_penalty.coefficient": "theory"})
        largest = np.abs(batch.q_values - batch.q_values.mean()).max()
        assert found.penalty == pytest.approx((1 - 0.99) * 39_600 * largest)
        assert 0 < found.kl_mean < 1e-4

    def test_the_theorys_c_needs_a_discount(self) -> None:
        with pytest.raises(ConfigError, match="gamma = 1"):
            resolve(
                find_task("CartPole-v1"),
                overrides={"method": "kl_penalty", "kl_penalty.coefficient": "theory", "gamma": 1.0},
            )


class TestPolicyGradient:
    """Eq. 18."""

    def test_goes_along_the_gradient_to_the_edge_of_the_ball(self) -> None:
        policy = reference.small_policy()
        batch = reference.small_batch(policy, states=40)
        learner, found = update("policy_gradient", policy, batch, **{"policy_gradient.radius": 1e-3})
        move, g = learner.policy.theta - policy.theta, true_gradient(policy, batch)
        assert 0.5 * float(move @ move) == pytest.approx(1e-3)
        assert float(move @ g / (move.norm() * g.norm())) == pytest.approx(1.0)
        assert found.cg is None

    def test_no_point_of_the_ball_promises_more(self) -> None:
        policy = reference.small_policy(hidden=())
        batch = reference.small_batch(policy, states=40)
        _, found = update("policy_gradient", policy, batch, **{"policy_gradient.radius": 1e-3})
        g = true_gradient(policy, batch)
        others = np.random.default_rng(0).normal(size=(1000, policy.size))
        others *= math.sqrt(2e-3) / np.linalg.norm(others, axis=1, keepdims=True)
        assert found.expected_gain > float((others @ g.numpy()).max())

    def test_or_a_fixed_multiple_of_it(self) -> None:
        policy = reference.small_policy()
        batch = reference.small_batch(policy, states=40)
        given = {"policy_gradient.rule": "step", "policy_gradient.step": 0.05}
        move = update("policy_gradient", policy, batch, **given)[0].policy.theta - policy.theta
        assert torch.allclose(move, 0.05 * true_gradient(policy, batch), atol=1e-7)


class TestRewardWeightedRegression:
    """Weighted maximum likelihood; for linear Gaussian policies in closed form."""

    def weights(self, batch: Batch, temperature: float) -> np.ndarray:
        """w [N·K], written out."""
        q = batch.q_values - (batch.q_values.mean(1, keepdims=True) if batch.q_values.shape[1] > 1 else 0)
        w = np.exp(q / (temperature * q.std())) * batch.weights[:, None]
        return (w / w.sum()).ravel()

    @pytest.mark.parametrize("actions", [1, 3])
    def test_is_weighted_least_squares_for_a_linear_gaussian(self, actions: int) -> None:
        policy = reference.small_policy(hidden=())
        batch = reference.small_batch(policy, states=80, actions=actions)
        learner, found = update("rwr", policy, batch, **{**EXACT, "rwr.temperature": 0.7, "rwr.steps": 30})
        assert found.outcome.accepted, found.message
        w = self.weights(batch, 0.7)
        x = np.hstack([reference.features64(policy, batch.obs).numpy(), np.ones((80, 1))]).repeat(actions, 0)
        a = batch.actions.reshape(-1, 2)
        gain = np.linalg.solve(x.T @ (w[:, None] * x), x.T @ (w[:, None] * a))  # [inputs + 1, 2]
        sigma = np.sqrt((w[:, None] * (a - x @ gain) ** 2).sum(0))
        theta = learner.policy.theta.numpy()
        np.testing.assert_allclose(theta[:6].reshape(2, 3), gain[:3].T, atol=1e-5)
        np.testing.assert_allclose(theta[6:8], gain[3], atol=1e-5)
        np.testing.assert_allclose(np.exp(theta[8:]), sigma, rtol=1e-5)

    def test_hot_counts_all_alike_and_cold_takes_the_best(self) -> None:
        """One state without inputs that matter: the policy becomes the weighted counts of its actions."""
        policy = reference.small_policy("categorical", hidden=())
        batch = reference.small_batch(policy, states=300)
        batch = dataclasses.replace(
            batch, obs=np.zeros_like(batch.obs), constraint_obs=np.zeros_like(batch.obs), weights=np.ones(300)
        )
        old = policy.parameters(reference.features64(policy, batch.obs)).detach()
        drawn = batch.actions[:, 0]
        batch = dataclasses.replace(
            batch,
            old=old.numpy(),
            constraint_old=old.numpy(),
            log_q=old.log_softmax(1).numpy()[np.arange(300), drawn][:, None],
            q_values=(drawn == 2).astype(float)[:, None],
        )
        found = []
        for temperature in (1e6, 0.05):
            given = {"rwr.temperature": temperature, "rwr.steps": 40, "damping": 1e-6, "cg_iterations": 20}
            learner, _ = update("rwr", policy, batch, **given)
            found.append(learner.policy.parameters(torch.zeros(1, 3).double()).detach().softmax(1)[0].numpy())
        np.testing.assert_allclose(found[0], np.bincount(drawn, minlength=3) / 300, atol=1e-3)
        assert found[1][2] > 0.99

    def test_under_another_proposal_actions_count_by_how_likely_they_were(self) -> None:
        policy = reference.small_policy("categorical", hidden=())
        plain = reference.small_batch(policy, states=400)
        uniform = under_uniform_proposals(plain, k=8)
        given = {"rwr.temperature": 1e6, "rwr.steps": 20, "damping": 1e-4}
        learner, _ = update("rwr", policy, uniform, **given)
        kl = kl_of(policy, uniform, learner.policy.theta).mean()
        assert float(kl) < 0.02  # nothing is preferred, so the policy stays, uniform though q was

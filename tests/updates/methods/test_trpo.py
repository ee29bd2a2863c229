"""The whole TRPO step: its outcomes, its numbers recomputed from scratch, and what it leaves alone."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from tests import reference
from tests.faults.points import instead, plant, replace
from tests.reference import step
from trpolab.numerics import CGStatus, cg
from trpolab.policies import MLP, Learner, Policy, categorical
from trpolab.policies import mlp as networks
from trpolab.policies import network as base
from trpolab.sampling.batch import Batch, Estimator
from trpolab.training.config import Config
from trpolab.updates import (
    Diagnostics,
    Outcome,
    Problem,
    fisher,
    problem,
    step_length,
)

KINDS = list(reference.ACTION_SPACES)


def config(**settings) -> Config:
    return Config().replace(**{"delta": 0.01, "fisher_fraction": 1.0, **settings})


def update(policy: Policy, batch: Batch, seed: int = 0, **settings) -> tuple[Learner, Diagnostics]:
    return step(Learner(policy), batch, config(**settings), np.random.default_rng(seed))


def kl_of(policy: Policy, batch: Batch, theta: torch.Tensor) -> torch.Tensor:
    new = policy.parameters(reference.features64(policy, batch.constraint_obs), theta)
    return reference.torch_kl(policy.distribution, torch.from_numpy(batch.constraint_old), new)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("estimator", "actions"), [(Estimator.IMPORTANCE, 1), (Estimator.SELF_NORMALIZED, 4)])
@pytest.mark.parametrize("settings", [{}, {"fisher_fraction": 0.3}, {"delta": 1.0}, {"fisher": "hessian"}], ids=str)
def test_an_accepted_step_passes_both_tests_recomputed(kind, estimator, actions, settings) -> None:
    policy = reference.small_policy(kind)
    batch = reference.small_batch(policy, states=40, actions=actions, estimator=estimator)
    settings = {f"trust.{name}" if name == "fisher" else name: value for name, value in settings.items()}
    learner, found = update(policy, batch, **settings)
    assert found.outcome.accepted, found.message
    kl = kl_of(policy, batch, learner.policy.theta)
    gain = reference.surrogate_by_loops(policy, batch, learner.policy.theta) - reference.surrogate_by_loops(
        policy, batch, policy.theta
    )
    assert gain > 0
    assert float(kl.mean()) <= settings.get("delta", 0.01) * (1 + 1e-6)
    assert found.kl_mean == pytest.approx(float(kl.mean()), rel=1e-6)
    assert found.kl_max == pytest.approx(float(kl.max()), rel=1e-6)
    assert found.surrogate_gain == pytest.approx(gain, rel=1e-5)
    assert found.search.last.fraction == found.step_fraction
    assert (found.outcome is Outcome.ACCEPTED) == (found.step_fraction == 1)
    g = Problem(policy, batch).gradient()
    assert found.expected_gain == pytest.approx(float(g @ (learner.policy.theta - policy.theta)), rel=1e-9)
    assert found.gradient_norm == pytest.approx(float(g.norm()))
    entropy = reference.torch_entropy(policy.distribution, torch.from_numpy(batch.old)).mean()
    assert found.entropy == pytest.approx(float(entropy))


def test_the_full_step_is_the_one_of_appendix_c() -> None:
    """θ' - θ = √(2δ / gᵀA⁻¹g) A⁻¹g with the dense matrix, when CG converges."""
    policy = reference.small_policy(hidden=())
    batch = reference.small_batch(policy, states=60)
    learner, found = update(policy, batch, delta=1e-4, damping=1e-3, cg_iterations=200, line_search=False)
    assert found.outcome is Outcome.ACCEPTED
    x = reference.features64(policy, batch.obs)
    matrix = reference.dense_fisher(policy, x) + 1e-3 * torch.eye(policy.size)
    g = reference.numeric_gradient(lambda t: reference.surrogate_by_loops(policy, batch, t), policy.theta)
    direction = torch.linalg.solve(matrix, g)
    expected = math.sqrt(2e-4 / float(g @ direction)) * direction
    assert torch.allclose(learner.policy.theta - policy.theta, expected, rtol=1e-3, atol=1e-6)
    assert found.step_curvature == pytest.approx(float(g @ direction), rel=1e-3)
    assert found.beta == pytest.approx(math.sqrt(2e-4 / float(g @ direction)), rel=1e-3)


def test_beta_comes_from_the_damped_curvature_of_the_truncated_direction() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=30)
    _, found = update(policy, batch, cg_iterations=2, damping=0.05)
    matrix = reference.dense_fisher(policy, reference.features64(policy, batch.obs)) + 0.05 * torch.eye(policy.size)
    s = found.cg.x
    assert found.cg.status is CGStatus.ITERATION_LIMIT
    assert found.step_curvature == pytest.approx(float(s @ matrix @ s), rel=1e-6)
    assert found.beta == step_length(0.01, found.step_curvature)


def test_a_linear_change_of_parameters_does_not_change_the_step() -> None:
    """Inputs scaled by a matrix: undamped and with CG converged, the new policy is the same one."""
    policy = reference.small_policy(hidden=())
    batch = reference.small_batch(policy, states=50)
    mix = np.array([[2.0, 0.3, 0.0], [0.0, 0.5, 0.1], [0.4, 0.0, 1.5]], np.float32)
    weight = policy.network.layers[0].weight(policy.theta)
    mixed_weight = torch.linalg.solve(torch.from_numpy(mix.T).double(), weight.T).T  # (W M⁻¹) (M x) = W x
    theta = torch.cat([mixed_weight.reshape(-1), policy.theta[6:]])
    obs = (batch.obs.astype(np.float32).astype(np.float64)) @ mix.T.astype(np.float64)
    other = policy.replace(theta=theta)
    # features are float32: old parameters are computed again from what the policies really see
    batches = [
        dataclasses.replace(batch, obs=o, constraint_obs=o, old=u, constraint_old=u)
        for o, p in ((batch.obs, policy), (obs, other))
        for u in [p.parameters(reference.features64(p, o)).numpy()]
    ]
    settings = {"damping": 0.0, "cg_iterations": 100, "line_search": False}
    first, second = (update(p, b, **settings)[0].policy for p, b in zip((policy, other), batches, strict=True))
    moved = [p.parameters(reference.features64(p, b.obs)) for p, b in zip((first, second), batches, strict=True)]
    assert float((moved[0] - torch.from_numpy(batches[0].old)).abs().max()) > 0.05
    assert torch.allclose(*moved, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_by_differences(kind: str) -> None:
    policy = reference.small_policy(kind)
    batch = reference.small_batch(policy, actions=2)
    expected = reference.numeric_gradient(lambda t: reference.surrogate_by_loops(policy, batch, t), policy.theta)
    assert torch.allclose(Problem(policy, batch).gradient(), expected, atol=1e-7)


def test_a_candidate_is_evaluated_once_for_both_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    passes = []
    honest = Policy.evaluate
    monkeypatch.setattr(Policy, "evaluate", lambda self, *given: passes.append(0) or honest(self, *given))
    _, found = update(policy, batch, delta=1.0, damping=1e-4)
    assert len(passes) == len(found.search.trials)  # θ_old's came with the gradient


def test_constraint_states_may_be_others_than_those_with_actions() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    trunk = reference.small_batch(policy, states=25, seed=9)
    vine = dataclasses.replace(batch, constraint_obs=trunk.obs, constraint_old=trunk.old)
    learner, found = update(policy, vine)
    assert found.kl_mean == pytest.approx(float(kl_of(policy, trunk, learner.policy.theta).mean()), rel=1e-6)
    shared = update(policy, dataclasses.replace(batch, constraint_obs=batch.obs.copy()))[0]
    assert torch.allclose(shared.policy.theta, update(policy, batch)[0].policy.theta, rtol=1e-12)


def test_chunks_do_not_change_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    whole = update(policy, batch)[0].policy.theta
    monkeypatch.setattr(MLP, "chunk", 7)
    assert torch.allclose(update(policy, batch)[0].policy.theta, whole, rtol=1e-9)


def test_threads_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    monkeypatch.setattr(MLP, "chunk", 7)
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(update(policy, batch)[0].policy.theta)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("kind", KINDS)
def test_other_devices_run_the_same_step_in_torch(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off the CPU tensors stay tensors; here the same code is made to run on the CPU."""
    policy = reference.small_policy(kind)
    batch = reference.small_batch(policy, states=40)
    in_numpy = update(policy, batch)[0].policy.theta
    for module in (networks, base, categorical, fisher, problem, cg):
        monkeypatch.setattr(module, "as_array", lambda tensor: tensor.detach())
    monkeypatch.setattr(np, "tanh", lambda *given, **named: pytest.fail("NumPy was used"))
    assert torch.allclose(update(policy, batch)[0].policy.theta, in_numpy, rtol=1e-9)


def test_nothing_handed_in_is_written_to_and_the_same_again_is_the_same() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    theta = policy.theta.clone()
    before = {
        f.name: np.copy(getattr(batch, f.name))
        for f in dataclasses.fields(batch)
        if f.name in ("obs", "q_values", "old", "actions", "log_q", "weights")
    }
    first, second = (update(policy, batch, fisher_fraction=0.5)[0].policy.theta for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(policy.theta, theta)
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(batch, name), array)


def test_the_generator_draws_the_fisher_states() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    first, second = (update(policy, batch, seed, fisher_fraction=0.2)[0].policy.theta for seed in (0, 1))
    assert not torch.equal(first, second)


def test_without_line_search_the_full_step_is_taken_however_far() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    learner, found = update(policy, batch, delta=3.0, damping=1e-6, line_search=False)
    assert found.outcome is Outcome.ACCEPTED
    assert found.search is None
    assert found.step_fraction == 1
    assert torch.allclose(learner.policy.theta - policy.theta, found.beta * found.cg.x)
    assert found.kl_mean == pytest.approx(float(kl_of(policy, batch, learner.policy.theta).mean()), rel=1e-5)
    assert found.kl_mean > 3.0


class TestOutcomes:
    """Every way to end, and θ bit for bit the old one wherever the step was not taken."""

    @pytest.fixture
    def policy(self) -> Policy:
        return reference.small_policy()

    @pytest.fixture
    def batch(self, policy: Policy) -> Batch:
        return reference.small_batch(policy, states=40)

    def refused(self, policy: Policy, batch: Batch, outcome: Outcome, **settings) -> Diagnostics:
        learner = Learner(policy)
        after, found = step(learner, batch, config(**settings), np.random.default_rng(0))
        assert found.outcome is outcome, found.message
        assert not found.outcome.accepted
        assert after is learner
        assert after.policy.theta is policy.theta
        assert found.message
        for name in ("surrogate_gain", "expected_gain", "kl_mean", "kl_max", "step_fraction"):
            assert getattr(found, name) is None
        return found

    @pytest.mark.reliability("R11")
    @pytest.mark.parametrize("name", ["obs", "actions", "log_q", "q_values", "weights", "old"])
    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_the_first_bad_tensor_is_named(self, policy: Policy, batch: Batch, name: str, bad: float) -> None:
        array = np.array(getattr(batch, name), dtype=np.float64)
        array[7] = bad
        found = self.refused(policy, dataclasses.replace(batch, **{name: array}), Outcome.SKIPPED_NONFINITE)
        assert found.message == f"{name} is not finite in row 7 (path 0, t = 7)"

    @pytest.mark.reliability("R11")
    def test_parameters_and_constraint_states_that_are_not_finite(self, policy: Policy, batch: Batch) -> None:
        old = batch.constraint_old.copy()
        old[3, 0] = np.nan
        found = self.refused(policy, dataclasses.replace(batch, constraint_old=old), Outcome.SKIPPED_NONFINITE)
        assert found.message == "constraint_old is not finite in row 3"
        theta = policy.theta.clone()
        theta[0] = np.nan
        found = self.refused(policy.replace(theta=theta), batch, Outcome.SKIPPED_NONFINITE)
        assert "theta" in found.message

    @pytest.mark.reliability("R11")
    def test_a_gradient_that_overflows(self, policy: Policy, batch: Batch) -> None:
        huge = dataclasses.replace(batch, log_q=batch.log_q - 800)
        found = self.refused(policy, huge, Outcome.SKIPPED_NONFINITE)
        assert "gradient" in found.message

    @pytest.mark.reliability("R11")
    def test_a_product_that_is_not_finite(self, policy, batch, monkeypatch) -> None:
        replace("update: Fisher product", instead(lambda *given: lambda v: v * math.nan), monkeypatch)
        found = self.refused(policy, batch, Outcome.SKIPPED_NONFINITE)
        assert "product" in found.message

    @pytest.mark.reliability("R11")
    def test_new_parameters_that_are_not_finite_are_refused_without_line_search(self, policy, batch) -> None:
        single = policy.replace(theta=policy.theta.float())
        found = self.refused(single, batch, Outcome.SKIPPED_NONFINITE, delta=1e300, line_search=False)
        assert "new parameters" in found.message

    @pytest.mark.reliability("R12")
    @pytest.mark.parametrize("curvature", [-1.0, 0.0])
    def test_nonpositive_curvature(self, policy, batch, monkeypatch, curvature: float) -> None:
        replace("update: Fisher product", instead(lambda *given: lambda v: curvature * v), monkeypatch)
        found = self.refused(policy, batch, Outcome.REJECTED_NONPOSITIVE_CURVATURE, damping=0.0)
        assert found.beta is None
        assert "damping" in found.message

    @pytest.mark.reliability("R12")
    def test_curvature_that_turns_negative_later_keeps_the_iterate_before(self, policy, batch, monkeypatch) -> None:
        sign = torch.ones(policy.size, dtype=torch.float64)
        sign[-1] = -0.5
        replace("update: Fisher product", instead(lambda *given: lambda v: sign * v), monkeypatch)
        learner, found = update(policy, batch, damping=0.0)
        assert found.cg.status is CGStatus.NONPOSITIVE_CURVATURE
        assert found.cg.iterations >= 1
        assert found.outcome.accepted
        assert bool(learner.policy.theta.isfinite().all())
        assert "curvature" in found.message

    @pytest.mark.reliability("R13")
    def test_a_line_search_that_cannot_succeed(self, policy, batch, monkeypatch) -> None:
        plant("a direction that goes backwards", monkeypatch)
        found = self.refused(policy, batch, Outcome.REJECTED_LINE_SEARCH, max_tries=4)
        assert len(found.search.trials) == 4
        assert "did not gain in 4" in found.message

    @pytest.mark.reliability("R13")
    def test_a_bound_too_tight_for_the_tries(self, policy, batch) -> None:
        found = self.refused(policy, batch, Outcome.REJECTED_LINE_SEARCH, delta=100.0, damping=0.0, max_tries=1)
        assert "the KL was above δ = 100 in 1" in found.message

    @pytest.mark.reliability("R14")
    def test_rewards_that_are_always_zero(self, policy, batch) -> None:
        zero = dataclasses.replace(batch, q_values=np.zeros_like(batch.q_values))
        self.refused(policy, zero, Outcome.SKIPPED_ZERO_GRADIENT)

    def test_no_preference_within_any_state(self, policy) -> None:
        batch = reference.small_batch(policy, actions=3, estimator=Estimator.SELF_NORMALIZED)
        flat = np.repeat(np.arange(12.0)[:, None], 3, axis=1)
        self.refused(policy, dataclasses.replace(batch, q_values=flat), Outcome.SKIPPED_DEGENERATE_BATCH)

    @pytest.mark.reliability("R14")
    @pytest.mark.parametrize("level", [1.0, -250.0, 1e-9])
    def test_constant_advantages(self, policy, batch, level: float) -> None:
        rounding = 1e-9 * np.arange(40.0)[:, None]
        constant = dataclasses.replace(batch, q_values=level * (1 + rounding))
        self.refused(policy, constant, Outcome.SKIPPED_DEGENERATE_BATCH)

    def test_one_sample(self, policy) -> None:
        self.refused(policy, reference.small_batch(policy, states=1), Outcome.SKIPPED_DEGENERATE_BATCH)

    def test_weights_that_sum_to_nothing(self, policy, batch) -> None:
        self.refused(policy, dataclasses.replace(batch, weights=np.zeros(40)), Outcome.SKIPPED_DEGENERATE_BATCH)

    def test_a_batch_of_another_policy_is_misuse(self, policy, batch) -> None:
        moved = policy.replace(theta=policy.theta + 0.5)
        with pytest.raises(ValueError, match="not from this policy"):
            update(moved, batch)

    @pytest.mark.reliability("R12")
    def test_a_saturated_softmax_never_gives_nan(self) -> None:
        policy = reference.small_policy("categorical")
        policy = policy.replace(theta=policy.theta * 60)
        batch = reference.small_batch(policy, states=40)
        learner, found = update(policy, batch)
        assert bool(learner.policy.theta.isfinite().all())
        if found.outcome.accepted:
            assert found.kl_mean <= 0.01 * (1 + 1e-6)

    @pytest.mark.reliability("R12")
    def test_identical_states_give_a_finite_step(self, policy) -> None:
        batch = reference.small_batch(policy, states=40)
        obs = np.repeat(batch.obs[:1], 40, axis=0)
        old = policy.parameters(reference.features64(policy, obs)).numpy()
        same = dataclasses.replace(batch, obs=obs, constraint_obs=obs, old=old, constraint_old=old)
        _, found = update(policy, same, damping=0.0)
        assert found.outcome.accepted or found.outcome is Outcome.REJECTED_LINE_SEARCH
        assert found.outcome.accepted is (found.kl_mean is not None)

    @pytest.mark.reliability("R15")
    def test_log_std_driven_to_its_bound_is_said(self, policy, batch) -> None:
        theta = policy.theta.clone()
        theta[-2:] = -4.999
        policy = policy.replace(theta=theta)
        batch = reference.small_batch(policy, states=40)
        pull = -np.abs(batch.actions[:, :, :1] - batch.old[:, None, :1]).sum(-1)  # better the nearer to the mean
        learner, found = update(policy, dataclasses.replace(batch, q_values=pull - pull.mean()), delta=0.5)
        assert found.outcome.accepted, found.message
        assert float(learner.policy.theta[-2]) == -5.0
        assert learner.policy.clamped() >= 1
        assert "log σ" in found.message


def test_float32_policies_take_the_step_of_their_float64_twin() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=200)
    single = policy.replace(theta=policy.theta.float())
    old = single.parameters(single.features(batch.obs)).numpy()
    batch32 = dataclasses.replace(batch, old=old, constraint_old=old)
    after32, _ = update(single, batch32)
    after64, _ = update(policy, batch)
    step32, step64 = after32.policy.theta.double() - policy.theta, after64.policy.theta - policy.theta
    assert after32.policy.theta.dtype == torch.float32
    assert float((step32 - step64).norm() / step64.norm()) < 1e-3


# Candidates given up early


@pytest.mark.parametrize("method", ["trpo", "empirical_fim"])
def test_giving_candidates_up_early_changes_no_step(monkeypatch, method) -> None:
    """Full steps far beyond δ: nearly all trials fail, most on the first portion of the states."""
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=90)
    settings = {"method": method, "damping": 0, "fisher_fraction": 0.05, "max_tries": 30, "shrink": 0.6}
    monkeypatch.setattr(type(policy.network), "chunk", 7)
    whole, in_full = update(policy, batch, **settings)
    monkeypatch.setattr(problem, "PORTION", 1)
    early, cut_short = update(policy, batch, **settings)
    assert len(in_full.search.trials) > 3 and in_full.outcome.accepted
    assert torch.equal(early.policy.theta, whole.policy.theta)
    assert sum(math.isnan(trial.gain) for trial in cut_short.search.trials) > 1, "some were given up early"
    for short, full in zip(cut_short.search.trials, in_full.search.trials, strict=True):
        assert short.accepted == full.accepted
        if math.isnan(short.gain):
            assert short.constraint > 0.01 < full.constraint
        else:
            assert short.gain == pytest.approx(full.gain) and short.constraint == pytest.approx(full.constraint)
    assert cut_short.kl_mean == pytest.approx(in_full.kl_mean) and cut_short.kl_max == pytest.approx(in_full.kl_max)


def test_a_candidate_given_up_early_can_still_be_asked_for_in_full(monkeypatch) -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=50)
    far = policy.theta + 0.5
    expected = Problem(policy, batch).evaluate(far)
    monkeypatch.setattr(type(policy.network), "chunk", 7)
    monkeypatch.setattr(problem, "PORTION", 1)
    asked = Problem(policy, batch)
    short = asked.evaluate(far, bound=expected.kl_mean / 100)
    assert not short.whole and math.isnan(short.surrogate) and short.kl_mean > expected.kl_mean / 100
    assert asked.evaluate(far).surrogate == pytest.approx(expected.surrogate)
    assert asked.evaluate(far).kl_mean == pytest.approx(float(kl_of(policy, batch, far).mean()))
    assert asked.evaluate(far, bound=expected.kl_mean * 1.01).whole, "a bound that is kept costs nothing"


def test_trials_given_up_early_are_not_told_of_as_nonfinite(monkeypatch) -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=50)
    monkeypatch.setattr(type(policy.network), "chunk", 7)
    monkeypatch.setattr(problem, "PORTION", 1)
    _, found = update(policy, batch, damping=0, fisher_fraction=0.05, max_tries=2)
    assert found.outcome is Outcome.REJECTED_LINE_SEARCH
    assert "above δ = 0.01 in 2" in found.message and "not finite in 0" in found.message

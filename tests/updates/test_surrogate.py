"""The surrogate objective: Eq. 14, 15 and 16 against loops, autograd and enumeration."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from tests import reference
from trpolab.policies import Categorical, Distribution
from trpolab.sampling.batch import Batch, Estimator
from trpolab.updates.surrogate import Samples, log_weights, state_terms, surrogate, surrogate_slope

KINDS = list(reference.ACTION_SPACES)
ESTIMATORS = [(Estimator.IMPORTANCE, 1), (Estimator.IMPORTANCE, 4), (Estimator.SELF_NORMALIZED, 3)]


def samples_of(batch: Batch) -> Samples:
    return Samples.of(batch, torch.float64, torch.device("cpu"))


def value_of(distribution: Distribution, u: torch.Tensor, samples: Samples) -> torch.Tensor:
    """L [] of the samples; differentiable."""
    terms = state_terms(log_weights(distribution, u, samples), samples.q_values, samples.estimator)
    return surrogate(terms, samples.weights)


@pytest.mark.reliability("R33")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("estimator", "actions"), ESTIMATORS)
def test_equals_the_loops_at_and_away_from_theta_old(kind: str, estimator: Estimator, actions: int) -> None:
    policy = reference.small_policy(kind)
    batch = reference.small_batch(policy, actions=actions, estimator=estimator)
    away = policy.theta + 0.1 * torch.randn(policy.size, dtype=torch.float64)
    for theta in (policy.theta, away):
        u = policy.parameters(reference.features64(policy, batch.obs), theta)
        found = float(value_of(policy.distribution, u, samples_of(batch)))
        assert found == pytest.approx(reference.surrogate_by_loops(policy, batch, theta), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("estimator", "actions"), ESTIMATORS)
def test_written_out_slope_is_the_gradient(kind: str, estimator: Estimator, actions: int) -> None:
    policy = reference.small_policy(kind)
    batch = reference.small_batch(policy, actions=actions, estimator=estimator)
    away = policy.theta + 0.1 * torch.randn(policy.size, dtype=torch.float64)
    u = policy.parameters(reference.features64(policy, batch.obs), away).requires_grad_()
    samples = samples_of(batch)
    value = value_of(policy.distribution, u, samples)
    (expected,) = torch.autograd.grad(value, u)
    slope, terms = surrogate_slope(policy.distribution, u.detach(), samples)
    assert torch.allclose(slope, expected)
    assert float(terms @ samples.weights) == pytest.approx(value.item())


def test_chunks_add_up() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=12, actions=3)
    u = torch.from_numpy(batch.old)
    whole = samples_of(batch)
    parts = zip(whole.split(5), u.split(5), strict=True)
    total = sum(float(value_of(policy.distribution, rows, part)) for part, rows in parts)
    assert total == pytest.approx(float(value_of(policy.distribution, u, whole)))


class TestByEnumeration:
    """One state, a few actions: expectations of the estimators over all samples, exactly."""

    q_hat = torch.tensor([0.2, 1.0, -0.5], dtype=torch.float64)
    logits = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)
    distribution = Categorical(3)

    def true_gradient(self) -> torch.Tensor:
        logits = self.logits.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(logits.softmax(0) @ self.q_hat, logits)
        return gradient

    def expected(
        self, estimator: Estimator, k: int, log_q: torch.Tensor, at: torch.Tensor
    ) -> tuple[torch.Tensor, float]:
        """Gradient at the logits `at`, and value there, expected over all K-tuples drawn from q."""
        gradient, value = torch.zeros(3, dtype=torch.float64), 0.0
        for drawn in itertools.combinations_with_replacement(range(3), k):
            picked = torch.tensor(drawn)
            orders = math.factorial(k) / math.prod(math.factorial(drawn.count(action)) for action in range(3))
            samples = Samples(
                picked, log_q[picked].view(1, k), self.q_hat[picked].view(1, k), torch.ones(1).double(), estimator
            )
            logits = at.view(1, 3).clone().requires_grad_()
            estimate = value_of(self.distribution, logits, samples)
            probability = orders * math.exp(float(log_q[picked].sum()))
            gradient += probability * torch.autograd.grad(estimate, logits)[0][0]
            value += probability * estimate.item()
        return gradient, value

    @pytest.mark.reliability("R33")
    @pytest.mark.parametrize("k", [1, 2, 3])
    @pytest.mark.parametrize("proposal", ["policy", "uniform"])
    def test_importance_sampling_is_unbiased(self, k: int, proposal: str) -> None:
        log_q = self.logits.log_softmax(0) if proposal == "policy" else torch.full((3,), -math.log(3)).double()
        away = self.logits + torch.tensor([0.5, -0.4, 0.2]).double()
        gradient, _ = self.expected(Estimator.IMPORTANCE, k, log_q, self.logits)
        _, value = self.expected(Estimator.IMPORTANCE, k, log_q, away)
        assert torch.allclose(gradient, self.true_gradient(), atol=1e-12)
        assert value == pytest.approx(float(away.softmax(0) @ self.q_hat), abs=1e-7)

    @pytest.mark.reliability("R33")
    def test_every_action_once_is_exact(self) -> None:
        """Eq. 15: all K actions with log q = -log K; no sampling is left."""
        all_actions = torch.arange(3)
        log_q = torch.full((1, 3), -math.log(3), dtype=torch.float64)
        samples = Samples(all_actions, log_q, self.q_hat.view(1, 3), torch.ones(1).double(), Estimator.IMPORTANCE)
        logits = self.logits.view(1, 3).clone().requires_grad_()
        value = value_of(self.distribution, logits, samples)
        assert value.item() == pytest.approx(float(self.logits.softmax(0) @ self.q_hat), abs=1e-12)
        assert torch.allclose(torch.autograd.grad(value, logits)[0][0], self.true_gradient(), atol=1e-12)

    @pytest.mark.reliability("R33")
    @pytest.mark.parametrize("k", [2, 3, 4, 5])
    def test_self_normalised_gradient_is_short_by_one_over_k(self, k: int) -> None:
        gradient, _ = self.expected(Estimator.SELF_NORMALIZED, k, self.logits.log_softmax(0), self.logits)
        assert torch.allclose(gradient, (1 - 1 / k) * self.true_gradient(), atol=1e-12)

    @pytest.mark.reliability("R33")
    def test_self_normalised_value_is_biased_like_one_over_k_away_from_the_proposal(self) -> None:
        away = self.logits + torch.tensor([1.0, 0.0, -1.0]).double()
        truth = float(away.softmax(0) @ self.q_hat)
        bias = [
            self.expected(Estimator.SELF_NORMALIZED, k, self.logits.log_softmax(0), away)[1] - truth
            for k in (8, 16, 32)
        ]
        assert abs(bias[0]) > abs(bias[1]) > abs(bias[2]) > 0
        assert bias[2] / bias[1] == pytest.approx(0.5, abs=0.05)

    @pytest.mark.reliability("R33")
    def test_uniform_proposal_is_consistent_and_the_printed_weights_are_not(self) -> None:
        """Weights are π/q. Dividing by π_old instead, as Eq. 16 is printed, converges to the plain mean of Q̂."""
        uniform = torch.full((3,), -math.log(3), dtype=torch.float64)
        generator = np.random.default_rng(0)
        drawn = torch.from_numpy(generator.integers(0, 3, size=(400, 500)))
        log_pi = self.logits.log_softmax(0)
        right = state_terms(log_pi[drawn] - uniform[drawn], self.q_hat[drawn], Estimator.SELF_NORMALIZED).mean()
        wrong = state_terms(log_pi[drawn] - log_pi[drawn], self.q_hat[drawn], Estimator.SELF_NORMALIZED).mean()
        truth, plain = float(self.logits.softmax(0) @ self.q_hat), float(self.q_hat.mean())
        assert float(right) == pytest.approx(truth, abs=0.01)
        assert float(wrong) == pytest.approx(plain, abs=0.01)
        assert abs(truth - plain) > 0.03

    @pytest.mark.reliability("R33")
    def test_a_constant_added_to_q_leaves_the_self_normalised_gradient(self) -> None:
        policy = reference.small_policy("categorical")
        batch = reference.small_batch(policy, actions=3, estimator=Estimator.SELF_NORMALIZED)
        shifted = dataclasses.replace(batch, q_values=batch.q_values + np.arange(12.0)[:, None])
        slopes = [
            surrogate_slope(policy.distribution, torch.from_numpy(b.old), samples_of(b))[0] for b in (batch, shifted)
        ]
        assert torch.allclose(*slopes)


def test_weights_divide_by_the_proposal_whatever_it_was() -> None:
    policy = reference.small_policy("categorical")
    batch = reference.small_batch(policy)
    widened = dataclasses.replace(batch, log_q=np.full_like(batch.log_q, -math.log(3)))
    u = torch.from_numpy(batch.old)
    assert torch.allclose(
        log_weights(policy.distribution, u, samples_of(batch)), torch.zeros(12, 1).double(), atol=1e-12
    )
    found = log_weights(policy.distribution, u, samples_of(widened)).exp()
    assert torch.allclose(found, 3 * torch.from_numpy(batch.log_q).exp())


def test_state_weights_are_shares() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy)
    scaled = dataclasses.replace(batch, weights=batch.weights * 17)
    assert torch.allclose(samples_of(batch).weights, samples_of(scaled).weights)
    assert float(samples_of(batch).weights.sum()) == pytest.approx(1)


def test_far_weights_do_not_overflow_when_normalised() -> None:
    found = state_terms(torch.tensor([[900.0, 0.0]]), torch.tensor([[2.0, 1.0]]), Estimator.SELF_NORMALIZED)
    assert found.tolist() == [2.0]

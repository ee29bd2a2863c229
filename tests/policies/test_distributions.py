"""Distributions against torch.distributions, dense second derivatives and counting."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests import reference
from trpolab.policies import Categorical, DiagonalGaussian, Distribution, FactoredCategorical

ALL = [DiagonalGaussian(3), Categorical(4), FactoredCategorical((3, 2, 4)), DiagonalGaussian(3, least_log_std=-0.5)]
each = pytest.mark.parametrize("distribution", ALL, ids=lambda d: type(d).__name__)


def some_u(distribution: Distribution, rows: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, distribution.parameter_count)) * 0.7)


def some_actions(distribution: Distribution, u: torch.Tensor, seed: int = 1) -> torch.Tensor:
    noise = distribution.noise(np.random.default_rng(seed), (len(u),))
    return torch.from_numpy(distribution.sample_from(u.numpy(), noise))


@each
def test_log_prob_kl_entropy_equal_torchs(distribution: Distribution) -> None:
    u, other = some_u(distribution), some_u(distribution, seed=5)
    actions = some_actions(distribution, u)
    assert torch.allclose(distribution.log_prob(u, actions), reference.torch_log_prob(distribution, u, actions))
    assert torch.allclose(distribution.kl(u, other), reference.torch_kl(distribution, u, other))
    assert torch.allclose(distribution.entropy(u), reference.torch_entropy(distribution, u))


@each
def test_score_is_the_gradient_of_log_prob(distribution: Distribution) -> None:
    u = some_u(distribution).requires_grad_()
    actions = some_actions(distribution, u.detach())
    (expected,) = torch.autograd.grad(reference.torch_log_prob(distribution, u, actions).sum(), u)
    assert torch.allclose(distribution.score(u.detach(), actions), expected)


@each
def test_the_metric_in_blocks_is_the_second_derivative_of_the_kl(distribution: Distribution) -> None:
    own = torch.linspace(-1, 1, distribution.own_parameters, dtype=torch.float64)
    outputs, d_outputs = some_u(distribution)[:, : distribution.outputs], some_u(distribution, seed=3)
    d_outputs = d_outputs[:, : distribution.outputs]
    u = distribution.assemble(outputs, own)
    d_own = torch.ones_like(own)
    du = distribution.assemble_jvp(own, d_outputs, d_own)
    whole = torch.stack([reference.dense_metric(distribution, row) @ d for row, d in zip(u, du, strict=True)])
    found = distribution.output_metric(outputs.numpy(), own.numpy())(d_outputs.numpy())
    assert torch.allclose(torch.from_numpy(found), whole[:, : distribution.outputs], atol=1e-12)
    of_own = (distribution.own_metric(own) * d_own).expand(len(u), -1)
    assert torch.allclose(of_own, whole[:, distribution.outputs :], atol=1e-12)


@each
def test_kl_is_positive_zero_only_at_equality_and_flat_there(distribution: Distribution) -> None:
    u, other = some_u(distribution), some_u(distribution, seed=5).requires_grad_()
    assert bool((distribution.kl(u, other) > 0).all())
    assert torch.allclose(distribution.kl(u, u), torch.zeros(6).double(), atol=1e-15)
    at_old = u.clone().requires_grad_()
    (slope,) = torch.autograd.grad(distribution.kl(u, at_old).sum(), at_old)
    assert torch.allclose(slope, torch.zeros_like(slope), atol=1e-12)


@each
def test_the_written_out_slope_of_the_kl_is_its_gradient(distribution: Distribution) -> None:
    u, other = some_u(distribution), some_u(distribution, seed=5).requires_grad_()
    (expected,) = torch.autograd.grad(distribution.kl(u, other).sum(), other)
    assert torch.allclose(distribution.kl_slope(u, other.detach()), expected, atol=1e-12)


def test_kl_direction_by_a_hand_computed_case() -> None:
    """Same mean, log σ raised by 0.3: old‖new 0.0744, new‖old 0.1111, and both Hessians say 0.09."""
    gaussian = DiagonalGaussian(1)
    old, new = torch.tensor([[0.0, 0.0], [0.0, 0.3]], dtype=torch.float64).split(1)
    by_hand = 0.3 + math.exp(-0.6) / 2 - 0.5
    assert by_hand == pytest.approx(0.07441, abs=5e-6)
    assert float(gaussian.kl(old, new)) == pytest.approx(by_hand, abs=1e-12)
    assert float(gaussian.kl(new, old)) == pytest.approx(0.11106, abs=5e-6)


def test_kl_keeps_its_digits_near_zero_in_float32() -> None:
    gaussian = DiagonalGaussian(1)
    old = torch.tensor([[0.0, 0.0]])
    new = torch.tensor([[1e-5, 1e-5]])
    exact = float(gaussian.kl(old.double(), new.double()))
    assert float(gaussian.kl(old, new)) == pytest.approx(exact, rel=1e-2)


@each
def test_kl_adds_over_parts(distribution: Distribution) -> None:
    u, other = some_u(distribution), some_u(distribution, seed=5)
    if isinstance(distribution, FactoredCategorical):
        parts = [part.kl(u[:, columns], other[:, columns]) for part, columns in distribution.factors]
    elif isinstance(distribution, DiagonalGaussian):
        one = DiagonalGaussian(1)
        parts = [one.kl(u[:, [i, i + 3]], other[:, [i, i + 3]]) for i in range(3)]
    else:
        parts = [distribution.kl(u, other)]
    assert torch.allclose(sum(parts), distribution.kl(u, other))


@each
def test_kl_and_entropy_by_monte_carlo(distribution: Distribution) -> None:
    rows = 40_000
    u, other = some_u(distribution, 1).expand(rows, -1), some_u(distribution, 1, seed=5).expand(rows, -1)
    actions = some_actions(distribution, u)
    log_p, log_q = distribution.log_prob(u, actions), distribution.log_prob(other, actions)
    for sample, exact in ((log_p - log_q, distribution.kl(u, other)[0]), (-log_p, distribution.entropy(u)[0])):
        assert abs(float(sample.mean() - exact)) < 5 * float(sample.std()) / math.sqrt(rows)


def test_gaussian_samples_have_the_mean_and_spread_asked_for() -> None:
    u = torch.tensor([[1.0, -2.0, math.log(0.5), math.log(2.0)]]).double().expand(40_000, -1)
    actions = some_actions(DiagonalGaussian(2), u).numpy()
    assert np.abs(actions.mean(0) - [1, -2]).max() < 5 * 2 / 200
    assert np.abs(actions.std(0) / [0.5, 2] - 1).max() < 5 / math.sqrt(2 * 40_000)


@pytest.mark.parametrize("distribution", ALL[1:3], ids=lambda d: type(d).__name__)
def test_discrete_samples_have_the_probabilities_asked_for(distribution: Distribution) -> None:
    rows = 40_000
    u = some_u(distribution, 1).expand(rows, -1)
    actions = some_actions(distribution, u).reshape(rows, -1).numpy()
    for column, (part, _) in enumerate(reference.torch_distributions(distribution, u[0])):
        p = part.probs.numpy()
        share = np.bincount(actions[:, column], minlength=len(p)) / rows
        assert (np.abs(share - p) < 5 * np.sqrt(p * (1 - p) / rows)).all()


@pytest.mark.parametrize("logits", [[0.0, -1e4, 0.0], [1e4, 0.0, -1e4], [0.0, 0.0, 700.0]])
def test_extreme_logits_and_noise_stay_inside(logits: list[float]) -> None:
    u = np.array([logits] * 2, np.float32)
    actions = Categorical(3).sample_from(u, np.array([[1e-12], [np.nextafter(1.0, 0.0)]]))
    possible = np.flatnonzero(np.array(logits) >= max(logits) - 1)
    assert set(actions.tolist()) <= set(possible.tolist())


def test_sampling_uses_nothing_but_its_noise() -> None:
    for distribution in ALL:
        u = some_u(distribution).numpy()
        noise = distribution.noise(np.random.default_rng(3), (6,))
        assert noise.shape == (6, distribution.noise_size)
        first, second = (distribution.sample_from(u, noise) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert first.shape == (6, *distribution.action_shape)
        if not isinstance(distribution, DiagonalGaussian):
            assert first.dtype == distribution.action_dtype


def test_mode_is_the_likeliest() -> None:
    assert Categorical(3).mode(np.array([[0.0, 2.0, 1.0]])).tolist() == [1]
    assert FactoredCategorical((2, 2)).mode(np.array([[0.0, 2.0, 1.0, 0.0]])).tolist() == [[1, 0]]
    assert DiagonalGaussian(2).mode(np.array([[3.0, 4.0, 0.0, 0.0]])).tolist() == [[3.0, 4.0]]


def test_action_sets_that_do_not_start_at_zero() -> None:
    plain, shifted = Categorical(3), Categorical(3, start=5)
    u, noise = some_u(plain), plain.noise(np.random.default_rng(0), (6,))
    actions = plain.sample_from(u.numpy(), noise)
    np.testing.assert_array_equal(shifted.sample_from(u.numpy(), noise), actions + 5)
    np.testing.assert_array_equal(shifted.mode(u.numpy()), plain.mode(u.numpy()) + 5)
    given = torch.from_numpy(actions)
    assert torch.equal(shifted.log_prob(u, given + 5), plain.log_prob(u, given))
    assert FactoredCategorical((2, 2), start=(1, 3)).mode(np.array([[0.0, 2.0, 1.0, 0.0]])).tolist() == [[2, 3]]


def test_actions_of_more_axes() -> None:
    flat, shaped = DiagonalGaussian(6), DiagonalGaussian(6, (2, 3))
    u, noise = some_u(flat), flat.noise(np.random.default_rng(0), (6,))
    actions = shaped.sample_from(u.numpy(), noise)
    assert actions.shape == (6, 2, 3)
    given = torch.from_numpy(actions)
    assert torch.equal(shaped.log_prob(u, given), flat.log_prob(u, given.reshape(6, 6)))


@pytest.mark.reliability("R15")
@pytest.mark.parametrize("level", [-200.0, 200.0])
@pytest.mark.parametrize("least", [-5.0, -1.5])
def test_log_std_is_clamped_counted_and_can_come_back(level: float, least: float) -> None:
    gaussian = DiagonalGaussian(2, least_log_std=least)
    own = torch.tensor([level, 0.0], dtype=torch.float64)
    u = gaussian.assemble(torch.zeros(1, 2, dtype=torch.float64), own)
    bound = least if level < 0 else 2.0
    assert u.tolist() == [[0.0, 0.0, bound, 0.0]]
    assert gaussian.clamped(own) == 1
    assert np.isfinite(gaussian.sample_from(u.numpy(), np.ones((1, 2)))).all()
    cotangent = torch.ones(1, 4, dtype=torch.float64)
    assert gaussian.assemble_vjp(own, cotangent)[1].tolist() == [0.0, 1.0]  # outside: no gradient
    inside = gaussian.bounded(own)
    assert inside.tolist() == [bound, 0.0]
    assert gaussian.clamped(inside) == (bound in (-5.0, 2.0)), "on what a person chose as the least is no fault"
    assert gaussian.assemble_vjp(inside, cotangent)[1].tolist() == [1.0, 1.0]  # on the bound: it passes


@pytest.mark.parametrize(
    "make",
    [
        lambda: DiagonalGaussian(0),
        lambda: Categorical(0),
        lambda: FactoredCategorical(()),
        lambda: DiagonalGaussian(3, (2,)),
        lambda: DiagonalGaussian(3, least_log_std=-6.0),
        lambda: DiagonalGaussian(3, least_log_std=2.0),
    ],
)
def test_impossible_shapes_raise(make) -> None:
    with pytest.raises(ValueError, match=r"size|n =|nvec|least_log_std"):
        make()

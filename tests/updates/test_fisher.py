"""Fisher products against the dense matrix and the dense Hessian of the KL, float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from tests import reference
from trpolab.policies.mlp import MLP
from trpolab.policies.rows import random_rows
from trpolab.updates.fisher import damped, gauss_newton_product, hessian_product

KINDS = list(reference.ACTION_SPACES)


def case(kind: str, rows: int = 7, hidden: tuple[int, ...] = (4,)):
    policy = reference.small_policy(kind, hidden=hidden)
    return policy, torch.from_numpy(np.random.default_rng(2).normal(size=(rows, 3)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [3, 1000])
def test_all_four_are_one_matrix_at_theta_old(kind: str, chunk: int) -> None:
    policy, x = case(kind)
    dense = reference.dense_fisher(policy, x)
    assert torch.allclose(reference.dense_kl_hessian(policy, x), dense, atol=1e-9)
    for make in (gauss_newton_product, hessian_product):
        assert torch.allclose(reference.matrix_of(make(policy, x, chunk), policy.size), dense, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_away_from_theta_old_the_hessian_is_another_matrix(kind: str) -> None:
    policy, x = case(kind)
    old = policy.parameters(x, policy.theta + 0.3).detach()
    hessian = reference.dense_kl_hessian(policy, x, old)
    gauss_newton = reference.matrix_of(gauss_newton_product(policy, x, 3), policy.size)
    assert float((hessian - gauss_newton).norm() / gauss_newton.norm()) > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_symmetric_positive_and_linear(kind: str) -> None:
    policy, x = case(kind)
    product = gauss_newton_product(policy, x, 3)
    matrix = reference.matrix_of(product, policy.size)
    assert torch.allclose(matrix, matrix.T, atol=1e-12)
    assert float(torch.linalg.eigvalsh(matrix).min()) >= -1e-12
    v, w = torch.randn(2, policy.size, dtype=torch.float64)
    assert torch.allclose(product(2 * v - 3 * w), 2 * product(v) - 3 * product(w))
    assert torch.equal(product(v), product(v))


@pytest.mark.parametrize("kind", KINDS)
def test_twice_the_kl_of_a_small_step(kind: str) -> None:
    policy, x = case(kind)
    v, epsilon = torch.randn(policy.size, dtype=torch.float64), 1e-4
    old, new = policy.parameters(x), policy.parameters(x, policy.theta + epsilon * v)
    kl = float(reference.torch_kl(policy.distribution, old, new).mean())
    curvature = float(v @ gauss_newton_product(policy, x, 3)(v))
    assert 2 * kl / epsilon**2 == pytest.approx(curvature, rel=1e-3)


def test_mean_over_all_subsets_is_the_full_product() -> None:
    policy, x = case("gaussian", rows=5)
    v = torch.randn(policy.size, dtype=torch.float64)
    subsets = [list(rows) for rows in itertools.combinations(range(5), 2)]
    mean = torch.stack([gauss_newton_product(policy, x[rows], 3)(v) for rows in subsets]).mean(0)
    assert torch.allclose(mean, gauss_newton_product(policy, x, 3)(v))


def test_recomputed_activations_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, x = case("gaussian")
    v = torch.randn(policy.size, dtype=torch.float64)
    kept = gauss_newton_product(policy, x, 3)(v)
    monkeypatch.setattr(MLP, "kept_rows", 0)
    recomputed = gauss_newton_product(policy, x, 3)
    assert torch.equal(recomputed(v), kept)
    assert torch.equal(recomputed(v), kept)


def test_softmax_without_preference_has_a_null_direction() -> None:
    """Adding a constant to every logit changes nothing: A is singular, as (paper's) undamped CG must bear."""
    policy, x = case("categorical", hidden=())
    shift = torch.zeros(policy.size, dtype=torch.float64)
    shift[-3:] = 1.0  # the biases of the three logits
    assert torch.allclose(gauss_newton_product(policy, x, 3)(shift), torch.zeros_like(shift), atol=1e-14)


def test_log_std_beyond_its_bounds_has_no_curvature() -> None:
    policy, x = case("gaussian")
    theta = policy.theta.clone()
    theta[-1] = 5.0
    policy = policy.replace(theta=theta)
    for make in (gauss_newton_product, hessian_product):
        matrix = reference.matrix_of(make(policy, x, 3), policy.size)
        assert bool((matrix[-1] == 0).all())
        assert bool((matrix[:, -1] == 0).all())
        assert matrix[-2, -2] == pytest.approx(2.0)


def test_damping_adds_a_multiple_of_the_identity() -> None:
    policy, x = case("gaussian")
    v = torch.randn(policy.size, dtype=torch.float64)
    plain = gauss_newton_product(policy, x, 3)
    assert torch.allclose(damped(plain, 0.3)(v), plain(v) + 0.3 * v)


class TestRandomRows:
    """The share of rows in products."""

    def test_a_subset_without_repetition(self) -> None:
        rows = random_rows(100, 0.25, np.random.default_rng(0))
        assert len(rows) == len(set(rows.tolist())) == 25
        assert (np.diff(rows) > 0).all()
        assert 0 <= rows.min() <= rows.max() < 100

    @pytest.mark.parametrize(
        ("count", "fraction", "expected"), [(10, 1.0, 10), (10, 0.01, 1), (1, 0.5, 1), (7, 0.5, 4)]
    )
    def test_how_many(self, count: int, fraction: float, expected: int) -> None:
        assert len(random_rows(count, fraction, np.random.default_rng(0))) == expected

    def test_every_row_equally_often(self) -> None:
        generator = np.random.default_rng(0)
        counts = sum(np.bincount(random_rows(16, 0.25, generator), minlength=16) for _ in range(4000))
        assert np.abs(counts / 4000 - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 4000)

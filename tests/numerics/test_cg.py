"""Conjugate gradient against dense linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.reference import random_spd
from trpolab.numerics import CGStatus, conjugate_gradient


def multiply(matrix: np.ndarray):
    tensor = torch.from_numpy(matrix)
    return lambda v: tensor @ v


def cases(count: int = 12):
    """(A, b, spectrum) with condition numbers from 1 to 1e8."""
    generator = np.random.default_rng(5)
    for index in range(count):
        n = int(generator.integers(2, 30))
        spectrum = np.geomspace(1, 10 ** (8 * index / (count - 1)), n) * generator.uniform(0.1, 10)
        yield random_spd(generator, spectrum), torch.from_numpy(generator.normal(size=n)), spectrum


def test_solves_in_n_steps() -> None:
    for matrix, b, spectrum in cases():
        condition = spectrum.max() / spectrum.min()
        solved = conjugate_gradient(multiply(matrix), b, iterations=4 * len(b), tolerance=1e-26)
        exact = np.linalg.solve(matrix, b.numpy())
        assert np.linalg.norm(solved.x.numpy() - exact) <= 1e-8 * condition * np.linalg.norm(exact)


def test_energy_falls_and_error_keeps_the_textbook_bound() -> None:
    for matrix, b, spectrum in cases():
        exact = np.linalg.solve(matrix, b.numpy())
        root = np.sqrt(spectrum.max() / spectrum.min())
        first = np.sqrt(exact @ matrix @ exact)
        last_energy = 0.0
        for k in range(1, min(8, len(b)) + 1):
            x = conjugate_gradient(multiply(matrix), b, iterations=k, tolerance=0).x.numpy()
            energy = 0.5 * x @ matrix @ x - b.numpy() @ x
            assert energy <= last_energy + 1e-12 * abs(last_energy)
            last_energy, error = energy, x - exact
            bound = 2 * ((root - 1) / (root + 1)) ** k * first
            assert np.sqrt(max(error @ matrix @ error, 0)) <= bound + 1e-7 * first


def test_as_many_steps_as_distinct_eigenvalues() -> None:
    matrix = random_spd(np.random.default_rng(0), np.repeat([1.0, 3.0, 10.0], 5))
    solved = conjugate_gradient(multiply(matrix), torch.ones(15, dtype=torch.float64), iterations=15)
    assert solved.status is CGStatus.CONVERGED
    assert solved.iterations <= 3


def test_scaling_and_change_of_basis_commute() -> None:
    generator = np.random.default_rng(3)
    matrix, b = random_spd(generator, np.geomspace(1, 50, 9)), generator.normal(size=9)
    q, _ = np.linalg.qr(generator.normal(size=(9, 9)))
    plain = conjugate_gradient(multiply(matrix), torch.from_numpy(b), iterations=4).x.numpy()
    scaled = conjugate_gradient(multiply(4 * matrix), torch.from_numpy(8 * b), iterations=4).x.numpy()
    turned = conjugate_gradient(multiply(q @ matrix @ q.T), torch.from_numpy(q @ b), iterations=4).x.numpy()
    np.testing.assert_allclose(scaled, 2 * plain, rtol=1e-12)
    np.testing.assert_allclose(turned, q @ plain, rtol=1e-10)


def test_curvature_is_a_by_product_before_convergence_too() -> None:
    diagonal = torch.arange(1, 11, dtype=torch.float64)
    ones = torch.ones(10, dtype=torch.float64)
    solved = conjugate_gradient(lambda v: diagonal * v, ones, iterations=3)
    assert solved.curvature == pytest.approx(2.7797202797, abs=1e-10)  # not gᵀA⁻¹g = 2.9289682540
    assert solved.curvature == pytest.approx(float(solved.x @ (diagonal * solved.x)), rel=1e-12)
    assert float((ones / diagonal) @ ones) == pytest.approx(2.9289682540, abs=1e-10)


def test_trace_holds_true_residuals_and_rayleigh_quotients_inside_the_spectrum() -> None:
    for matrix, b, spectrum in cases(6):
        solved = conjugate_gradient(multiply(matrix), b, iterations=25, tolerance=1e-20)
        assert len(solved.residual_norms) == solved.iterations + 1
        true = float((b - torch.from_numpy(matrix) @ solved.x).norm())
        assert solved.residual_norms[-1] == pytest.approx(true, rel=1e-4, abs=1e-9 * spectrum.max())
        slack = 1e-9 * spectrum.max()
        assert all(spectrum.min() - slack <= quotient <= spectrum.max() + slack for quotient in solved.rayleigh)


def test_the_residual_is_computed_afresh_every_tenth_iteration() -> None:
    diagonal = torch.from_numpy(np.geomspace(1, 1e6, 40))
    calls = []

    def product(v: torch.Tensor) -> torch.Tensor:
        calls.append(v.clone())
        return diagonal * v

    solved = conjugate_gradient(product, torch.ones(40, dtype=torch.float64), iterations=12, tolerance=0)
    assert solved.iterations == 12
    assert len(calls) == 13  # twelve directions, and x once after the tenth


def test_zero_right_hand_side_costs_nothing() -> None:
    solved = conjugate_gradient(lambda v: pytest.fail("no product is needed"), torch.zeros(3))
    assert solved.status is CGStatus.ZERO_RHS
    assert solved.iterations == 0
    assert solved.relative_residual == 0
    assert torch.equal(solved.x, torch.zeros(3, dtype=torch.float64))


@pytest.mark.reliability("R12")
def test_singular_matrix_with_a_solution() -> None:
    matrix = random_spd(np.random.default_rng(1), np.array([0.0, 0.0, 1.0, 2.0, 5.0]))
    wanted = torch.from_numpy(matrix @ np.arange(1.0, 6.0))
    solved = conjugate_gradient(multiply(matrix), wanted, iterations=20)
    assert solved.status is CGStatus.CONVERGED
    assert torch.allclose(torch.from_numpy(matrix) @ solved.x, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.reliability("R12")
def test_singular_matrix_without_a_solution_is_flagged_and_finite() -> None:
    diagonal = torch.tensor([1.0, 3.0, 0.0], dtype=torch.float64)
    solved = conjugate_gradient(lambda v: diagonal * v, torch.ones(3, dtype=torch.float64), iterations=20)
    assert solved.status is CGStatus.NONPOSITIVE_CURVATURE
    assert bool(solved.x.isfinite().all())


@pytest.mark.reliability("R12")
def test_negative_curvature_keeps_the_iterate_before() -> None:
    diagonal = torch.tensor([4.0, 2.0, -1.0], dtype=torch.float64)
    b = torch.tensor([1.0, 1.0, 0.3], dtype=torch.float64)
    solved = conjugate_gradient(lambda v: diagonal * v, b, iterations=10)
    assert solved.status is CGStatus.NONPOSITIVE_CURVATURE
    assert solved.iterations >= 1
    same = conjugate_gradient(lambda v: diagonal * v, b, iterations=solved.iterations)
    assert same.status is CGStatus.ITERATION_LIMIT
    assert torch.equal(solved.x, same.x)


@pytest.mark.reliability("R12")
def test_negative_curvature_at_once_leaves_zero() -> None:
    solved = conjugate_gradient(lambda v: -v, torch.ones(3, dtype=torch.float64))
    assert (solved.status, solved.iterations) == (CGStatus.NONPOSITIVE_CURVATURE, 0)
    assert torch.equal(solved.x, torch.zeros(3, dtype=torch.float64))
    assert solved.curvature == 0


@pytest.mark.reliability("R11")
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_product_that_is_not_finite_keeps_the_last_finite_iterate(bad: float) -> None:
    calls = []

    def product(v: torch.Tensor) -> torch.Tensor:
        calls.append(0)
        return torch.arange(1, 6) * v * (bad if len(calls) == 3 else 1)

    solved = conjugate_gradient(product, torch.ones(5, dtype=torch.float64))
    assert (solved.status, solved.iterations) == (CGStatus.NONFINITE, 2)
    assert bool(solved.x.isfinite().all())


@pytest.mark.reliability("R11")
def test_a_right_hand_side_that_is_not_finite() -> None:
    solved = conjugate_gradient(lambda v: v, torch.tensor([1.0, float("nan")]))
    assert solved.status is CGStatus.NONFINITE
    assert torch.equal(solved.x, torch.zeros(2, dtype=torch.float64))


def test_damping_solves_the_damped_system() -> None:
    matrix = random_spd(np.random.default_rng(2), np.geomspace(1e-6, 1, 8))
    b = torch.ones(8, dtype=torch.float64)
    solved = conjugate_gradient(lambda v: torch.from_numpy(matrix) @ v + 0.1 * v, b, iterations=30, tolerance=1e-24)
    exact = np.linalg.solve(matrix + 0.1 * np.eye(8), b.numpy())
    np.testing.assert_allclose(solved.x.numpy(), exact, rtol=1e-9)


def test_repeatable_and_reads_only() -> None:
    matrix, b, _ = next(iter(cases()))
    before = b.clone()
    first, second = (conjugate_gradient(multiply(matrix), b) for _ in range(2))
    assert torch.equal(first.x, second.x)
    assert first.residual_norms == second.residual_norms
    assert torch.equal(b, before)


@pytest.mark.parametrize(("name", "value"), [("iterations", 0), ("tolerance", -1.0), ("tolerance", float("nan"))])
def test_misuse_raises_with_the_value(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} = {value}"):
        conjugate_gradient(lambda v: v, torch.ones(2), **{name: value})

"""Conjugate gradient (Hestenes and Stiefel, 1952) on a matrix given as a function: s ≈ A⁻¹g in Appendix C."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trpolab.numerics.arrays import QUIET, Array, as_array, as_tensor, namespace

REFRESH = 10  # iterations between true residuals: the recursive one drifts by rounding
SINGULAR = 1e-14  # pᵀAp below this share of the largest curvature seen is rounding noise


class CGStatus(enum.StrEnum):
    """How the iteration ended."""

    CONVERGED = "converged"
    ITERATION_LIMIT = "iteration_limit"
    ZERO_RHS = "zero_rhs"  # b = 0: x = 0 without a product
    NONPOSITIVE_CURVATURE = "nonpositive_curvature"  # pᵀAp <= 0: x is the iterate before (0 at the first iteration)
    NONFINITE = "nonfinite"  # b or a product was not finite: x is the last finite iterate


@dataclass(frozen=True, eq=False)
class CGResult:
    """The solution and the whole trace; k counts completed iterations."""

    x: Tensor  # [D] float64
    status: CGStatus
    iterations: int
    curvature: float  # xᵀAx as xᵀ(b - r): a by-product, right at every k whether converged or not
    residual_norms: tuple[float, ...]  # ‖b - Ax_k‖ for k = 0 … iterations
    rayleigh: tuple[float, ...]  # pᵀAp / pᵀp of each direction tried: they lie between the extreme eigenvalues

    @property
    def relative_residual(self) -> float:
        """‖b - Ax‖ / ‖b‖; 0 for b = 0."""
        return self.residual_norms[-1] / self.residual_norms[0] if self.residual_norms[0] > 0 else 0.0


@QUIET
def conjugate_gradient(
    A: Callable[[Tensor], Tensor], b: Tensor, *, iterations: int = 10, tolerance: float = 1e-10
) -> CGResult:
    """Solve Ax = b for a symmetric positive definite A, given as the function v ↦ Av on float64 vectors [D].

    Starts from zero. Stops when ‖r‖² <= tolerance·‖b‖² or after `iterations` products, whichever is first; numerical
    trouble is a status, never an exception. Before an eleventh, twenty-first … iteration r is computed afresh from x,
    at the price of one product.

    >>> diagonal = torch.tensor([1.0, 4.0], dtype=torch.float64)
    >>> conjugate_gradient(lambda v: diagonal * v, torch.ones(2, dtype=torch.float64)).x.tolist()
    [1.0, 0.25]
    """
    if iterations < 1:
        raise ValueError(f"iterations = {iterations}: must be at least 1")
    if not tolerance >= 0:
        raise ValueError(f"tolerance = {tolerance}: must be at least 0")
    rhs = as_array(b.to(torch.float64))
    x = namespace(rhs).zeros_like(rhs)
    r = p = rhs  # neither is written in place
    rr = first = float(rhs @ rhs)
    norms = [math.sqrt(rr) if rr >= 0 else math.nan]
    rayleigh: list[float] = []

    def multiplied(vector: Array) -> Array:
        return as_array(A(as_tensor(vector)))

    def result(status: CGStatus) -> CGResult:
        return CGResult(as_tensor(x), status, len(norms) - 1, float(x @ (rhs - r)), tuple(norms), tuple(rayleigh))

    if not math.isfinite(first):
        return result(CGStatus.NONFINITE)
    if first == 0:
        return result(CGStatus.ZERO_RHS)
    for k in range(1, iterations + 1):
        product = multiplied(p)
        curvature = float(p @ product)
        if not math.isfinite(curvature):
            return result(CGStatus.NONFINITE)
        rayleigh.append(curvature / float(p @ p))
        if rayleigh[-1] <= SINGULAR * max(0.0, *rayleigh):
            return result(CGStatus.NONPOSITIVE_CURVATURE)
        alpha = rr / curvature
        x += alpha * p
        r = rhs - multiplied(x) if k % REFRESH == 0 and k < iterations else r - alpha * product
        previous, rr = rr, float(r @ r)
        if not math.isfinite(rr):
            x -= alpha * p
            r = rhs - multiplied(x)
            return result(CGStatus.NONFINITE)
        norms.append(math.sqrt(rr))
        if rr <= tolerance * first:
            return result(CGStatus.CONVERGED)
        p = r + (rr / previous) * p
    return result(CGStatus.ITERATION_LIMIT)

"""Roots of increasing functions, many at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class RootResult:
    """Where each function is zero, and how well."""

    x: np.ndarray  # [N]
    residual: float  # largest |f(x)|
    iterations: int
    converged: bool  # residual <= tolerance


def increasing_roots(
    function: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    start: np.ndarray,
    *,
    tolerance: float = 1e-12,
    iterations: int = 60,
) -> RootResult:
    """x [N] with f(x) = 0 for N increasing functions at once, by Newton's method inside a bracket.

    `function` maps x [N] to values [N] and slopes [N]. Each point tried shrinks its bracket, which starts out
    unbounded; a step that would leave it goes to its middle.

    >>> increasing_roots(lambda x: (x**3 - 8, 3 * x**2), np.array([1.0])).x
    array([2.])
    """
    if iterations < 1:
        raise ValueError(f"iterations = {iterations}: must be at least 1")
    x = np.array(start, np.float64)
    low, high = np.full(x.shape, -np.inf), np.full(x.shape, np.inf)
    best, least = x, np.inf
    done = 0
    while done < iterations:
        done += 1
        value, slope = function(x)
        residual = float(np.abs(value).max(initial=0.0))
        if residual < least:
            best, least = x, residual
        if residual <= tolerance:
            break
        low, high = np.where(value <= 0, x, low), np.where(value >= 0, x, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton, middle = x - value / slope, 0.5 * (low + high)
        inside = (newton > low) & (newton < high)
        x = np.where(value == 0, x, np.where(inside, newton, np.where(np.isfinite(middle), middle, x)))
    return RootResult(best, least, done, least <= tolerance)

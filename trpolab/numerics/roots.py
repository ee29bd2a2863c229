"""Roots of increasing functions, many at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

REACH = 4.0  # the first step towards an end of a bracket that has none
PATIENCE = 4  # steps of Newton's in a row that do not halve the bracket


class NoConvergence(ArithmeticError):
    """A solver did not come to what it promises; the message says what it came to."""


@dataclass(frozen=True, eq=False)
class RootResult:
    """Where each function is zero, and how well."""

    x: np.ndarray  # [N]
    residual: float  # largest |f(x)|
    iterations: int


def increasing_roots(
    function: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    start: np.ndarray,
    *,
    tolerance: float = 1e-12,
    iterations: int = 1000,
) -> RootResult:
    """x [N] with f(x) = 0 for N increasing functions at once, by Newton's method inside a bracket.

    `function` maps x [N] to values [N], which may be infinite, and slopes [N], which only guide the search: it ends
    with wrong ones, too. Each point tried shrinks its bracket. Newton's step starts from the best point so far, and is
    taken if it stays inside; but every fifth step goes to the middle, unless the bracket has been halved before. A
    bracket starts out unbounded: a step towards its missing end is at most twice as long as the last one. An x is found
    where |f| <= tolerance, or where its bracket holds no number between its ends. Raises NoConvergence where some x is
    not, after so many iterations, and for an f that is NaN.

    >>> increasing_roots(lambda x: (x**3 - 8, 3 * x**2), np.array([1.0])).x
    array([2.])
    """
    if iterations < 1:
        raise ValueError(f"iterations = {iterations}: must be at least 1")
    x = np.where(np.isfinite(start), start, 0.0)
    low, high, width = np.full(x.shape, -np.inf), np.full(x.shape, np.inf), np.full(x.shape, np.inf)
    best, least, newton = x, np.full(x.shape, np.inf), np.full(x.shape, np.nan)
    waited, reach = np.zeros(x.shape, int), REACH
    for done in range(1, iterations + 1):
        value, slope = function(x)
        if np.isnan(value).any():
            raise NoConvergence(f"the function is NaN at {x[np.isnan(value)][0]:g}")
        better = (least == np.inf) | (np.abs(value) < least)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            best, newton = np.where(better, x, best), np.where(better, x - value / slope, newton)
        least = np.where(better, np.abs(value), least)
        low, high = np.where(value <= 0, np.maximum(low, x), low), np.where(value >= 0, np.minimum(high, x), high)
        found = (least <= tolerance) | (high <= np.nextafter(low, np.inf))
        answer = np.where(least <= tolerance, best, low)
        if found.all():
            return RootResult(answer, float(least.max(initial=0.0)), done)
        bounded = np.isfinite(high - low)
        halved = bounded & (high - low <= 0.5 * width)
        width, waited = np.where(halved, high - low, width), np.where(halved, 0, waited + 1)
        inside = (newton > low) & (newton < high) & (bounded | (np.abs(newton - best) <= reach))
        with np.errstate(invalid="ignore"):
            middle = np.where(bounded, 0.5 * low + 0.5 * high, np.where(np.isfinite(low), low + reach, high - reach))
        x = np.where(found, answer, np.where(inside & (waited < PATIENCE), newton, middle))
        reach *= 2
    raise NoConvergence(
        f"after {iterations} iterations |f| is {least.max():.3g}, above {tolerance:g}, in {int((~found).sum())} of "
        f"{len(x)} functions"
    )

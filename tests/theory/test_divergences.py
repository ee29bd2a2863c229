"""The KL of probabilities of every size, against exact rational arithmetic and logarithms of sixty digits."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal, getcontext
from fractions import Fraction

import numpy as np
import pytest

from trpolab import theory
from trpolab.theory import FiniteMDP

getcontext().prec = 60
TINY = 5e-324  # the smallest number there is
# 0, denormal numbers, the first normal ones, small ones, and neighbours of 1/2
PROBABILITIES = (0.0, TINY, 2 * TINY, 1e-310, 2.3e-308, 1e-300, 1e-16, 0.1, 0.5 - 2**-54, 0.5, 0.5 + 2**-53)


def two_actions() -> FiniteMDP:
    return FiniteMDP(np.ones((1, 2, 1)), np.array([[0.0, 1.0]]), np.ones(1), 0.5)


def exact(p: list[float], q: list[float]) -> float:
    """Σ p log(p/q), or rather Σ p log(p/q) - p + q: rows of floats don't sum to 1 exactly."""
    total = Fraction(0)
    for a, b in zip(map(Fraction, p), map(Fraction, q), strict=True):
        if a and not b:
            return math.inf
        ratio = a / b if a else Fraction(1)
        log = (Decimal(ratio.numerator) / Decimal(ratio.denominator)).ln()
        total += a * Fraction(log) - a + b
    return float(total)


@pytest.mark.parametrize(("a", "b"), [*itertools.product(PROBABILITIES, repeat=2)])
def test_the_kl_is_that_of_exact_arithmetic(a: float, b: float) -> None:
    old, new = [a, 1 - a], [b, 1 - b]
    for p, q in ((old, new), (old[::-1], new)):
        found = float(theory.kl_by_state(two_actions(), np.array([p]), np.array([q]))[0])
        assert found == pytest.approx(exact(p, q), rel=1e-11, abs=4 * TINY)


def test_nothing_of_a_policy_and_itself() -> None:
    for p in PROBABILITIES:
        assert theory.max_kl(two_actions(), np.array([[p, 1 - p]]), np.array([[p, 1 - p]])) == 0


def test_the_smallest_probabilities_on_random_rows() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        rows = 10.0 ** generator.uniform(-323.9, 0, size=(2, 1, 2))
        old, new = rows / rows.sum(2, keepdims=True)
        found = theory.max_kl(two_actions(), old, new)
        assert found == pytest.approx(exact(old[0].tolist(), new[0].tolist()), rel=1e-9, abs=4 * TINY)

"""Roots of increasing functions, many at once."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from trpolab.numerics import roots
from trpolab.numerics.roots import NoConvergence, increasing_roots


def test_many_roots_at_once() -> None:
    wanted = np.linspace(-2, 3, 11)
    found = increasing_roots(lambda x: (np.sinh(x) - np.sinh(wanted), np.cosh(x)), np.zeros(11))
    np.testing.assert_allclose(found.x, wanted, atol=1e-12)
    assert found.residual <= 1e-12 and found.iterations < 15


def test_a_newton_step_out_of_the_bracket_goes_to_its_middle() -> None:
    """arctan: Newton's method alone flies off from 3."""
    found = increasing_roots(lambda x: (np.arctan(x), 1 / (1 + x**2)), np.array([3.0]))
    assert found.residual <= 1e-12 and abs(found.x[0]) < 1e-12


def test_a_root_that_is_found_stays_while_others_are_sought() -> None:
    found = increasing_roots(lambda x: (x**3 - np.array([0.0, 8.0]), 3 * x**2 + 1e-9), np.array([0.0, 1.0]))
    assert found.x[0] == 0 and found.x[1] == pytest.approx(2)


def test_what_does_not_converge_raises() -> None:
    with pytest.raises(NoConvergence, match=r"after 2 iterations \|f\| is .*, above 1e-12, in 1 of 2 functions"):
        increasing_roots(lambda x: (x - np.array([5.0, 0.0]), 0.1 + 0 * x), np.zeros(2), iterations=2)
    with pytest.raises(NoConvergence, match="NaN at 1"):
        increasing_roots(lambda x: (np.sqrt(x - 2, where=x > 2, out=x * np.nan), 1 + x), np.ones(1))
    with pytest.raises(NoConvergence, match="after 1000 iterations"):  # no root at all
        increasing_roots(lambda x: (0 * x - 1, 0 * x), np.zeros(1))


HARD = {
    "a step": lambda x: (np.where(x < 0.3, -1.0, 1.0), 0 * x),
    "steep at one place": lambda x: (np.arctan(1e12 * (x - 7e5)), 1e12 / (1 + (1e12 * (x - 7e5)) ** 2)),
    "flat around its root": lambda x: ((x - 1) ** 9, 9 * (x - 1) ** 8),
    "slopes a thousand times too large": lambda x: (x - 3, 1000 + 0 * x),
    "slopes a thousand times too small": lambda x: (x - 3, 0.001 + 0 * x),
    "slopes of the wrong sign": lambda x: (x - 3, -1 + 0 * x),
    "slopes that are NaN": lambda x: (x - 3, np.nan * x),
    "infinite on one side": lambda x: (np.where(x < 5, -np.inf, x - 6), 1 + 0 * x),
    "Newton's method cycles": lambda x: (np.cbrt(x - 2), np.abs(x - 2) ** (-2 / 3) / 3),
    "a root far away": lambda x: (x - 1e12, 1e-3 + 0 * x),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("start", [-40.0, 0.1, 900.0, np.inf])
def test_brackets_are_halved_whatever_the_slopes_say(name: str, start: float) -> None:
    """Every fifth step halves the bracket at least, and a bracket of floats is halved 64 times or so."""
    asked: list[float] = []

    def function(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(float(x[0]))
        return HARD[name](x)

    found = increasing_roots(function, np.array([start]))
    root = {"a step": 0.3, "steep at one place": 7e5, "flat around its root": 1, "infinite on one side": 6}
    root |= {"Newton's method cycles": 2, "a root far away": 1e12}
    tolerance = 0.05 if name == "flat around its root" else 1e-9
    assert found.x[0] == pytest.approx(root.get(name, 3), rel=tolerance)
    assert len(asked) <= 5 * (64 + 44)  # an end at most 2^44 away


def test_easy_and_hard_ones_side_by_side() -> None:
    def function(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array([x[0] - 1, np.sign(x[1] - 1 / 3)]), np.array([1.0, 0.0])

    np.testing.assert_allclose(increasing_roots(function, np.zeros(2)).x, [1, 1 / 3], rtol=1e-12)


def test_no_iterations_are_refused() -> None:
    with pytest.raises(ValueError, match=r"iterations = 0: must be at least 1"):
        increasing_roots(lambda x: (x, x), np.zeros(1), iterations=0)


def test_the_example_in_the_documentation() -> None:
    assert doctest.testmod(roots, extraglobs={"np": np}) == doctest.TestResults(failed=0, attempted=1)

"""Roots of increasing functions, many at once."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from trpolab.numerics import roots
from trpolab.numerics.roots import increasing_roots


def test_many_roots_at_once() -> None:
    wanted = np.linspace(-2, 3, 11)
    found = increasing_roots(lambda x: (np.sinh(x) - np.sinh(wanted), np.cosh(x)), np.zeros(11))
    np.testing.assert_allclose(found.x, wanted, atol=1e-12)
    assert found.converged and found.residual <= 1e-12 and found.iterations < 15


def test_a_newton_step_out_of_the_bracket_goes_to_its_middle() -> None:
    """arctan: Newton's method alone flies off from 3."""
    found = increasing_roots(lambda x: (np.arctan(x), 1 / (1 + x**2)), np.array([3.0]))
    assert found.converged and abs(found.x[0]) < 1e-12


def test_a_root_that_is_found_stays_while_others_are_sought() -> None:
    found = increasing_roots(lambda x: (x**3 - np.array([0.0, 8.0]), 3 * x**2 + 1e-9), np.array([0.0, 1.0]))
    assert found.x[0] == 0 and found.x[1] == pytest.approx(2)


def test_what_does_not_converge_says_so_and_gives_the_best() -> None:
    found = increasing_roots(lambda x: (x - 5, 0.1 + 0 * x), np.array([0.0]), iterations=2)
    assert not found.converged and found.iterations == 2 and found.residual == abs(found.x[0] - 5)


def test_no_iterations_are_refused() -> None:
    with pytest.raises(ValueError, match=r"iterations = 0: must be at least 1"):
        increasing_roots(lambda x: (x, x), np.zeros(1), iterations=0)


def test_the_example_in_the_documentation() -> None:
    assert doctest.testmod(roots, extraglobs={"np": np}) == doctest.TestResults(failed=0, attempted=1)

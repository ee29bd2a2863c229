"""Appendix B: the series in Δ, its norms, and its parts."""

from __future__ import annotations

import pytest

from tests.theory import twins
from trpolab import theory


def test_the_series_adds_up() -> None:
    for mdp, old, new in twins.random_cases(500, seed=40):
        found = theory.perturbation(mdp, old, new)
        assert found.identity_error < 1e-8
        assert found.eta + found.first + found.second == pytest.approx(found.eta_new, abs=1e-8)
        assert found.eta + found.first == pytest.approx(theory.local_model(mdp, old, new), abs=1e-8)
        assert found.eta_new == pytest.approx(theory.eta(mdp, new), abs=1e-12)


def test_its_norms_and_its_bound() -> None:
    for mdp, old, new in twins.random_cases(500, seed=41):
        found = theory.perturbation(mdp, old, new)
        assert abs(found.second) <= found.second_bound + 1e-10
        assert found.delta_norm <= 2 * found.alpha + 1e-12
        assert found.g_norm <= 1 / (1 - mdp.gamma) + 1e-9
        if not mdp.terminal.any():
            assert found.g_norm == pytest.approx(1 / (1 - mdp.gamma))


def test_the_error_is_of_second_order() -> None:
    """A tenth of the way: a tenth of the first term, some hundredth of the second."""
    for mdp, old, new in twins.random_cases(50, seed=42):
        near = theory.perturbation(mdp, old, theory.mixture(old, new, 1e-3))
        nearer = theory.perturbation(mdp, old, theory.mixture(old, new, 1e-4))
        assert nearer.first == pytest.approx(near.first / 10, rel=1e-6, abs=1e-12)
        assert nearer.second == pytest.approx(near.second / 100, rel=0.1, abs=1e-11)

"""Appendix B, exactly: η(π̃) as a series in Δ = P_π̃ - P_π. The first term is L; the rest is bounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trpolab.simulators.finite_mdp import FiniteMDP
from trpolab.theory.bounds import theorem_1
from trpolab.theory.divergences import max_tv
from trpolab.theory.surrogate import expected_advantages
from trpolab.theory.values import checked, evaluate, state_moves


@dataclass(frozen=True)
class Expansion:
    """η(π̃) = eta + first + second, exactly.

    In row convention, G = (I - γP_π)⁻¹ and G̃ likewise: ρ_π̃ = ρ0ᵀG̃ and G̃ = G + γGΔG + γ²GΔGΔG̃.
    """

    eta: float  # η(π)
    first: float  # ρ_πᵀ Ā = L_π(π̃) - η(π): the surrogate's gain
    second: float  # γ ρ_πᵀ Δ G̃ Ā = η(π̃) - L_π(π̃): the surrogate's error
    eta_new: float  # η(π̃)
    second_bound: float  # 4εγα²/(1-γ)², by the three norms below
    identity_error: float  # max |G̃ - (G + γGΔG + γ²GΔGΔG̃)|
    g_norm: float  # largest row sum of |G|: 1/(1-γ) without terminal states, less with them
    delta_norm: float  # largest row sum of |Δ|, at most 2α
    alpha: float  # D_TV^max


def perturbation(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> Expansion:
    """The expansion of Appendix B for two policies [S, A]. Raises ValueError for γ = 1, for which there is no bound."""
    bound = theorem_1(mdp, old, new)
    values, ahead = evaluate(mdp, old), expected_advantages(mdp, old, new)
    p_old, p_new = (state_moves(mdp, checked(mdp, policy)) for policy in (old, new))
    unit, gamma, delta = np.eye(mdp.states), mdp.gamma, p_new - p_old
    g = np.linalg.inv(unit - gamma * p_old)
    g_new = np.linalg.inv(unit - gamma * p_new)
    series = g + gamma * g @ delta @ g + gamma**2 * g @ delta @ g @ delta @ g_new
    return Expansion(
        eta=values.eta,
        first=float(values.visits @ ahead),
        second=float(gamma * values.visits @ delta @ g_new @ ahead),
        eta_new=bound.eta,
        second_bound=bound.penalty,
        identity_error=float(np.abs(g_new - series).max()),
        g_norm=float(np.abs(g).sum(1).max()),
        delta_norm=float(np.abs(delta).sum(1).max()),
        alpha=max_tv(mdp, old, new),
    )

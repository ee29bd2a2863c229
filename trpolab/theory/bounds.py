"""Lower bounds on η(π̃): the paper's, and tighter later ones. Each function returns both sides.

Each bound pairs an ε with a distance. ε = max |A_π| is paired with the square of the total variation, or with the KL,
which is larger. ε̄ = max_s |E_{a~π̃} A_π| is itself of the order of the total variation, and is paired with its first
power. All bounds need exact advantages: an ε estimated from samples is too small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trpolab.simulators.finite_mdp import FiniteMDP
from trpolab.theory.divergences import kl_by_state, max_kl, max_tv, tv_by_state
from trpolab.theory.surrogate import ahead_of
from trpolab.theory.values import eta, evaluate

ROUNDING = 1e-10  # relative error of linear solves in float64


@dataclass(frozen=True)
class Bound:
    """η(π̃) >= L_π(π̃) - constant · distance."""

    eta: float  # the left side, η(π̃)
    surrogate: float  # L_π(π̃)
    constant: float  # factor of the distance; contains ε and 1/(1-γ)²
    epsilon: float  # the ε that belongs to this bound
    distance: float  # α², a KL, or a mean total variation

    @property
    def penalty(self) -> float:
        """constant · distance; 0 where one of them is."""
        return self.constant * self.distance if self.constant > 0 and self.distance > 0 else 0.0

    @property
    def bound(self) -> float:
        """The right side."""
        return self.surrogate - self.penalty

    @property
    def holds(self) -> bool:
        """Whether left >= right, up to rounding."""
        return self.eta >= self.bound - ROUNDING * (1 + abs(self.eta) + abs(self.surrogate))

    @property
    def used(self) -> float:
        """|η(π̃) - L_π(π̃)| as a share of the penalty: 1 where the bound is attained, NaN where the penalty is 0."""
        return abs(self.eta - self.surrogate) / self.penalty if self.penalty > 0 else math.nan


def penalty_constant(gamma: float, epsilon: float = 1.0) -> float:
    """C = 4εγ/(1-γ)² of Eq. 9: 39,600 ε at γ = 0.99. Raises ValueError where γ is not below 1."""
    return 4 * epsilon * gamma / _squared_horizon(gamma)


def mixture_bound(mdp: FiniteMDP, old: np.ndarray, target: np.ndarray, alpha: float) -> Bound:
    """Eq. 6, for the mixture (1-α)π + απ' of Eq. 5 alone: 2εγ/(1-γ)² · α² with ε = max_s |E_{a~π'} A_π|."""
    return _bound(mdp, old, mixture(old, target, alpha), 2, alpha**2, target)


def theorem_1(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> Bound:
    """Eq. 8: 4εγ/(1-γ)² · α² with α = max_s D_TV (Eq. 7) and ε = max_{s,a} |A_π|."""
    return _bound(mdp, old, new, 4, max_tv(mdp, old, new) ** 2)


def kl_bound(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> Bound:
    """Eq. 9: C · max_s KL(π‖π̃) with C = 4εγ/(1-γ)², by D_TV² <= KL."""
    return _bound(mdp, old, new, 4, max_kl(mdp, old, new))


def coupling_bound(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> Bound:
    """Eq. 44 (Appendix A), always at least as tight as Eq. 8: 4εγα² / ((1-γ)(1-γ(1-α)))."""
    alpha = max_tv(mdp, old, new)
    shrunk = (1 - mdp.gamma) / (1 - mdp.gamma * (1 - alpha)) if mdp.gamma < 1 else math.nan
    return _bound(mdp, old, new, 4, alpha**2 * shrunk)


def pinsker_bound(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> Bound:
    """Eq. 9 with Pinsker's D_TV² <= ½ KL, which halves C."""
    return _bound(mdp, old, new, 2, max_kl(mdp, old, new))


def mean_tv_bound(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> Bound:
    """Achiam et al. (2017): 2ε̄γ/(1-γ)² · E_d D_TV, d = (1-γ)ρ_π and ε̄ = max_s |E_{a~π̃} A_π|."""
    return _bound(mdp, old, new, 2, _mean(mdp, old, tv_by_state(mdp, old, new)), new)


def mean_kl_bound(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> Bound:
    """The same by E_d D_TV <= √(½ E_d KL): the average KL, which TRPO constrains."""
    return _bound(mdp, old, new, 2, math.sqrt(0.5 * _mean(mdp, old, kl_by_state(mdp, old, new))), new)


def mispaired_bound(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> Bound:
    """NOT a bound, though often quoted as one: 2ε̄γ/(1-γ)² · α², the small ε̄ with the square. Often `holds` is False."""
    return _bound(mdp, old, new, 2, max_tv(mdp, old, new) ** 2, new)


def worst_fall(gamma: float, delta: float, epsilon: float = 1.0) -> float:
    """The most that η can fall in a step that maximises L with mean KL <= δ (Achiam et al. 2017): √(2δ)γε̄/(1-γ)²."""
    if not delta >= 0:
        raise ValueError(f"delta = {delta}: must be at least 0")
    return math.sqrt(2 * delta) * gamma * epsilon / _squared_horizon(gamma)


def mixture(old: np.ndarray, target: np.ndarray, alpha: float) -> np.ndarray:
    """(1-α)π + απ' [S, A]: Eq. 5. Raises ValueError for α outside 0 … 1."""
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha = {alpha}: must be between 0 and 1")
    return np.asarray((1 - alpha) * np.asarray(old, np.float64) + alpha * np.asarray(target, np.float64))


def _bound(
    mdp: FiniteMDP, old: np.ndarray, new: np.ndarray, factor: float, distance: float, target: np.ndarray | None = None
) -> Bound:
    """η(new) >= L - factor · εγ/(1-γ)² · distance with ε = max |A_π|, or with ε̄ = max_s |E_{a~target} A_π|."""
    values = evaluate(mdp, old)
    epsilon = values.epsilon if target is None else float(np.abs(ahead_of(mdp, values, target)).max())
    constant = factor * epsilon * mdp.gamma / _squared_horizon(mdp.gamma)
    surrogate = values.eta + float(values.visits @ ahead_of(mdp, values, new))
    return Bound(eta(mdp, new), surrogate, constant, epsilon, distance)


def _mean(mdp: FiniteMDP, policy: np.ndarray, by_state: np.ndarray) -> float:
    """Over d = (1-γ)ρ_π; terminal states count with 0."""
    visits = evaluate(mdp, policy).visits
    return float((1 - mdp.gamma) * visits[visits > 0] @ by_state[visits > 0])


def _squared_horizon(gamma: float) -> float:
    """(1-γ)². Raises ValueError where γ is not inside 0 … 1."""
    if not 0 <= gamma < 1:
        raise ValueError(f"gamma = {gamma}: the bounds divide by (1-γ)² and need 0 <= gamma < 1")
    return (1 - gamma) ** 2

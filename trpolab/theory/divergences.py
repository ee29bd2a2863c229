"""Distances between two policies [S, A] of a finite MDP, state by state; 0 in terminal states."""

from __future__ import annotations

import numpy as np

from trpolab.simulators.finite_mdp import FiniteMDP
from trpolab.theory.values import Values, checked, evaluate

SMALL = 1e-3  # below, c - log(1 + c) is summed as a series
SERIES = 6  # its last power: the rest is below 1e-15 of the first term


def tv_by_state(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """D_TV = ½ Σ_a |π - π̃| [S]; the largest over states is Eq. 7's."""
    difference = checked(mdp, old, "old policy") - checked(mdp, new, "new policy")
    return np.asarray(0.5 * np.abs(difference).sum(1) * mdp.living)


def kl_by_state(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """KL(π‖π̃) [S], in the paper's order; infinite where π takes an action that π̃ never takes."""
    p, q = checked(mdp, old, "old policy"), checked(mdp, new, "new policy")
    taken = p > 0
    with np.errstate(divide="ignore", over="ignore"):
        change = np.divide(q - p, p, out=np.zeros(p.shape), where=taken)
        log_ratio = np.log(q) - np.log(np.where(taken, p, 1))
    terms = np.where(taken, kl_terms(p, q, change, log_ratio), q)
    return np.where(mdp.living, terms.sum(1), 0.0)


def max_tv(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> float:
    """D_TV^max of Eq. 7, the α of Theorem 1."""
    return float(tv_by_state(mdp, old, new).max())


def max_kl(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> float:
    """D_KL^max of Eq. 9 and Eq. 11."""
    return float(kl_by_state(mdp, old, new).max())


def mean_kl(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> float:
    """The mean KL(π‖π̃) over s ~ ρ_π, normalised: the constraint of Eq. 12."""
    return mean_over_visits(evaluate(mdp, old), kl_by_state(mdp, old, new))


def mean_over_visits(values: Values, by_state: np.ndarray) -> float:
    """The mean over s ~ ρ_π of numbers [S]; states that are never visited are left out."""
    seen = values.visits > 0
    return float(values.state_weights[seen] @ by_state[seen])


def kl_terms(p: np.ndarray, q: np.ndarray, change: np.ndarray, log_ratio: np.ndarray) -> np.ndarray:
    """p log(p/q) - p + q for p > 0, where `change` = q/p - 1 and `log_ratio` = log(q/p).

    No term is negative, and their sum over actions is the KL: no large terms cancel where the policies are close. The
    ratio itself may be infinite, for p may be as small as numbers get.
    """
    near = p * without_log(np.minimum(change, 1.0), log_ratio)
    return np.where(change < 1, near, (q - p) - p * np.where(change < 1, 0.0, log_ratio))


def without_log(c: np.ndarray, log: np.ndarray) -> np.ndarray:
    """c - log(1 + c) where `log` = log(1 + c): the terms of Σ p (c - log(1 + c)) = KL are not negative, so none cancel.

    `log` is used where 1 + c is small and has lost its digits, the series c²/2 - c³/3 + … where c is small.
    """
    small = np.abs(c) < SMALL
    x = np.where(small, -c, 0.0)
    series = np.zeros_like(x)
    for power in range(SERIES, 1, -1):
        series = series * x + 1 / power
    return np.where(small, x**2 * series, c - np.where(c > -0.5, np.log1p(np.maximum(c, -0.5)), log))

"""Appendix A, exactly: two coupled policies act side by side, and a bound on what their disagreements cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trpolab.simulators.finite_mdp import FiniteMDP
from trpolab.theory.bounds import coupling_bound
from trpolab.theory.divergences import max_tv
from trpolab.theory.surrogate import expected_advantages
from trpolab.theory.values import checked, evaluate

Coupling = Callable[[np.ndarray, np.ndarray], np.ndarray]  # p, q [..., A] -> joint [..., A, A]


def maximal_coupling(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """A joint distribution [..., A, A] of (a, ã) with marginals p, q [..., A] and P(a ≠ ã) = D_TV, the least possible.

    Both take the same action with probability min(p, q); the rest of each is drawn independently.
    """
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    shared = np.minimum(p, q)
    rest_p, rest_q = p - shared, q - shared
    apart = rest_p.sum(-1)[..., None, None]
    apart_twice = rest_p[..., :, None] * rest_q[..., None, :] / np.where(apart > 0, apart, 1)
    return np.asarray(apart_twice + shared[..., :, None] * np.eye(p.shape[-1]))


def shared_uniform_coupling(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The joint [..., A, A] of two inverse-CDF draws from one uniform. NOT maximal for three or more actions."""
    p_edges, q_edges = (np.cumsum(np.asarray(x, np.float64), -1) for x in (p, q))
    p_below, q_below = p_edges - p, q_edges - q
    upper = np.minimum(p_edges[..., :, None], q_edges[..., None, :])
    lower = np.maximum(p_below[..., :, None], q_below[..., None, :])
    return np.asarray(np.maximum(upper - lower, 0.0))


def disagreement(joint: np.ndarray) -> np.ndarray:
    """P(a ≠ ã) [...] of joint distributions [..., A, A]."""
    return np.asarray(1 - np.trace(joint, axis1=-2, axis2=-1))


@dataclass(frozen=True, eq=False)
class CouplingArgument:
    """Both sides of Lemmas 2 and 3 and of Eq. 44, by state [S] or by time step [T]."""

    alpha: float  # D_TV^max
    epsilon: float  # max |A_π|
    expected_advantages: np.ndarray  # [S] Ā(s); Lemma 2: |Ā| <= lemma_2
    lemma_2: float  # 2αε
    agreed: np.ndarray  # [T] P(n_t = 0): no disagreement before step t
    agreed_least: np.ndarray  # [T] (1-α)^t, the least that a maximal coupling can have
    under_new: np.ndarray  # [T] E_{s_t~π̃} Ā (Eq. 26)
    under_old: np.ndarray  # [T] E_{s_t~π} Ā (Eq. 27)
    lemma_3: np.ndarray  # [T] 4α(1-(1-α)^t)ε >= |under_new - under_old|
    error: float  # η(π̃) - L_π(π̃): the γ^t-weighted sum of under_new - under_old over all time
    error_bound: float  # Eq. 44, the γ^t-weighted sum of lemma_3 over all time


def coupling_argument(
    mdp: FiniteMDP, old: np.ndarray, new: np.ndarray, steps: int = 50, coupling: Coupling = maximal_coupling
) -> CouplingArgument:
    """Appendix A over the first `steps` time steps, every probability exact.

    Both policies share the noise of the dynamics, so their states agree as long as their actions do. After the end of
    an episode they agree. Raises ValueError for γ = 1, where the sum has no bound.
    """
    if steps < 1:
        raise ValueError(f"steps = {steps}: must be at least 1")
    whole = coupling_bound(mdp, old, new)
    # In terminal states, where actions have no effect, both take any.
    pi_old, pi_new = (np.where(mdp.terminal[:, None], 1 / mdp.actions, checked(mdp, pi)) for pi in (old, new))
    same = np.diagonal(coupling(pi_old, pi_new), axis1=-2, axis2=-1)  # [S, A] probability that both take action a
    alpha, epsilon = max_tv(mdp, old, new), evaluate(mdp, old).epsilon
    ahead = expected_advantages(mdp, old, new)
    kept = (1 - alpha) ** np.arange(steps)
    return CouplingArgument(
        alpha=alpha,
        epsilon=epsilon,
        expected_advantages=ahead,
        lemma_2=2 * alpha * epsilon,
        agreed=_states(mdp, same, steps).sum(1),
        agreed_least=kept,
        under_new=_states(mdp, pi_new, steps) @ ahead,
        under_old=_states(mdp, pi_old, steps) @ ahead,
        lemma_3=4 * alpha * (1 - kept) * epsilon,
        error=whole.eta - whole.surrogate,
        error_bound=whole.penalty,
    )


def _states(mdp: FiniteMDP, pi: np.ndarray, steps: int) -> np.ndarray:
    """[T, S] probability of each state at each time, where action a is taken in state s with probability pi[s, a]."""
    walk = np.einsum("sa,sat->st", pi, mdp.transitions)
    states = [mdp.start]
    for _ in range(1, steps):
        states.append(states[-1] @ walk)
    return np.stack(states)

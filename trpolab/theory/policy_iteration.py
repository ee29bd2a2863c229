"""Exact policy iteration, and conservative policy iteration (Kakade and Langford 2002): Eq. 5 and 6."""

from __future__ import annotations

import numpy as np

from trpolab.simulators.finite_mdp import FiniteMDP
from trpolab.theory.bounds import mixture, mixture_bound
from trpolab.theory.steps import Step, step_to
from trpolab.theory.values import checked, eta, evaluate

TIE = 1e-11  # relative to |Q|: actions this close count as equally good; among them the old policy's choice stays


def greedy(mdp: FiniteMDP, policy: np.ndarray) -> np.ndarray:
    """π' = argmax L_π: in each state one action of largest A_π, [S, A] of zeros and ones.

    Among equally good actions it is the one that π takes most, so that policy iteration ends.
    """
    pi, values = checked(mdp, policy), evaluate(mdp, policy)
    best = values.q.max(1, keepdims=True)
    as_good = values.q >= best - TIE * max(1.0, float(np.abs(values.q).max()))
    return np.eye(mdp.actions)[np.argmax(np.where(as_good, pi, -1.0), axis=1)]


def policy_iteration_step(mdp: FiniteMDP, policy: np.ndarray) -> Step:
    """π̃ = argmax L_π, without a constraint. By Eq. 2 η cannot fall: no state's expected advantage is negative."""
    return step_to(mdp, policy, greedy(mdp, policy), guaranteed=eta(mdp, policy))


def policy_iteration(mdp: FiniteMDP, policy: np.ndarray) -> np.ndarray:
    """An optimal policy [S, A], by policy iteration until nothing changes."""
    while True:
        following = greedy(mdp, policy)
        if np.array_equal(following[mdp.living], np.asarray(policy)[mdp.living]):
            return following
        policy = following


def conservative_step_size(mdp: FiniteMDP, policy: np.ndarray, target: np.ndarray) -> float:
    """The α in 0 … 1 that maximises the right side of Eq. 6: (1-γ)² 𝔸 / (4εγ), 𝔸 = Σ_s ρ_π(s) Σ_a π'(a|s) A_π(s, a)."""
    values = evaluate(mdp, policy)
    ahead = float(values.visits @ (checked(mdp, target) * values.advantages).sum(1))
    penalty = mixture_bound(mdp, policy, target, 1.0).constant
    if ahead <= TIE * float(np.abs(values.q).max() * values.visits.sum()):  # at the optimum only rounding is left
        return 0.0
    return min(1.0, ahead / (2 * penalty)) if penalty > 0 else 1.0


def conservative_step(mdp: FiniteMDP, policy: np.ndarray, alpha: float | None = None) -> Step:
    """Conservative policy iteration: the mixture of Eq. 5 with π' = argmax L_π, and its guarantee by Eq. 6.

    Without `alpha`, the one with the largest guaranteed gain. Raises ValueError for `alpha` outside 0 … 1.
    """
    target = greedy(mdp, policy)
    alpha = conservative_step_size(mdp, policy, target) if alpha is None else alpha
    promise = mixture_bound(mdp, policy, target, alpha)
    return step_to(mdp, policy, mixture(policy, target, alpha), guaranteed=promise.bound)

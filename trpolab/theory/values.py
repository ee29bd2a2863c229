"""Exact values of a policy on a finite MDP, by linear solves in float64.

A policy is an array [S, A] of probabilities; rows of terminal states are not used. The process ends where a terminal
state is reached: V, Q and A are 0 there, and visits of it are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from trpolab.policies import Categorical, Policy
from trpolab.simulators.finite_mdp import FiniteMDP, check_rows, never_ends


@dataclass(frozen=True, eq=False)
class Values:
    """What Section 2 defines for one policy."""

    eta: float  # η = E Σ_t γ^t r
    v: np.ndarray  # [S] V_π
    q: np.ndarray  # [S, A] Q_π
    advantages: np.ndarray  # [S, A] A_π = Q_π - V_π
    visits: np.ndarray  # [S] ρ_π, unnormalised: sums to 1/(1-γ) where no state is terminal

    @property
    def epsilon(self) -> float:
        """ε = max_{s,a} |A_π(s, a)| of Theorem 1."""
        return float(np.abs(self.advantages).max())

    @property
    def state_weights(self) -> np.ndarray:
        """[S] ρ_π normalised: the distribution of "s ~ ρ"."""
        return np.asarray(self.visits / self.visits.sum())


def evaluate(mdp: FiniteMDP, policy: np.ndarray) -> Values:
    """η, V, Q, A and ρ of a policy [S, A] (Section 2).

    Raises ValueError for rows that are not distributions, and for γ = 1 where the policy never ends from some state.
    """
    pi = checked(mdp, policy)
    moves = state_moves(mdp, pi)
    if mdp.gamma == 1 and (stuck := never_ends(np.einsum("sa,sat->st", pi, mdp.transitions), mdp.terminal)) is not None:
        raise ValueError(
            f"gamma = 1: under this policy no terminal state is reached from state {stuck}, so its return has no "
            "limit; give gamma < 1, or a policy that ends"
        )
    rewards = mdp.expected_rewards
    system = np.eye(mdp.states) - mdp.gamma * moves
    v = np.linalg.solve(system, (pi * rewards).sum(1))
    v[mdp.terminal] = 0
    q = rewards + mdp.gamma * mdp.transitions @ v
    visits = np.linalg.solve(system.T, mdp.start)
    return Values(float(mdp.start @ v), v, q, q - v[:, None], visits)


def eta(mdp: FiniteMDP, policy: np.ndarray) -> float:
    """η(π), the expected discounted return."""
    return evaluate(mdp, policy).eta


def state_moves(mdp: FiniteMDP, pi: np.ndarray) -> np.ndarray:
    """P_π [S, S] between states that are not terminal; rows and columns of terminal states are 0."""
    moves = np.einsum("sa,sat->st", pi, mdp.transitions)
    moves[mdp.terminal] = 0
    moves[:, mdp.terminal] = 0
    return np.asarray(moves)


def checked(mdp: FiniteMDP, policy: np.ndarray, name: str = "policy") -> np.ndarray:
    """A policy as float64 [S, A]. Raises ValueError unless every state that is not terminal has a distribution."""
    pi = np.asarray(policy, np.float64)
    if pi.shape != (mdp.states, mdp.actions):
        raise ValueError(f"{name}: shape {pi.shape}, must be {(mdp.states, mdp.actions)}, one row a state")
    check_rows(name, np.where(mdp.terminal[:, None], 1 / mdp.actions, pi) if mdp.terminal.any() else pi)
    return pi


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities [..., A] of logits [..., A]."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def uniform_policy(mdp: FiniteMDP) -> np.ndarray:
    """Every action as likely as any other: [S, A]."""
    return np.full((mdp.states, mdp.actions), 1 / mdp.actions)


def random_policy(mdp: FiniteMDP, generator: np.random.Generator, spread: float = 1.0) -> np.ndarray:
    """A soft-max of normal logits with standard deviation `spread`: [S, A]."""
    return softmax(spread * generator.normal(size=(mdp.states, mdp.actions)))


def tabulate(mdp: FiniteMDP, policy: Policy) -> np.ndarray:
    """A learnt policy as the table [S, A] of its probabilities in each state, in float64.

    Raises ValueError for one that does not observe this MDP's states or does not choose among its actions.
    """
    fits = isinstance(policy.distribution, Categorical) and policy.distribution.n == mdp.actions
    if policy.obs_shape != (mdp.states,) or not fits:
        raise ValueError(
            f"this policy observes {policy.obs_shape} and its actions are {policy.distribution}; {mdp.name} has "
            f"{mdp.states} states, one-hot, and {mdp.actions} actions"
        )
    logits = policy.parameters(policy.features(np.eye(mdp.states, dtype=np.float32)))
    return np.asarray(torch.softmax(logits.detach().double(), dim=1).numpy())

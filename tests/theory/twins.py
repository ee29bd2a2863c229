"""Slow, obvious twins of the theory: sums over time, enumeration and random search; and random cases to try both on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from trpolab import theory
from trpolab.theory import FiniteMDP


def random_cases(count: int, seed: int, states: int = 6, actions: int = 3) -> Iterator[tuple]:
    """(mdp, old, new): γ in 0.3 … 0.97; every third pair close, every tenth MDP with a terminal state."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        mdp = theory.random_mdp(
            states, actions, branching=rng.integers(1, states + 1), gamma=rng.uniform(0.3, 0.97), generator=rng
        )
        if index % 10 == 9:
            terminal = np.arange(states) == states - 1
            start = np.where(terminal, 0, 1 / (states - 1))
            mdp = FiniteMDP(mdp.transitions, mdp.rewards, start, mdp.gamma, terminal)
        old, new = theory.random_policy(mdp, rng), theory.random_policy(mdp, rng)
        if index % 3 == 0:
            new = theory.mixture(old, new, 10 ** rng.uniform(-4, 0))
        yield mdp, old, new


def steps_for(gamma: float, left: float = 1e-15) -> int:
    """Steps after which the discount is below `left`."""
    return int(np.ceil(np.log(left) / np.log(gamma)))


def eta_by_steps(mdp: FiniteMDP, policy: np.ndarray, steps: int) -> float:
    """Σ_t γ^t E r(s_t, a_t, s_{t+1}), one step after another, terminal states by their own rows."""
    total, state = 0.0, mdp.start.copy()
    for t in range(steps):
        moving = state[:, None, None] * policy[:, :, None] * mdp.transitions
        total += mdp.gamma**t * float((moving * mdp.rewards).sum())
        state = moving.sum((0, 1))
    return total


def q_to_go(mdp: FiniteMDP, policy: np.ndarray, steps: int) -> np.ndarray:
    """Q with `steps` rewards left: [steps + 1, S, A], row k for k of them."""
    found = [np.zeros((mdp.states, mdp.actions))]
    for _ in range(steps):
        v = (policy * found[-1]).sum(1) * mdp.living
        found.append(mdp.expected_rewards * mdp.living[:, None] + mdp.gamma * mdp.transitions @ v)
    return np.stack(found)


def states_at(mdp: FiniteMDP, policy: np.ndarray, steps: int) -> np.ndarray:
    """P(s_t = s) [steps, S]."""
    walk = np.einsum("sa,sat->st", policy, mdp.transitions)
    found = [mdp.start.copy()]
    for _ in range(steps - 1):
        found.append(found[-1] @ walk)
    return np.stack(found)


def best_by_enumeration(mdp: FiniteMDP) -> float:
    """The largest η of all deterministic policies."""
    choices = itertools.product(range(mdp.actions), repeat=mdp.states)
    return max(theory.eta(mdp, np.eye(mdp.actions)[list(choice)]) for choice in choices)


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p‖q) [...] written out."""
    return (p * (np.log(p) - np.log(q))).sum(-1)


def t1_example(alpha: float = 0.01) -> tuple:
    """Two states, action j leads to state j, r = (0, 1), γ = ½: the policy moves by α in one state only."""
    transitions = np.zeros((2, 2, 2))
    transitions[:, 0, 0] = transitions[:, 1, 1] = 1
    mdp = FiniteMDP(transitions, np.array([0.0, 1.0]), np.array([0.5, 0.5]), 0.5)
    old = np.full((2, 2), 0.5)
    return mdp, old, np.array([[0.5 - alpha, 0.5 + alpha], [0.5, 0.5]])

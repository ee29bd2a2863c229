"""Q̂ and advantages from pieces of trajectories."""

from __future__ import annotations

import numpy as np


def discounted_sums(x: np.ndarray, start: np.ndarray, factor: float, tail: np.ndarray | None = None) -> np.ndarray:
    """y_t = x_t + factor · y_{t+1} within each piece; after a piece's last step comes `tail` [S] (0 where None).

    x: [N], pieces laid end to end with offsets start [S + 1]. Returns [N] float64. Runs all pieces side by side,
    longest first, so that its cost is one array operation per step of the longest piece.
    """
    lengths = np.diff(start)
    order = np.argsort(-lengths, kind="stable")
    lengths, ends = lengths[order], start[1:][order]
    y = np.empty(len(x))
    after = np.zeros(len(order)) if tail is None else np.asarray(tail, np.float64)[order].copy()
    live = len(order)
    for back in range(1, int(lengths[0]) + 1 if len(order) else 1):
        while live and lengths[live - 1] < back:
            live -= 1
        rows = ends[:live] - back
        after[:live] = x[rows] + factor * after[:live]
        y[rows] = after[:live]
    return y


def generalized_advantage(
    rewards: np.ndarray,
    values: np.ndarray,
    last_values: np.ndarray,
    terminated: np.ndarray,
    start: np.ndarray,
    gamma: float,
    lam: float,
) -> np.ndarray:
    """GAE(γ, λ) [N]: the (γλ)-discounted sum of δ_t = r_t + γ V(s_{t+1}) - V(s_t).

    A piece that terminated has no value after it; one that a time limit or the batch cut is bootstrapped with
    `last_values` [S], the value of its true next state.
    """
    following = np.empty_like(values)
    following[:-1] = values[1:]
    following[start[1:] - 1] = np.where(terminated, 0.0, last_values)
    return discounted_sums(rewards + gamma * following - values, start, gamma * lam)


def nothing_earned(fits: int, *rewards: np.ndarray) -> bool:
    """Whether there is nothing to learn from: only zero rewards, and a value function that was never fitted.

    Such a function's values are the noise of its initial parameters, and so are advantages and targets made from them.
    """
    return fits == 0 and not any(np.any(earned) for earned in rewards)


def standardized(advantages: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1; only centred where all are equal."""
    centred = advantages - advantages.mean()
    spread = centred.std()
    return centred / spread if spread > 1e-12 else centred

"""Q̂ and advantages from pieces of trajectories."""

from __future__ import annotations

from typing import Any

import numpy as np

from trpolab.numerics.arrays import hardly_varies
from trpolab.own import LIBRARY, OwnFunctions
from trpolab.policies import Policy, ValueFunction
from trpolab.sampling.trajectories import Trajectories


def discounted_sums(x: np.ndarray, start: np.ndarray, factor: float) -> np.ndarray:
    """y_t = x_t + factor · y_{t+1} within each piece; after a piece's last step comes 0.

    x: [N], pieces laid end to end with offsets start [S + 1]. Returns [N] float64. Runs all pieces side by side,
    longest first, so that its cost is one array operation per step of the longest piece.
    """
    lengths = np.diff(start)
    order = np.argsort(-lengths, kind="stable")
    lengths, ends = lengths[order], start[1:][order]
    y = np.empty(len(x))
    after = np.zeros(len(order))
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
    own: OwnFunctions = LIBRARY,
) -> np.ndarray:
    """GAE(γ, λ) [N]: the (γλ)-discounted sum of δ_t = r_t + γ V(s_{t+1}) - V(s_t).

    A piece that terminated has no value after it; one that a time limit or the batch cut is bootstrapped with
    `last_values` [S], the value of its true next state. A person's `advantages` is asked piece by piece.
    """
    if own.advantages is not None:
        after = np.where(terminated, 0.0, last_values).tolist()
        return own.by_piece("advantages", start, (rewards, values), gamma, lam, each=after)
    following = np.empty_like(values)
    following[:-1] = values[1:]
    following[start[1:] - 1] = np.where(terminated, 0.0, last_values)
    return discounted_sums(rewards + gamma * following - values, start, gamma * lam)


def advantages_and_values(
    tr: Trajectories, features: Any, policy: Policy, value: ValueFunction, gamma: float, lam: float,
    own: OwnFunctions = LIBRARY,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """GAE(γ, λ) [N] of trajectories by V, and V [N]; all advantages are 0 where they differ by rounding alone.

    `features` [N, F] are the network's inputs at the states. A value function that was never fitted says the same of
    every state: `level`.
    """
    if not value.fits:
        value = value.at_level(level(tr.rewards, int(tr.terminated.sum()), gamma))
    values, last_values = value.values(features), value.values(policy.features(tr.last_obs))
    advantages = generalized_advantage(tr.rewards, values, last_values, tr.terminated, tr.start, gamma, lam, own)
    return np.zeros_like(advantages) if hardly_varies(advantages, values) else advantages, values


def level(rewards: np.ndarray, ends: int, gamma: float) -> float:
    """The one value v that, given to every state, makes the mean of r + γ v' - v zero; v' is 0 at the `ends`.

    It has the rewards' own unit and offset, so that what is learned from a first batch does not depend on them. Where
    γ = 1 and nothing ended, every v does so.
    """
    due = len(rewards) * (1 - gamma) + gamma * ends
    return float(rewards.sum()) / due if due > 0 else 0.0


def standardized(advantages: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1; all 0 where they differ by rounding alone."""
    if hardly_varies(advantages, advantages):
        return np.zeros_like(advantages)
    centred = advantages - advantages.mean()
    return centred / centred.std()

"""Branches no longer than common random numbers can still tell their first actions apart.

The same first actions are rolled out twice, with two futures. What the two agree on is due to the actions (signal),
what they don't is due to chance (noise). The longer a branch, the more of its Q̂ is noise.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trpolab.policies import Policy, ValueFunction
from trpolab.policies.frames import Frames
from trpolab.sampling.vine.branches import Rolled


def agreement(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Share of signal [H] in the variance of Q̂ between the actions of a state, by length; 1 where nothing varies.

    one, other: [H, P, K], Q̂ of P states and K actions after 1 … H steps in two independent futures.
    """
    a, b = (q - q.mean(axis=2, keepdims=True) for q in (one, other))
    both, all_of_it = (a * b).sum(axis=(1, 2)), (a**2 + b**2).sum(axis=(1, 2)) / 2
    return np.divide(both, all_of_it, out=np.ones(len(one)), where=all_of_it > 0)


def length_that_tells(share: np.ndarray) -> int:
    """The last length before noise exceeds signal: before `share` [H] falls below 1/2; at least 1."""
    noisy = np.flatnonzero(share < 0.5)
    return max(1, int(noisy[0])) if len(noisy) else len(share)


def q_by_length(rolled: Rolled, policy: Policy, value: ValueFunction | None, gamma: float, horizon: int) -> np.ndarray:
    """Q̂ [H, B] that each branch would have had if it had been cut after 1 … H steps; its steps must be kept."""
    steps, branches = rolled.steps, len(rolled.returns)
    if steps is None:
        raise ValueError("the steps of these branches were not kept")
    age, branch = steps.t, np.repeat(np.arange(branches), np.diff(steps.start))
    q = np.zeros((horizon, branches))
    q[age, branch] = gamma**age * steps.rewards
    q = q.cumsum(axis=0)
    if value is None:
        return q
    tail, later = np.zeros_like(q), age > 0
    tail[age[later] - 1, branch[later]] = value.values(policy.features(steps.obs))[later]
    live = np.where(rolled.terminated | rolled.unstable, 0.0, value.values(policy.features(rolled.last_obs)))
    lengths = np.arange(1, horizon + 1)[:, None]
    tail = np.where(lengths >= rolled.lengths, live, tail)
    return q + gamma ** np.minimum(lengths, rolled.lengths) * tail


def cut(rolled: Rolled, length: int, gamma: float) -> Rolled:
    """The branches as if `length` had been their horizon. The steps that were played stay, and are counted."""
    steps, longer = rolled.steps, np.flatnonzero(rolled.lengths > length)
    if steps is None or not len(longer):
        return rolled
    discounted = gamma**steps.t * np.where(steps.t < length, steps.rewards, 0.0)
    returns, lengths, last_obs = rolled.returns.copy(), np.minimum(rolled.lengths, length), rolled.last_obs.copy()
    returns[longer] = np.add.reduceat(discounted, steps.start[:-1])[longer]
    rows = steps.start[longer] + length
    last_obs[longer] = steps.obs.take(rows) if isinstance(steps.obs, Frames) else steps.obs[rows]
    ended = rolled.lengths <= length
    terminated, unstable = rolled.terminated & ended, rolled.unstable & ended
    return replace(
        rolled, returns=returns, lengths=lengths, last_obs=last_obs, terminated=terminated, unstable=unstable
    )

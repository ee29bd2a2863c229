"""Proposals q of Section 5.2: from which distribution the first action of a branch is drawn.

Each offered q covers every action that a policy can take, so π_θ/q is finite for every θ. What q a draw came from is
told by log q alone; nothing downstream assumes that it was the policy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from trpolab.policies import Distribution
from trpolab.sampling.batch import Estimator
from trpolab.sampling.config import Vine
from trpolab.sampling.vine.antithetic import first_noise
from trpolab.sampling.vine.budget import enumerates


@dataclass(frozen=True)
class FirstActions:
    """The first actions of all branches, and how the surrogate is to be estimated from them."""

    actions: np.ndarray  # [N, K, *A]
    log_q: np.ndarray  # [N, K] log q(a_nk | s_n), the marginal of every single draw
    estimator: Estimator


def draw_first_actions(
    distribution: Distribution, old: np.ndarray, vine: Vine, generator: np.random.Generator
) -> FirstActions:
    """K actions for each of N states from the config's q; old [N, U] are the parameters of π_old there.

    - `policy`: K draws from π_old, independent or, with `vine.antithetic`, in pairs.
    - `widened`: from π_old with σ times `vine.widening`; for discrete actions, with log-probabilities divided by it.
    - `uniform`: K different actions, every subset equally likely. Each single draw is uniform over the A actions, so
      log q = -log A holds for Eq. 14 (unbiased) and cancels in Eq. 16. With K >= A it is the next one.
    - `all`: every action once. log q = -log A makes the importance estimator Eq. 15:
      mean_k A·π(a_k)·Q̂_k = Σ_a π(a)·Q̂_a.
    """
    count = distribution.action_count
    asked = Estimator.SELF_NORMALIZED if vine.estimator == "self-normalized" else Estimator.IMPORTANCE
    n = len(old)
    if enumerates(vine, count) or vine.proposal == "uniform":
        if count is None:
            raise ValueError(f"proposal = {vine.proposal!r}: continuous actions can't be enumerated")
        if enumerates(vine, count):
            indices, estimator = np.tile(np.arange(count), (n, 1)), Estimator.IMPORTANCE
        else:
            indices, estimator = different_indices(generator, n, vine.actions, count), asked
        log_q = np.full(indices.shape, -math.log(count), np.float32)
        return FirstActions(distribution.joint_action(indices), log_q, estimator)
    u = old if vine.proposal == "policy" else distribution.widened(old, vine.widening)
    repeated = np.repeat(u, vine.actions, axis=0)
    actions = distribution.sample_from(repeated, first_noise(distribution, vine, generator, n))
    log_q = distribution.log_prob(torch.from_numpy(repeated), torch.from_numpy(actions)).numpy()
    actions = actions.reshape(n, vine.actions, *distribution.action_shape)
    return FirstActions(actions, log_q.reshape(n, vine.actions), asked)


def different_indices(generator: np.random.Generator, n: int, k: int, count: int) -> np.ndarray:
    """[n, k] different numbers out of 0 … count - 1 in each row, every choice and order equally likely.

    Floyd's algorithm (Bentley and Floyd 1987), all rows side by side, then a shuffle: no row costs more than k draws.
    """
    chosen = np.empty((n, k), np.int64)
    for place, last in enumerate(range(count - k, count)):
        drawn = generator.integers(0, last + 1, size=n)
        taken = (chosen[:, :place] == drawn[:, None]).any(axis=1)
        chosen[:, place] = np.where(taken, last, drawn)
    return generator.permuted(chosen, axis=1)

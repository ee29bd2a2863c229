"""A rollout set where it pays: a state is likelier to be chosen the larger the advantage of what was done there.

That is where V is wrong, or where the action mattered. A likelier state weighs less in turn (Horvitz and Thompson,
1952), so that L(θ) stays an estimate of the same mean over the states of the trunks.
"""

from __future__ import annotations

import numpy as np

from trpolab.sampling.vine.trunks import RolloutSet

EVEN = 0.5  # of the probability that all candidates share: none weighs more than 1 / EVEN


def chosen_by_size(roots: RolloutSet, size: np.ndarray, states: int, generator: np.random.Generator) -> RolloutSet:
    """`states` of the candidates [C], each with a probability that grows with its `size` [C] >= 0, weighted.

    Systematic sampling (Madow 1949): one uniform number places a comb on the candidates in their order, laid end to end
    by their probabilities, so that the set is spread over the trunks too.
    """
    probability = inclusion(size, states)
    comb = generator.random() + np.arange(states)
    rows = np.minimum(np.searchsorted(np.cumsum(probability), comb, side="right"), len(roots) - 1)
    chosen = roots.take(rows)
    chosen.weight[:] = states / (len(roots) * probability[rows])
    return chosen


def inclusion(size: np.ndarray, states: int) -> np.ndarray:
    """The probability [C] that a candidate is one of the `states` chosen: adds up to that number, none is above 1."""
    mean = size.mean()
    share = EVEN * mean + (1 - EVEN) * size if mean > 0 else np.ones(len(size))
    sure = np.zeros(len(size), bool)
    while True:
        probability = np.where(sure, 1.0, (states - sure.sum()) * share / max(share[~sure].sum(), np.finfo(float).tiny))
        if not (over := ~sure & (probability >= 1)).any():
            return probability
        sure |= over

"""Random subsets of rows."""

from __future__ import annotations

import math

import numpy as np


def random_rows(count: int, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """A random subset of range(count) [m] int64 in rising order, m = ⌈fraction · count⌉, without repetition.

    Random instead of every k-th: with rows stored by time that could leave out whole slots.
    """
    wanted = min(count, max(1, math.ceil(fraction * count)))
    if wanted == count:
        return np.arange(count)
    return np.sort(generator.choice(count, wanted, replace=False, shuffle=False))

"""The noise of first actions: independent, or in antithetic pairs (Hammersley and Morton, 1956)."""

from __future__ import annotations

import numpy as np

from trpolab.policies import Distribution
from trpolab.sampling.config import Vine


def first_noise(distribution: Distribution, vine: Vine, generator: np.random.Generator, n: int) -> np.ndarray:
    """[N * K, noise_size], K rows a state; with `vine.antithetic` row k + K/2 is row k mirrored at the noise's centre.

    Each row by itself is drawn from the distribution's own noise.
    """
    if not vine.paired:
        return distribution.noise(generator, (n * vine.actions,))
    half = distribution.noise(generator, (n, vine.actions // 2))
    mirrored = 2 * distribution.noise_centre - half
    if distribution.noise_centre:  # uniforms stay below 1
        mirrored = np.minimum(mirrored, np.nextafter(1.0, 0.0))
    both = np.concatenate([half, mirrored], axis=1, dtype=half.dtype)
    return both.reshape(n * vine.actions, -1)

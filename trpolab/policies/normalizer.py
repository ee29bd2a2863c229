"""Running mean and variance of observations: part of a policy, frozen while a batch is collected."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

CLIP = 10.0  # normalised observations are clipped to ±CLIP
EPSILON = 1e-8  # added to the variance: a coordinate that never moved stays 0


@dataclass(frozen=True, eq=False)
class Normalizer:
    """(obs - mean) / √(var + 1e-8), clipped to ±10; before any statistics it only clips."""

    count: float
    mean: np.ndarray  # [*O] float64
    var: np.ndarray  # [*O] float64, population variance

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> Normalizer:
        """No statistics yet: mean 0, variance 1."""
        return cls(0.0, np.zeros(shape), np.ones(shape))

    def updated(self, obs: np.ndarray) -> Normalizer:
        """Statistics with obs [N, *O] merged in (Chan et al. 1979). Raises ValueError if any of them is not finite."""
        if len(obs) == 0:
            return self
        with np.errstate(invalid="ignore", over="ignore"):  # told below, once
            mean = obs.mean(axis=0, dtype=np.float64)
            var = obs.var(axis=0, dtype=np.float64)
        if not (np.isfinite(mean).all() and np.isfinite(var).all()):
            raise ValueError("observations that are not finite cannot enter the normaliser's statistics")
        total = self.count + len(obs)
        shift = mean - self.mean
        share = len(obs) / total
        merged = self.var * (1 - share) + var * share + shift**2 * share * (1 - share)
        return Normalizer(total, self.mean + shift * share, merged)

    @cached_property
    def shift_and_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """(mean, 1/√(var + 1e-8)) [*O] float32."""
        return self.mean.astype(np.float32), (1 / np.sqrt(self.var + EPSILON)).astype(np.float32)

    def normalize_(self, x: np.ndarray) -> None:
        """Normalise x [N, *O] float32 in place."""
        shift, scale = self.shift_and_scale
        x -= shift
        x *= scale
        np.clip(x, -CLIP, CLIP, out=x)

    def apply(self, obs: np.ndarray) -> np.ndarray:
        """Normalised observations [N, *O] float32."""
        result = np.array(obs, dtype=np.float32)
        self.normalize_(result)
        return result

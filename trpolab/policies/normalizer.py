"""Running mean and variance of observations: part of a policy, frozen while a batch is collected."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trpolab.settings import PlainError

CLIP = 10.0  # normalised observations are clipped to ±CLIP
STILL, ROUNDING = 1e-12, 1e-15  # deviations that are rounding: alone, and as a share of the mean
OLD_EPSILON = 1e-8  # added to the variance by older versions


@dataclass(frozen=True, eq=False)
class Normalizer:
    """(obs - mean) / √(var + epsilon), clipped to ±10, in float64; 0 for a coordinate that has not moved yet.

    So neither the unit of a coordinate nor an offset that float64 can hold changes what comes out.
    """

    count: float
    mean: np.ndarray  # [*O] float64
    var: np.ndarray  # [*O] float64, population variance
    epsilon: float = 0.0

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> Normalizer:
        """No statistics yet: all observations are alike."""
        return cls(0.0, np.zeros(shape), np.zeros(shape))

    def updated(self, obs: np.ndarray) -> Normalizer:
        """Statistics with obs [N, *O] merged in (Chan et al. 1979). Raises PlainError if the result is not finite."""
        if len(obs) == 0:
            return self
        total = self.count + len(obs)
        share = len(obs) / total
        with np.errstate(invalid="ignore", over="ignore"):  # told below, once
            apart = np.subtract(obs, obs[0], dtype=np.float64)  # exactly 0 where a coordinate never moves
            mean, var = obs[0] + apart.mean(axis=0), apart.var(axis=0)
            shift = mean - self.mean
            merged = self.var * (1 - share) + var * share + shift**2 * share * (1 - share)
        if not np.isfinite(merged).all():
            raise PlainError(
                f"observations of {np.abs(obs).max():.3g} in size cannot be normalised: they, or their squares, are "
                "not finite floats; scale them, as gymnasium.wrappers.TransformObservation does"
            )
        return dataclasses.replace(self, count=total, mean=self.mean + shift * share, var=merged)

    @cached_property
    def shift_and_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """(mean, 1/√(var + epsilon)) [*O] float64; the scale of a coordinate that has not moved is 0."""
        deviation = np.sqrt(self.var + self.epsilon)
        moves = deviation > np.maximum(STILL, ROUNDING * np.abs(self.mean))
        return self.mean, np.divide(1.0, deviation, out=np.zeros_like(deviation), where=moves)

    def apply(self, obs: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Normalised observations [N, *O] float64, in `out` if it is given."""
        shift, scale = self.shift_and_scale
        x = np.subtract(obs, shift, out=out, dtype=np.float64)
        x *= scale
        return np.clip(x, -CLIP, CLIP, out=x)

"""Categorical distributions of discrete actions, alone and in tuples (Appendix D)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from gymnasium import spaces
from torch import Tensor

from trpolab.numerics.arrays import Array, as_array, as_tensor, namespace
from trpolab.policies.distributions import Distribution
from trpolab.policies.kinds import DistributionKind


class _Logits(Distribution):
    """What distributions over finite sets share: u are the network's outputs, and there are no own parameters."""

    action_dtype = np.dtype(np.int64)
    noise_centre = 0.5

    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Uniforms in [0, 1), one a factor: [*shape, factors] float64."""
        return generator.random((*shape, self.noise_size))

    def widened(self, u: np.ndarray, factor: float) -> np.ndarray:
        """Logits [N, U] divided by the factor, a temperature."""
        return (u / np.float32(factor)).astype(u.dtype)


@dataclass(frozen=True)
class Categorical(_Logits):
    """One of n actions, start … start + n - 1; u = logits [B, n]."""

    n: int
    start: int = 0

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"Categorical: n = {self.n}, must be at least 1")

    action_shape = ()

    @property
    def outputs(self) -> int:
        """Width of the network's output."""
        return self.n

    @property
    def action_count(self) -> int:
        """A."""
        return self.n

    def log_prob(self, u: Tensor, actions: Tensor) -> Tensor:
        """log π(a) [B] of actions [B]."""
        return F.log_softmax(u, dim=1).gather(1, self._index(actions)).squeeze(1)

    def score(self, u: Tensor, actions: Tensor) -> Tensor:
        """∂ log π(a) / ∂u [B, U] = one-hot(a) - p."""
        score = -F.softmax(u, dim=1)
        return score.scatter_add(1, self._index(actions), torch.ones_like(score[:, :1]))

    def kl(self, u_old: Tensor, u_new: Tensor) -> Tensor:
        """KL(old‖new) [B]."""
        log_old = F.log_softmax(u_old, dim=1)
        return (log_old.exp() * (log_old - F.log_softmax(u_new, dim=1))).sum(1)

    def kl_slope(self, u_old: Tensor, u_new: Tensor) -> Tensor:
        """∂ KL(old‖new) / ∂u_new [B, U]."""
        return F.softmax(u_new, dim=1) - F.softmax(u_old, dim=1)

    def entropy(self, u: Tensor) -> Tensor:
        """Entropy [B] in nats."""
        log_p = F.log_softmax(u, dim=1)
        return -(log_p.exp() * log_p).sum(1)

    def output_metric(self, outputs: Array, own: Array) -> Callable[[Array], Array]:
        """M = diag(p) - ppᵀ, as du [B, U] ↦ M·du [B, U]."""
        p = as_array(F.softmax(as_tensor(outputs), dim=1))

        def multiply(du: Array) -> Array:
            weighted = p * du
            weighted -= p * weighted.sum(1)[:, None]
            return weighted

        return multiply

    def sample_from(self, u: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Actions [B] by the inverse cumulative distribution; u [B, U], noise [B, 1] uniform."""
        weights = np.exp(u - u.max(axis=1, keepdims=True), dtype=np.float64)
        below = np.cumsum(weights, axis=1)
        # the last column is left out: rounding cannot push an action beyond n - 1
        return self.start + (below[:, :-1] <= noise * below[:, -1:]).sum(axis=1, dtype=np.int64)

    def mode(self, u: np.ndarray) -> np.ndarray:
        """The likeliest actions [B]."""
        return self.start + u.argmax(axis=1)

    def joint_action(self, indices: np.ndarray) -> np.ndarray:
        """Actions [...] from their numbers 0 … n - 1 [...]."""
        return indices.astype(np.int64) + self.start

    def _index(self, actions: Tensor) -> Tensor:
        return actions.reshape(-1, 1).long() - self.start


@dataclass(frozen=True)
class FactoredCategorical(_Logits):
    """A tuple of independent categoricals (Appendix D); u = their logits side by side, one uniform of noise each."""

    nvec: tuple[int, ...]
    start: tuple[int, ...] | None = None  # first action of each factor, when it is not 0

    def __post_init__(self) -> None:
        if not self.nvec or min(self.nvec) < 1 or (self.start is not None and len(self.start) != len(self.nvec)):
            raise ValueError(f"FactoredCategorical: nvec = {self.nvec}, start = {self.start}: each factor needs n >= 1")

    @property
    def outputs(self) -> int:
        """Width of the network's output."""
        return sum(self.nvec)

    @property
    def action_count(self) -> int:
        """A, all combinations."""
        return math.prod(self.nvec)

    @property
    def action_shape(self) -> tuple[int, ...]:
        """*A."""
        return (len(self.nvec),)

    @cached_property
    def factors(self) -> tuple[tuple[Categorical, slice], ...]:
        """Each factor with its columns of u."""
        ends = np.cumsum(self.nvec).tolist()
        starts = self.start or (0,) * len(self.nvec)
        parts = zip(self.nvec, starts, ends, strict=True)
        return tuple((Categorical(n, start), slice(end - n, end)) for n, start, end in parts)

    def log_prob(self, u: Tensor, actions: Tensor) -> Tensor:
        """log π(a) [B] of actions [B, factors]."""
        return torch.stack([part.log_prob(u[:, c], actions[:, k]) for k, (part, c) in enumerate(self.factors)]).sum(0)

    def score(self, u: Tensor, actions: Tensor) -> Tensor:
        """∂ log π(a) / ∂u [B, U]."""
        return torch.cat([part.score(u[:, c], actions[:, k]) for k, (part, c) in enumerate(self.factors)], dim=1)

    def kl(self, u_old: Tensor, u_new: Tensor) -> Tensor:
        """KL(old‖new) [B]: it adds over factors."""
        return torch.stack([part.kl(u_old[:, c], u_new[:, c]) for part, c in self.factors]).sum(0)

    def kl_slope(self, u_old: Tensor, u_new: Tensor) -> Tensor:
        """∂ KL(old‖new) / ∂u_new [B, U]."""
        return torch.cat([part.kl_slope(u_old[:, c], u_new[:, c]) for part, c in self.factors], dim=1)

    def entropy(self, u: Tensor) -> Tensor:
        """Entropy [B] in nats: it adds over factors."""
        return torch.stack([part.entropy(u[:, c]) for part, c in self.factors]).sum(0)

    def output_metric(self, outputs: Array, own: Array) -> Callable[[Array], Array]:
        """M, block-diagonal, as du [B, U] ↦ M·du [B, U]."""
        parts = [(part.output_metric(outputs[:, columns], own), columns) for part, columns in self.factors]

        def multiply(du: Array) -> Array:
            result = namespace(du).empty_like(du)
            for part, columns in parts:
                result[:, columns] = part(du[:, columns])
            return result

        return multiply

    def sample_from(self, u: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Actions [B, factors]; u [B, U], noise [B, factors] uniform. All factors at once: sampling waits for it."""
        first, last, factor = self._columns
        weights = np.exp(u - np.maximum.reduceat(u, first, axis=1)[:, factor], dtype=np.float64)
        below = np.cumsum(weights, axis=1)
        before = below[:, first] - weights[:, first]
        thresholds = before + noise * (below[:, last] - before)
        passed = below <= thresholds[:, factor]
        passed[:, last] = False  # rounding cannot push an action beyond n - 1
        actions = np.add.reduceat(passed, first, axis=1, dtype=np.int64)
        return actions if self.start is None else actions + self.start

    @cached_property
    def _columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each factor's first and last column of u [factors], and each column's factor [U]."""
        last = np.cumsum(self.nvec) - 1
        return last + 1 - self.nvec, last, np.repeat(np.arange(len(self.nvec)), self.nvec)

    def mode(self, u: np.ndarray) -> np.ndarray:
        """The likeliest actions [B, factors]."""
        return np.stack([part.mode(u[:, columns]) for part, columns in self.factors], axis=1)

    def joint_action(self, indices: np.ndarray) -> np.ndarray:
        """Actions [..., factors] from their numbers 0 … A - 1 [...]; the last factor counts fastest."""
        factors = np.stack(np.unravel_index(indices, self.nvec), axis=-1)
        return factors + np.array(self.start or (0,) * len(self.nvec), np.int64)


def _make_factored(space: Any, _: None) -> FactoredCategorical:
    start = tuple(int(first) for first in space.start)
    return FactoredCategorical(tuple(int(n) for n in space.nvec), start if any(start) else None)


KIND = DistributionKind(
    name="categorical",
    label="one of finitely many actions",
    source="Appendix D",
    distribution=Categorical,
    make=lambda space, _: Categorical(int(space.n), int(space.start)),
    fits=lambda space: isinstance(space, spaces.Discrete),
)
FACTORED = DistributionKind(
    name="factored",
    label="a tuple of independent categoricals",
    source="Appendix D",
    distribution=FactoredCategorical,
    make=_make_factored,
    fits=lambda space: isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1,
)

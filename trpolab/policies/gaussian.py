"""The diagonal Gaussian of continuous actions (Appendix D)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from trpolab.numerics.arrays import Array, namespace
from trpolab.policies.config import HIGHEST, LOWEST, Gaussian
from trpolab.policies.distributions import Distribution
from trpolab.policies.kinds import DistributionKind


@dataclass(frozen=True)
class DiagonalGaussian(Distribution):
    """Independent normals whose log standard deviations do not depend on the state; u = [mean, log σ], U = 2·size.

    log σ is clamped to [least_log_std, 2]; the gradient passes inside and on the bounds. An update brings parameters
    that left them back (`bounded`): the distribution stays, and the next gradient can move them inwards again.
    """

    scalable = True
    size: int
    shape: tuple[int, ...] | None = None  # of one action, when it is not (size,)
    least_log_std: float = field(default=LOWEST, compare=False, repr=False)  # the actions are the same whatever it is

    def __post_init__(self) -> None:
        if self.size < 1 or math.prod(self.action_shape) != self.size:
            raise ValueError(f"DiagonalGaussian: size = {self.size} does not fit actions of shape {self.shape}")
        if not LOWEST <= self.least_log_std < HIGHEST:
            raise ValueError(f"least_log_std = {self.least_log_std}: must be >= {LOWEST} and < {HIGHEST}")

    @property
    def outputs(self) -> int:
        """Width of the network's output."""
        return self.size

    @property
    def own_parameters(self) -> int:
        """Number of state-independent parameters."""
        return self.size

    @property
    def action_shape(self) -> tuple[int, ...]:
        """*A."""
        return (self.size,) if self.shape is None else self.shape

    def initial(self, log_std: float) -> Tensor:
        """log σ [size] at the start: all the same."""
        return torch.full((self.size,), log_std, dtype=torch.float32)

    def assemble(self, outputs: Tensor, own: Tensor) -> Tensor:
        """u [B, U] from network outputs [B, size] and log σ [size]."""
        return torch.cat([outputs, self.bounded(own).expand_as(outputs)], dim=1)

    def assemble_jvp(self, own: Tensor, d_outputs: Tensor, d_own: Tensor) -> Tensor:
        """Tangent of u [B, U] from those of the outputs [B, size] and of log σ [size]."""
        return torch.cat([d_outputs, (d_own * self._inside(own)).expand_as(d_outputs)], dim=1)

    def assemble_vjp(self, own: Tensor, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """Cotangents of the outputs [B, size] and of log σ [size] (summed over rows) from that of u [B, U]."""
        return cotangent[:, : self.size], cotangent[:, self.size :].sum(0) * self._inside(own)

    def bounded(self, own: Tensor) -> Tensor:
        """log σ moved onto its bounds where it lies outside; the distribution stays the same."""
        return own.clamp(self.least_log_std, HIGHEST)

    def clamped(self, own: Tensor) -> int:
        """How many log σ stand on or beyond -5 or 2, where a policy all but stops exploring, or does little else."""
        return int(((own <= LOWEST) | (own >= HIGHEST)).sum())

    def log_prob(self, u: Tensor, actions: Tensor) -> Tensor:
        """log π(a) [B] of actions [B, *A]."""
        mean, log_std = u.chunk(2, dim=1)
        z = (actions.reshape(mean.shape) - mean) * torch.exp(-log_std)
        return -0.5 * (z * z).sum(1) - log_std.sum(1) - 0.5 * self.size * math.log(2 * math.pi)

    def score(self, u: Tensor, actions: Tensor) -> Tensor:
        """∂ log π(a) / ∂u [B, U]."""
        mean, log_std = u.chunk(2, dim=1)
        inverse = torch.exp(-log_std)
        z = (actions.reshape(mean.shape) - mean) * inverse
        return torch.cat([z * inverse, z * z - 1], dim=1)

    def kl(self, u_old: Tensor, u_new: Tensor) -> Tensor:
        """KL(old‖new) [B]; both terms are >= 0 and lose no digits near 0."""
        mean_old, log_old = u_old.chunk(2, dim=1)
        mean_new, log_new = u_new.chunk(2, dim=1)
        spread = 2 * (log_old - log_new)
        shift = (mean_old - mean_new) * torch.exp(-log_new)
        return 0.5 * (torch.expm1(spread) - spread + shift * shift).sum(1)

    def kl_slope(self, u_old: Tensor, u_new: Tensor) -> Tensor:
        """∂ KL(old‖new) / ∂u_new [B, U]."""
        mean_old, log_old = u_old.chunk(2, dim=1)
        mean_new, log_new = u_new.chunk(2, dim=1)
        inverse = torch.exp(-log_new)
        shift = (mean_new - mean_old) * inverse
        return torch.cat([shift * inverse, -torch.expm1(2 * (log_old - log_new)) - shift * shift], dim=1)

    def entropy(self, u: Tensor) -> Tensor:
        """Differential entropy [B] in nats."""
        return u[:, self.size :].sum(1) + 0.5 * self.size * (1 + math.log(2 * math.pi))

    def output_metric(self, outputs: Array, own: Array) -> Callable[[Array], Array]:
        """The block of M that belongs to the network's outputs, as d_outputs [B, size] ↦ cotangent [B, size]."""
        xp = namespace(own)
        precision = xp.exp(-2 * xp.clip(own, self.least_log_std, HIGHEST))  # the same in every row
        return lambda d_outputs: d_outputs * precision

    def own_metric(self, own: Tensor) -> Tensor:
        """The block that belongs to log σ: diagonal, the same in every state, decoupled from the means; [size]."""
        return 2 * self._inside(own)

    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Standard normals [*shape, size] float32."""
        return generator.standard_normal((*shape, self.size), dtype=np.float32)

    def sample_from(self, u: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Actions [B, *A]: mean + σ·noise; u [B, U], noise [B, size]."""
        actions = np.exp(u[:, self.size :])
        actions *= noise
        actions += u[:, : self.size]
        return actions if self.shape is None else actions.reshape(-1, *self.shape)

    def mode(self, u: np.ndarray) -> np.ndarray:
        """The likeliest actions [B, *A]: the means."""
        return u[:, : self.size].reshape(-1, *self.action_shape).copy()

    def widened(self, u: np.ndarray, factor: float) -> np.ndarray:
        """Parameters [N, U] with σ times the factor."""
        wider = u.copy()
        wider[:, self.size :] += np.float32(math.log(factor))
        return wider

    def in_units(self, u: Tensor, middle: Tensor, half: Tensor) -> Tensor:
        """u [B, U] of middle + half · a [*A], for actions a of the distributions u."""
        mean, log_std = u.chunk(2, dim=1)
        return torch.cat([middle.flatten() + half.flatten() * mean, half.flatten().log() + log_std], dim=1)

    def _inside(self, own: Tensor) -> Tensor:
        return (own == self.bounded(own)).to(own.dtype)


def _make(space: Any, own: Gaussian) -> DiagonalGaussian:
    shape = tuple(int(width) for width in space.shape)
    return DiagonalGaussian(int(np.prod(shape)), None if len(shape) == 1 else shape, own.least_log_std)


KIND = DistributionKind(
    name="gaussian",
    label="a normal whose diagonal covariance does not depend on the state",
    source="Appendix D",
    distribution=DiagonalGaussian,
    make=_make,
    settings=Gaussian,
    fits=lambda space: isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating),
)

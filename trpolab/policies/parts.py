"""What a policy consists of, all frozen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gymnasium import spaces
from torch import Tensor

from trpolab.policies.distributions import Distribution
from trpolab.policies.frames import planes_shape
from trpolab.policies.network import Network
from trpolab.policies.normalizer import Normalizer


@dataclass(frozen=True, eq=False)
class PolicyParts:
    """A network's shape, a distribution, θ, the observation normaliser, and the task's own spaces where they are known.

    θ [D] holds the network's parameters, then the distribution's own; nothing here is written in place.
    """

    network: Network
    distribution: Distribution
    theta: Tensor  # [D] float32
    normalizer: Normalizer | None
    obs_shape: tuple[int, ...]
    action_space: spaces.Space[Any] | None = None  # the task's own: its bounds, dtype and first action
    scaled_actions: bool = False  # 0 is the middle of the action space's bounds, 1 half their width
    states: spaces.Discrete | None = None  # the task's own observations where they are numbers, one-hot in `obs_shape`
    height_axis: int = 1  # of observations that are pictures: see `trpolab.policies.frames`

    def __post_init__(self) -> None:
        if self.theta.shape != (self.size,):
            raise ValueError(f"theta has shape {tuple(self.theta.shape)}, expected ({self.size},)")
        if self.network.outputs != self.distribution.outputs:
            raise ValueError(
                f"the network has {self.network.outputs} outputs, {self.distribution} needs {self.distribution.outputs}"
            )
        wanted = planes_shape(self.obs_shape, self.height_axis) if self.sees_pixels else (math.prod(self.obs_shape),)
        if self.network.inputs != wanted:
            raise ValueError(f"the network has {self.network.inputs} inputs, observations have shape {self.obs_shape}")
        if self.action_space is not None and self.action_space.shape != self.distribution.action_shape:
            raise ValueError(f"{self.distribution} does not fit actions of {self.action_space}")
        if self.states is not None and self.obs_shape != (self.states.n,):
            raise ValueError(f"{self.states} does not fit observations of shape {self.obs_shape}")

    @property
    def size(self) -> int:
        """D, the number of parameters."""
        return self.network.size + self.distribution.own_parameters

    @property
    def sees_pixels(self) -> bool:
        """Whether observations are pictures, and features `Frames`."""
        return self.network.sees_pixels

    @property
    def own(self) -> Tensor:
        """The distribution's own parameters."""
        return self.theta[self.network.size :]

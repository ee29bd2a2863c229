"""State values V(s): a network whose outputs are in units of running target statistics."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trpolab.policies.config import ValueConfig
from trpolab.policies.networks import MLP

MU_START = 0.01


@dataclass(frozen=True, eq=False)
class ValueFunction:
    """V(s) = target_mean + target_std · net_θ(features), in units of reward."""

    network: MLP
    theta: Tensor  # [P] float32
    target_mean: float = 0.0
    target_std: float = 1.0
    mu: float = MU_START  # Levenberg-Marquardt damping, carried from fit to fit
    fits: int = 0  # fits so far: the first ones move the target statistics faster

    def values(self, features: Tensor | np.ndarray) -> np.ndarray:
        """V [N] float64 at features [N, F]."""
        outputs = self.network.evaluate(self.theta, torch.as_tensor(features))
        return outputs.squeeze(1).numpy().astype(np.float64) * self.target_std + self.target_mean

    def rescaled(self, mean: float, std: float) -> ValueFunction:
        """The same function with other target statistics: the last layer is rewritten (PopArt, van Hasselt 2016)."""
        last = self.network.layers[-1]
        theta = self.theta.clone()
        theta[last.start : last.split] *= self.target_std / std
        theta[last.split :] = (theta[last.split :] * self.target_std + (self.target_mean - mean)) / std
        return dataclasses.replace(self, theta=theta, target_mean=mean, target_std=std)


def make_value(feature_count: int, config: ValueConfig, generator: np.random.Generator) -> ValueFunction:
    """A fresh value function: tanh hidden layers, orthogonal with gain √2, last layer gain 1, biases everywhere."""
    network = MLP((feature_count, *config.hidden, 1))
    return ValueFunction(network, network.initial(generator, 1.0))

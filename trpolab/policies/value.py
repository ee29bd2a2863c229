"""State values V(s): a network whose outputs are in units of running target statistics."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trpolab.numerics.device import exact_convolutions
from trpolab.policies.config import ValueConfig
from trpolab.policies.convnet import ConvNet
from trpolab.policies.frames import Frames
from trpolab.policies.mlp import MLP

MU_START = 0.01


@dataclass(frozen=True, eq=False)
class ValueFunction:
    """V(s) = target_mean + target_std · net_θ(features), in units of reward; `target_mean` before the first fit."""

    network: MLP | ConvNet
    theta: Tensor  # [P] float32
    target_mean: float = 0.0
    target_std: float = 1.0
    mu: float = MU_START  # Levenberg-Marquardt damping, carried from fit to fit
    fits: int = 0  # fits so far: the first ones move the target statistics faster
    device: str = "cpu"  # where it is evaluated and fitted, cpu or cuda; `theta` stays on the CPU

    def values(self, features: Tensor | np.ndarray | Frames) -> np.ndarray:
        """V [N] float64 at features [N, F], or at N stacks of frames."""
        if not self.fits:
            return np.full(len(features), self.target_mean)
        x: Any = features if isinstance(features, Frames) else torch.as_tensor(features)
        theta, x = self.theta.to(self.device), x.to(self.device)
        with exact_convolutions():
            outputs = self.network.evaluate(theta, x, chunk=self.network.rows_at_once(theta, x)[0])
        return outputs.squeeze(1).cpu().numpy().astype(np.float64) * self.target_std + self.target_mean

    def at_level(self, level: float) -> ValueFunction:
        """The same net around another mean."""
        return dataclasses.replace(self, target_mean=level)

    def rescaled(self, mean: float, std: float) -> ValueFunction:
        """The same function with other target statistics: the last layer is rewritten (PopArt, van Hasselt 2016)."""
        theta, last = self.theta.clone(), self.network.last
        theta[last.start :] *= self.target_std / std
        theta[last.split :] += (self.target_mean - mean) / std
        return dataclasses.replace(self, theta=theta, target_mean=mean, target_std=std)


def value_network(inputs: int | tuple[int, ...], config: ValueConfig) -> MLP | ConvNet:
    """The shape of a value function's network; nothing is allocated.

    `inputs` is the number of features, or the shape (C, H, W) of a stack of frames: then it has the convolutions of a
    policy that sees them.
    """
    if isinstance(inputs, tuple) and len(inputs) == 3:
        return ConvNet((inputs[0], inputs[1], inputs[2]), config.hidden, 1)
    return MLP((inputs if isinstance(inputs, int) else inputs[0], *config.hidden, 1))


def make_value(inputs: int | tuple[int, ...], config: ValueConfig, generator: np.random.Generator) -> ValueFunction:
    """A fresh value function: tanh hidden layers, orthogonal with gain √2, last layer gain 0.02, biases everywhere.

    `inputs` as for `value_network`.
    """
    network = value_network(inputs, config)
    mu = 1.0 if network.sees_pixels else MU_START  # pixels are not centred: with less, a fit's first steps go wrong
    return ValueFunction(network, network.initial(generator, 0.02), mu=mu)

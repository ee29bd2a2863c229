"""Stochastic policies: a network's shape, a distribution, parameters θ and the observation normaliser, all frozen."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from trpolab.numerics.threads import SERIAL, ThreadTeam
from trpolab.policies.actors import Actor, PixelActor
from trpolab.policies.config import PolicyConfig
from trpolab.policies.convnet import ConvNet
from trpolab.policies.distributions import Categorical, DiagonalGaussian, Distribution, FactoredCategorical
from trpolab.policies.frames import Frames, is_stack
from trpolab.policies.mlp import MLP
from trpolab.policies.normalizer import Normalizer


@dataclass(frozen=True, eq=False)
class Policy:
    """π_θ(a|s). θ [D] holds the network's parameters, then the distribution's own; nothing here is written in place."""

    network: MLP | ConvNet
    distribution: Distribution
    theta: Tensor  # [D] float32
    normalizer: Normalizer | None
    obs_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.theta.shape != (self.size,):
            raise ValueError(f"theta has shape {tuple(self.theta.shape)}, expected ({self.size},)")
        if self.network.outputs != self.distribution.outputs:
            raise ValueError(
                f"the network has {self.network.outputs} outputs, {self.distribution} needs {self.distribution.outputs}"
            )
        wanted = self.obs_shape if self.sees_pixels else (int(np.prod(self.obs_shape)),)
        if self.network.inputs != wanted:
            raise ValueError(f"the network has {self.network.inputs} inputs, observations have shape {self.obs_shape}")

    @property
    def size(self) -> int:
        """D, the number of parameters."""
        return self.network.size + self.distribution.own_parameters

    @property
    def sees_pixels(self) -> bool:
        """Whether observations are stacks of frames, and features `Frames`."""
        return isinstance(self.network, ConvNet)

    def replace(self, **changes: Any) -> Policy:
        """A copy with fields changed, e.g. `replace(theta=...)`."""
        return dataclasses.replace(self, **changes)

    def with_theta(self, theta: Tensor) -> Policy:
        """The policy at other parameters [D], the distribution's own ones brought onto their bounds."""
        own = theta[self.network.size :]
        if self.distribution.clamped(own):
            theta = torch.cat([theta[: self.network.size], self.distribution.bounded(own)])
        return dataclasses.replace(self, theta=theta)

    def misfit(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> str:
        """Why this policy cannot act in these spaces, in a sentence; "" if it can."""
        if tuple(observation_space.shape or ()) != self.obs_shape:
            return f"it observes arrays of shape {self.obs_shape}, the task gives {observation_space.shape}"
        wanted = distribution_for(action_space)
        return "" if wanted == self.distribution else f"its actions are {self.distribution}, the task takes {wanted}"

    def clamped(self) -> int:
        """How many of the distribution's own parameters (log σ) stand on or beyond a bound."""
        return self.distribution.clamped(self.theta[self.network.size :])

    def features(self, obs: Any) -> Any:
        """Network inputs [N, F] float32 from obs [N, *O]: normalised and flattened. Compute once per batch.

        For a policy that sees pixels, `Frames` from stacks [N, C, H, W] uint8 or from `Frames`.
        """
        if not isinstance(obs, Frames):
            obs = np.asarray(obs)
        if obs.shape[1:] != self.obs_shape:
            raise ValueError(f"obs has shape {obs.shape}, expected (N, *{self.obs_shape})")
        if self.sees_pixels:
            return obs if isinstance(obs, Frames) else Frames.of(obs)
        x = np.asarray(obs, dtype=np.float32) if self.normalizer is None else self.normalizer.apply(obs)
        return x.reshape(len(obs), math.prod(self.obs_shape))  # -1 would not do for no rows

    def parameters(self, features: Tensor | np.ndarray | Frames, theta: Tensor | None = None) -> Tensor:
        """u [N, U] at features [N, F], for θ or another `theta` [D]; torch can differentiate it."""
        theta = self.theta if theta is None else theta
        x: Any = features if isinstance(features, Frames) else torch.as_tensor(features)
        size = self.network.size
        return self.distribution.assemble(self.network.forward(theta[:size], x), theta[size:])

    def evaluate(self, features: Any, theta: Tensor | None = None, workers: ThreadTeam = SERIAL) -> Tensor:
        """`parameters` without a graph and faster: u [N, U] at features [N, F]."""
        theta = self.theta if theta is None else theta
        size = self.network.size
        return self.distribution.assemble(self.network.evaluate(theta[:size], features, workers), theta[size:])

    def linearize(
        self, features: Any, theta: Tensor | None = None
    ) -> tuple[Tensor, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """u at θ and the products with J = ∂u/∂θ, activations computed once.

        Returns (u [N, U], jvp, vjp) with jvp(v [D]) = Jv [N, U] and vjp(c [N, U]) = Jᵀc [D], summed over rows.
        """
        theta = self.theta if theta is None else theta
        size = self.network.size
        own = theta[size:]
        outputs, network_jvp, network_vjp = self.network.linearize(theta[:size], features)

        def jvp(v: Tensor) -> Tensor:
            return self.distribution.assemble_jvp(own, network_jvp(v[:size]), v[size:])

        def vjp(cotangent: Tensor) -> Tensor:
            c_outputs, c_own = self.distribution.assemble_vjp(own, cotangent)
            return torch.cat([network_vjp(c_outputs), c_own])

        return self.distribution.assemble(outputs, own), jvp, vjp

    def actor(self, block: int) -> Actor | PixelActor:
        """The sampling path, `block` rows at a time."""
        return PixelActor(self, block) if self.sees_pixels else Actor(self, block)

    def __reduce__(self) -> tuple[Any, ...]:
        """Between processes with θ as an array: torch would hand over a file descriptor."""
        return _from_arrays, (self.network, self.distribution, self.theta.numpy(), self.normalizer, self.obs_shape)


def _from_arrays(network: Any, distribution: Any, theta: np.ndarray, normalizer: Any, obs_shape: Any) -> Policy:
    return Policy(network, distribution, torch.from_numpy(theta), normalizer, obs_shape)


def make_policy(
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
    config: PolicyConfig,
    generator: np.random.Generator,
) -> Policy:
    """A fresh policy for these spaces.

    Observations must be a Box (simulators give discrete ones one-hot); actions a Box of floats, Discrete or
    MultiDiscrete. Raises ValueError that quotes the space otherwise.
    """
    if not isinstance(observation_space, spaces.Box):
        raise ValueError(f"observation space {observation_space}: must be a Box (or Discrete, given one-hot)")
    distribution = distribution_for(action_space)
    obs_shape = tuple(int(width) for width in observation_space.shape)
    network = _network_for(observation_space, distribution, config)
    if isinstance(network, ConvNet) and config.normalize_observations:
        raise ValueError("normalize_observations = True: pixels are not normalised, they go in as 0 to 1")
    own = torch.full((distribution.own_parameters,), config.log_std, dtype=torch.float32)
    theta = torch.cat([network.initial(generator, config.output_scale), own])
    normalizer = Normalizer.empty(obs_shape) if config.normalize_observations else None
    return Policy(network, distribution, theta, normalizer, obs_shape)


def policy_size(observation_space: spaces.Space[Any], action_space: spaces.Space[Any], config: PolicyConfig) -> int:
    """D, the number of parameters that `make_policy` would give."""
    distribution = distribution_for(action_space)
    return _network_for(observation_space, distribution, config).size + distribution.own_parameters


def _network_for(space: spaces.Space[Any], distribution: Distribution, config: PolicyConfig) -> MLP | ConvNet:
    shape = tuple(int(width) for width in space.shape or ())
    if is_stack(shape, space.dtype):
        image = (shape[0], shape[1], shape[2])
        return ConvNet(image, config.hidden, distribution.outputs, config.activation, config.bias)
    return MLP((int(np.prod(shape)), *config.hidden, distribution.outputs), config.activation, config.bias)


def distribution_for(action_space: spaces.Space[Any]) -> Distribution:
    """The distribution that fits an action space; ValueError quoting the space if none does."""
    match action_space:
        case spaces.Box() if np.issubdtype(action_space.dtype, np.floating):
            shape = tuple(int(width) for width in action_space.shape)
            return DiagonalGaussian(int(np.prod(shape)), None if len(shape) == 1 else shape)
        case spaces.Discrete():
            return Categorical(int(action_space.n), int(action_space.start))
        case spaces.MultiDiscrete() if action_space.nvec.ndim == 1:
            start = tuple(int(first) for first in action_space.start)
            return FactoredCategorical(tuple(int(n) for n in action_space.nvec), start if any(start) else None)
    raise ValueError(f"action space {action_space}: must be a Box of floats, Discrete, or a flat MultiDiscrete")

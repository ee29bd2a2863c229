"""Stochastic policies: a network's shape, a distribution, parameters θ and the observation normaliser, all frozen."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from trpolab.numerics.threads import SERIAL, ThreadTeam
from trpolab.policies.actors import Actor, PixelActor
from trpolab.policies.config import PolicyConfig
from trpolab.policies.distributions import Distribution
from trpolab.policies.frames import Frames
from trpolab.policies.kinds import distribution_kind, network_kind, settings_of
from trpolab.policies.network import Network
from trpolab.policies.normalizer import Normalizer


@dataclass(frozen=True, eq=False)
class Policy:
    """π_θ(a|s). θ [D] holds the network's parameters, then the distribution's own; nothing here is written in place."""

    network: Network
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
        return self.network.sees_pixels

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
        wanted, found = distribution_kind(action_space).make(action_space, None), self.distribution
        fits = wanted == found
        if type(found) is not type(wanted):  # another distribution over the same actions will do
            fits = (found.action_shape, found.action_count) == (wanted.action_shape, wanted.action_count)
        return "" if fits else f"its actions are {found}, the task takes {wanted}"

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
    settings: Mapping[str, Any] | None = None,
) -> Policy:
    """A fresh policy for these spaces.

    Observations must be a Box (simulators give discrete ones one-hot); actions a Box of floats, Discrete or
    MultiDiscrete. `settings` are those of networks and distributions that have some, by the name of their part; their
    defaults if not given. Raises ValueError that quotes the space otherwise.
    """
    network, distribution = shapes_for(observation_space, action_space, config, settings)
    obs_shape = _shape_of(observation_space)
    if network.sees_pixels and config.normalize_observations:
        raise ValueError("normalize_observations = True: pixels are not normalised, they go in as 0 to 1")
    theta = torch.cat([network.initial(generator, config.output_scale), distribution.initial(config.log_std)])
    normalizer = Normalizer.empty(obs_shape) if config.normalize_observations else None
    return Policy(network, distribution, theta, normalizer, obs_shape)


def shapes_for(
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
    config: PolicyConfig,
    settings: Mapping[str, Any] | None = None,
) -> tuple[Network, Distribution]:
    """The network and the distribution that `make_policy` would take. Raises ValueError as it does."""
    of_network = network_kind(observation_space, config.network)
    of_distribution = distribution_kind(action_space, config.distribution)
    distribution = of_distribution.make(action_space, settings_of(of_distribution, settings))
    shape = _shape_of(observation_space)
    network = of_network.make(shape, distribution.outputs, config, settings_of(of_network, settings))
    return network, distribution


def _shape_of(space: spaces.Space[Any]) -> tuple[int, ...]:
    return tuple(int(width) for width in space.shape or ())

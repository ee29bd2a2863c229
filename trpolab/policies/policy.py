"""Stochastic policies: how their parts are evaluated, differentiated, acted with, saved and made."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from trpolab.numerics.threads import SERIAL, ThreadTeam
from trpolab.policies.acting import Hand, act
from trpolab.policies.actors import Actor
from trpolab.policies.config import PolicyConfig
from trpolab.policies.distributions import Distribution
from trpolab.policies.frames import Frames, fractions, height_axis, planes, planes_shape
from trpolab.policies.kinds import distribution_kind, network_kind, settings_of
from trpolab.policies.module import PolicyModule
from trpolab.policies.network import Network
from trpolab.policies.normalizer import Normalizer
from trpolab.policies.parts import PolicyParts
from trpolab.policies.serialization import read_parts, save_policy
from trpolab.settings import PlainError


@dataclass(frozen=True, eq=False)
class Policy(PolicyParts):
    """π_θ(a|s), to be called: `policy(obs)` is an action.

    >>> action = policy(obs)                                                   # doctest: +SKIP
    >>> action, _ = policy.predict(obs, deterministic=True)                    # doctest: +SKIP
    """

    def __call__(self, obs: Any, deterministic: bool = False, generator: np.random.Generator | None = None) -> Any:
        """An action for one observation [*O], or actions [n, *A] for a stack [n, *O], as the task itself takes them.

        Actions are sampled with `generator`, or with one of the policy's own that starts from fresh entropy;
        `deterministic` takes the distribution's mode. They have the dtype of the task's action space and are clipped to
        its bounds; where those are not known (`action_space` is None, as in files of older versions), they come as they
        were sampled. Where the task's observations are whole numbers, these may be given as they are. Threads may share
        a policy. Raises ObservationError for a wrong shape, for NaN and infinity, and for what are no numbers.
        """
        return act(self, self._hand, obs, deterministic, generator)

    def predict(
        self,
        obs: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        generator: np.random.Generator | None = None,
    ) -> tuple[Any, Any]:
        """(`self(obs)`, `state`), as Stable-Baselines3 has it: policies here keep no memory, so the state is unused."""
        return self(obs, deterministic, generator), state

    def save(self, path: str | os.PathLike[str], about: dict[str, Any] | None = None) -> None:
        """Write a file that `trpolab.load_policy` reads; `about` (JSON-able) goes with it. The file appears whole."""
        save_policy(path, self, about or {})

    def to_module(self) -> PolicyModule:
        """The same function as a torch.nn.Module: observations [B, *O] to distribution parameters u [B, U]."""
        return PolicyModule(self)

    @cached_property
    def _hand(self) -> Hand:
        return Hand(self)

    def replace(self, **changes: Any) -> Policy:
        """A copy with fields changed, e.g. `replace(theta=...)`."""
        return dataclasses.replace(self, **changes)

    def with_theta(self, theta: Tensor) -> Policy:
        """The policy at other parameters [D], the distribution's own ones brought onto their bounds."""
        own = theta[self.network.size :]
        if not torch.equal(bounded := self.distribution.bounded(own), own):
            theta = torch.cat([theta[: self.network.size], bounded])
        return dataclasses.replace(self, theta=theta)

    def acting_in(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> Policy:
        """A copy that knows the spaces of the environment itself: what `policy(obs)` takes and gives."""
        states = observation_space if isinstance(observation_space, spaces.Discrete) else None
        return dataclasses.replace(self, action_space=action_space, states=states)

    def misfit(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> str:
        """Why this policy cannot act in these spaces, in a sentence; "" if it can."""
        if tuple(observation_space.shape or ()) != self.obs_shape:
            return f"it observes arrays of shape {self.obs_shape}, the task gives {observation_space.shape}"
        kind, found = distribution_kind(action_space), self.distribution
        wanted = kind.make(action_space, settings_of(kind, None))
        fits = wanted == found
        if type(found) is not type(wanted):  # another distribution over the same actions will do
            fits = (found.action_shape, found.action_count) == (wanted.action_shape, wanted.action_count)
        return "" if fits else f"its actions are {found}, the task takes {wanted}"

    def clamped(self) -> int:
        """How many of the distribution's own parameters (log σ) stand on or beyond a bound."""
        return self.distribution.clamped(self.own)

    def features(self, obs: Any) -> Any:
        """Network inputs [N, F] float32 from obs [N, *O]: normalised and flattened. Compute once per batch.

        For a policy that sees pixels, `Frames` from pictures [N, *O] uint8 or from `Frames`.
        """
        if not isinstance(obs, Frames):
            obs = np.asarray(obs)
        if obs.shape[1:] != self.obs_shape:
            raise ValueError(f"obs has shape {obs.shape}, expected (N, *{self.obs_shape})")
        if self.sees_pixels:
            return obs if isinstance(obs, Frames) else Frames.of(planes(obs, self.height_axis))
        x = np.asarray(obs if self.normalizer is None else self.normalizer.apply(obs), np.float32)
        return x.reshape(len(obs), math.prod(self.obs_shape))  # -1 would not do for no rows

    def parameters(self, features: Tensor | np.ndarray | Frames, theta: Tensor | None = None) -> Tensor:
        """u [N, U] at features [N, F], for θ or another `theta` [D]; torch can differentiate it."""
        weights, own = self._halves(theta)
        x = fractions(features, weights) if isinstance(features, Frames) else torch.as_tensor(features)
        return self.distribution.assemble(self.network.forward(weights, x), own)

    def evaluate(
        self, features: Any, theta: Tensor | None = None, workers: ThreadTeam = SERIAL, chunk: int | None = None
    ) -> Tensor:
        """`parameters` without a graph and faster: u [N, U] at features [N, F]."""
        weights, own = self._halves(theta)
        return self.distribution.assemble(self.network.evaluate(weights, features, workers, chunk), own)

    def linearize(
        self, features: Any, theta: Tensor | None = None
    ) -> tuple[Tensor, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """u at θ and the products with J = ∂u/∂θ, activations computed once.

        Returns (u [N, U], jvp, vjp) with jvp(v [D]) = Jv [N, U] and vjp(c [N, U]) = Jᵀc [D], summed over rows.
        """
        size, (weights, own) = self.network.size, self._halves(theta)
        outputs, network_jvp, network_vjp = self.network.linearize(weights, features)

        def jvp(v: Tensor) -> Tensor:
            return self.distribution.assemble_jvp(own, network_jvp(v[:size]), v[size:])

        def vjp(cotangent: Tensor) -> Tensor:
            c_outputs, c_own = self.distribution.assemble_vjp(own, cotangent)
            return torch.cat([network_vjp(c_outputs), c_own])

        return self.distribution.assemble(outputs, own), jvp, vjp

    def _halves(self, theta: Tensor | None) -> tuple[Tensor, Tensor]:
        """The network's part and the distribution's of `theta`, or of the policy's own."""
        theta, size = self.theta if theta is None else theta, self.network.size
        return theta[:size], theta[size:]

    def actor(self, block: int) -> Actor:
        """The sampling path, `block` rows at a time."""
        return Actor(self, block)

    def __reduce__(self) -> tuple[Any, ...]:
        """Between processes with θ as an array: torch would hand over a file descriptor."""
        parts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return _from_arrays, (parts | {"theta": self.theta.numpy()},)


def _from_arrays(parts: dict[str, Any]) -> Policy:
    return Policy(**parts | {"theta": torch.from_numpy(parts["theta"])})


def read_policy(path: str | os.PathLike[str]) -> tuple[Policy, dict[str, Any]]:
    """The policy of a file and what `save_policy` was told about it.

    Names, shapes, dtypes, sizes and finiteness are checked, sizes before anything is allocated.
    Raises PolicyFileError with the reason for anything that is not such a policy.
    """
    parts, about = read_parts(path)
    return Policy(**vars(parts)), about


def make_policy(
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
    config: PolicyConfig,
    generator: np.random.Generator,
    settings: Mapping[str, Any] | None = None,
    own_spaces: tuple[spaces.Space[Any], spaces.Space[Any]] | None = None,
) -> Policy:
    """A fresh policy for these spaces.

    Observations must be a Box (simulators give discrete ones one-hot); actions a Box of floats, Discrete or
    MultiDiscrete. `settings` are those of networks and distributions that have some, by the name of their part; their
    defaults if not given. `own_spaces` are the observation and action spaces of the environment itself, where a
    simulator shows others. Raises ValueError that quotes the space otherwise.
    """
    network, distribution = shapes_for(observation_space, action_space, config, settings)
    obs_shape = _shape_of(observation_space)
    if network.sees_pixels and config.normalize_observations:
        raise ValueError("normalize_observations = True: pixels are not normalised, they go in as 0 to 1")
    theta = torch.cat([network.initial(generator, config.output_scale), distribution.initial(config.log_std)])
    normalizer = Normalizer.empty(obs_shape) if config.normalize_observations else None
    height = height_axis(observation_space) if network.sees_pixels else None
    policy = Policy(network, distribution, theta, normalizer, obs_shape, height_axis=1 if height is None else height)
    _refuse_misshapen(policy)
    policy = policy.replace(scaled_actions=config.scale_actions and distribution.scalable)
    return policy.acting_in(*(own_spaces or (observation_space, action_space)))


def _refuse_misshapen(policy: Policy) -> None:
    """Raise PlainError unless the network, which may be anybody's, gives the outputs that it says."""
    network, rows = policy.network, 2
    out = network.run(policy.theta[: network.size], torch.zeros(rows, *network.inputs))
    if out.shape != (rows, network.outputs):
        gave = f"outputs {list(out.shape)} for {rows} inputs"
        raise PlainError(f"{type(network).__name__}.forward gives {gave}, expected {[rows, network.outputs]}")


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
    of_distribution.answer("make", distribution, Distribution)
    if config.log_std < (least := distribution.least_log_std):
        raise PlainError(f"policy.log_std = {config.log_std}: must be >= gaussian.least_log_std = {least}")
    shape, height = _shape_of(observation_space), height_axis(observation_space)
    if of_network.network.sees_pixels and height is not None:
        shape = planes_shape(shape, height)
    network = of_network.make(shape, distribution.outputs, config, settings_of(of_network, settings))
    return of_network.answer("make", network, Network), distribution


def _shape_of(space: spaces.Space[Any]) -> tuple[int, ...]:
    return tuple(int(width) for width in space.shape or ())

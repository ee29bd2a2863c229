"""The sampling path of a policy: distribution parameters of a few observations at a time, written for speed."""

from __future__ import annotations

import numpy as np
import torch

from trpolab.policies.frames import planes
from trpolab.policies.network import TILE
from trpolab.policies.parts import PolicyParts


class Actor:
    """Distribution parameters of a policy for up to `block` observations at a time.

    The result of a row depends neither on how many rows there are nor on its place among them (a block of one row may
    round otherwise than larger blocks). Weights are copied when the actor is made. An actor belongs to one thread: its
    buffers are reused by every call.
    """

    def __init__(self, policy: PolicyParts, block: int):
        if block < 1:
            raise ValueError(f"block = {block}: must be at least 1")
        network, theta = policy.network, policy.theta.detach().numpy().copy()
        self.block, self._obs_shape, self._normalizer = block, policy.obs_shape, policy.normalizer
        rows = 1 if block == 1 and not network.sees_pixels else -(-block // TILE) * TILE
        self._height = policy.height_axis if network.sees_pixels else None
        shape = network.inputs if network.sees_pixels else policy.obs_shape
        self._x = np.zeros((rows, *shape), np.uint8 if network.sees_pixels else np.float32)
        self._wide = np.zeros((rows, *policy.obs_shape) if policy.normalizer is not None else 0)
        self._run = network.runner(theta[: network.size], self._x)
        self._u = np.zeros((rows, policy.distribution.parameter_count), np.float32)
        # columns beyond the network's outputs (log σ) do not depend on the state: filled once
        self._outputs, fixed = self._u[:, : network.outputs], self._u[:, network.outputs :]
        fixed[...] = policy.distribution.bounded(policy.own).numpy()

    def parameters(self, obs: np.ndarray) -> np.ndarray:
        """u [n, U] float32 at obs [n, *O], n <= block. The array is overwritten by the next call: copy what is kept."""
        rows = len(obs)
        if rows > self.block or obs.shape[1:] != self._obs_shape:
            raise ValueError(f"obs has shape {obs.shape}, expected at most ({self.block}, {self._obs_shape})")
        x = self._x
        if self._height is not None:
            x[:rows] = planes(obs, self._height)
        else:
            x[:rows] = obs if self._normalizer is None else self._normalizer.apply(obs, self._wide[:rows])
        x[rows:] = 0
        self._outputs[...] = self._run(rows)
        return self._u[:rows]

    def evaluate(self, obs: np.ndarray) -> np.ndarray:
        """The same for any number of observations, a block after the other: a new array."""
        u = np.empty((len(obs), self._u.shape[1]), np.float32)
        for first in range(0, len(obs), self.block):
            u[first : first + self.block] = self.parameters(obs[first : first + self.block])
        return u


class BatchedActor:
    """Distribution parameters of `rows` policies that differ in θ alone, one observation each.

    A row's result does not depend on the others. It belongs to one thread: its buffers are reused by every call.
    """

    def __init__(self, policy: PolicyParts, rows: int):
        if rows < 1:
            raise ValueError(f"rows = {rows}: must be at least 1")
        self._policy = policy
        self._outputs = policy.network.batched_runner(rows)
        self._u = np.zeros((rows, policy.distribution.parameter_count), np.float32)

    def assign(self, row: int, theta: np.ndarray) -> None:
        """Give a row its parameters: a copy of θ [D] float32, the distribution's own brought onto their bounds."""
        policy, size = self._policy, self._policy.network.size
        if theta.shape != (policy.size,):
            raise ValueError(f"theta has shape {theta.shape}, expected ({policy.size},)")
        self._outputs.assign(row, theta[:size])
        self._u[row, policy.network.outputs :] = policy.distribution.bounded(torch.from_numpy(theta[size:])).numpy()

    def parameters(self, obs: np.ndarray) -> np.ndarray:
        """u [rows, U] float32 at obs [rows, *O]. The array is overwritten by the next call: copy what is kept."""
        rows, normalizer = len(self._u), self._policy.normalizer
        if obs.shape != (rows, *self._policy.obs_shape):
            raise ValueError(f"obs has shape {obs.shape}, expected ({rows}, *{self._policy.obs_shape})")
        x = (obs if normalizer is None else normalizer.apply(obs)).astype(np.float32)
        self._u[:, : self._policy.network.outputs] = self._outputs(x.reshape(rows, -1))
        return self._u

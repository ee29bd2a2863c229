"""The sampling path of many policies of one shape at once: every row has parameters of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from trpolab.policies.activations import activate_
from trpolab.policies.mlp import MLP
from trpolab.policies.normalizer import CLIP

if TYPE_CHECKING:
    from trpolab.policies.policy import Policy


class BatchedActor:
    """Distribution parameters of `rows` policies that differ in θ alone, one observation each.

    Products are batched over rows, and a row's own product does not depend on the others, so neither does its result.
    A crowd belongs to one thread: its buffers are reused by every call.
    """

    def __init__(self, policy: Policy, rows: int):
        if rows < 1:
            raise ValueError(f"rows = {rows}: must be at least 1")
        network = policy.network
        if not isinstance(network, MLP):
            raise ValueError(f"a crowd evaluates dense networks, not {type(network).__name__}")
        self._network = network
        self._policy = policy
        self._weights = [np.zeros((rows, layer.fan_in, layer.fan_out), np.float32) for layer in network.layers]
        self._biases = [np.zeros((rows, 1, layer.fan_out), np.float32) for layer in network.layers]
        self._u = np.zeros((rows, policy.distribution.parameter_count), np.float32)

    def assign(self, row: int, theta: np.ndarray) -> None:
        """Give a row its parameters: a copy of θ [D] float32, the distribution's own brought onto their bounds."""
        policy, network = self._policy, self._network
        if theta.shape != (policy.size,):
            raise ValueError(f"theta has shape {theta.shape}, expected ({policy.size},)")
        for weights, biases, layer in zip(self._weights, self._biases, network.layers, strict=True):
            weights[row] = theta[layer.start : layer.split].reshape(layer.fan_out, layer.fan_in).T
            if layer.bias:
                biases[row, 0] = theta[layer.split : layer.end]
        own = torch.from_numpy(theta[network.size :])
        if len(own):  # columns beyond the network's outputs (log σ) do not depend on the state
            self._u[row, network.sizes[-1] :] = policy.distribution.bounded(own).numpy()

    def parameters(self, obs: np.ndarray) -> np.ndarray:
        """u [rows, U] float32 at obs [rows, *O]. The array is overwritten by the next call: copy what is kept."""
        rows, normalizer = len(self._u), self._policy.normalizer
        if obs.shape != (rows, *self._policy.obs_shape):
            raise ValueError(f"obs has shape {obs.shape}, expected ({rows}, *{self._policy.obs_shape})")
        x = obs.astype(np.float32)
        if normalizer is not None:
            shift, scale = normalizer.shift_and_scale
            x -= shift
            x *= scale
            np.clip(x, -CLIP, CLIP, out=x)
        z = x.reshape(rows, 1, -1)
        last = len(self._weights) - 1
        for index, (weights, biases) in enumerate(zip(self._weights, self._biases, strict=True)):
            z = np.matmul(z, weights)
            z += biases
            if index < last:
                activate_(self._network.activation, z)
        self._u[:, : z.shape[2]] = z[:, 0]
        return self._u

"""The sampling path of a policy: NumPy, float32, buffers made once, rows always evaluated in blocks of one size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from trpolab.policies.activations import activate_
from trpolab.policies.convnet import ConvNet
from trpolab.policies.frames import BRIGHTEST
from trpolab.policies.mlp import MLP
from trpolab.policies.normalizer import CLIP

TILE = 8  # rows of one matrix product: in larger ones OpenBLAS rounds some rows otherwise than others

if TYPE_CHECKING:
    from trpolab.policies.policy import Policy


class Actor:
    """Distribution parameters of a policy for up to `block` observations at a time.

    Every call evaluates all tiles of `TILE` rows that `block` needs, the missing rows as zeros, so the result of a row
    depends neither on how many rows there are nor on its place among them (matrix products of another shape round
    differently; a block of one row is one row, and may round otherwise than larger blocks). Weights are copied when the
    actor is made. An actor belongs to one thread: its buffers are reused by every call.
    """

    def __init__(self, policy: Policy, block: int):
        if block < 1:
            raise ValueError(f"block = {block}: must be at least 1")
        theta = policy.theta.numpy()
        network, own = policy.network, theta[policy.network.size :]
        assert isinstance(network, MLP)
        self.block = block
        self._activation = network.activation
        self._obs_shape = policy.obs_shape
        self._weights = [
            np.ascontiguousarray(theta[layer.start : layer.split].reshape(layer.fan_out, layer.fan_in).T)
            for layer in network.layers
        ]
        self._biases = [theta[layer.split : layer.end].copy() if layer.bias else None for layer in network.layers]
        tile = 1 if block == 1 else TILE
        rows = -(-block // tile) * tile
        self._buffers = [np.zeros((rows // tile, tile, width), np.float32) for width in network.sizes]
        self._input = self._buffers[0].reshape(rows, *policy.obs_shape)
        self._statistics = None if policy.normalizer is None else policy.normalizer.shift_and_scale
        # columns beyond the network's outputs (log σ) do not depend on the state: filled once
        self._u = np.zeros((rows, policy.distribution.parameter_count), np.float32)
        self._outputs = self._u[:, : network.sizes[-1]]
        if own.size:
            self._u[:, network.sizes[-1] :] = policy.distribution.bounded(policy.theta[network.size :]).numpy()

    def parameters(self, obs: np.ndarray) -> np.ndarray:
        """u [n, U] float32 at obs [n, *O], n <= block. The array is overwritten by the next call: copy what is kept."""
        rows = len(obs)
        if rows > self.block or obs.shape[1:] != self._obs_shape:
            raise ValueError(f"obs has shape {obs.shape}, expected at most ({self.block}, {self._obs_shape})")
        x = self._input
        x[:rows] = obs
        if self._statistics is not None:
            x -= self._statistics[0]
            x *= self._statistics[1]
            np.clip(x, -CLIP, CLIP, out=x)
        x[rows:] = 0
        last = len(self._weights) - 1
        for index, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            z = self._buffers[index + 1]
            np.matmul(self._buffers[index], weight, out=z)
            if bias is not None:
                z += bias
            if index < last:
                activate_(self._activation, z)
        self._outputs[...] = self._buffers[-1].reshape(self._outputs.shape)
        return self._u[:rows]


class PixelActor:
    """The same for a policy that sees stacks of frames: torch's convolutions, a tile of `TILE` rows at a time.

    Only tiles that hold rows are evaluated: the result of a row does not depend on `block` either.
    """

    def __init__(self, policy: Policy, block: int):
        if block < 1:
            raise ValueError(f"block = {block}: must be at least 1")
        network = policy.network
        assert isinstance(network, ConvNet)
        self.block = block
        theta = policy.theta[: network.size].detach().clone()
        self._network, self._obs_shape = network, policy.obs_shape
        self._convolutions = [(network.kernels(theta, layer), layer.biases(theta)) for layer in network.layers]
        rest, head = theta[network.layers[-1].end :].numpy(), network.head
        self._dense = [(np.ascontiguousarray(layer.weight(rest).T), layer.biases(rest)) for layer in head.layers]
        channels, height, width = policy.obs_shape
        self._x = np.zeros((TILE, height, width, channels), np.float32)  # channels fastest
        self._images = torch.from_numpy(self._x).permute(0, 3, 1, 2)
        self._u = np.zeros((-(-block // TILE) * TILE, network.outputs), np.float32)

    def parameters(self, obs: np.ndarray) -> np.ndarray:
        """u [n, U] float32 at obs [n, C, H, W] uint8, n <= block. The array is overwritten by the next call."""
        rows = len(obs)
        if rows > self.block or obs.shape[1:] != self._obs_shape:
            raise ValueError(f"obs has shape {obs.shape}, expected at most ({self.block}, {self._obs_shape})")
        for first in range(0, rows, TILE):
            self._u[first : first + TILE] = self._outputs(obs[first : first + TILE])
        return self._u[:rows]

    def _outputs(self, obs: np.ndarray) -> np.ndarray:
        """[TILE, U] at obs [n, C, H, W], n <= TILE."""
        n, x, network = len(obs), self._x, self._network
        for channel in range(obs.shape[1]):
            np.divide(obs[:, channel], np.float32(BRIGHTEST), out=x[:n, :, :, channel], dtype=np.float32)
        x[n:] = 0
        a = self._images
        for kernels, bias in self._convolutions:
            a = torch.conv2d(a, kernels, bias, stride=network.stride)
            activate_(network.activation, a.numpy())
        z = a.numpy().reshape(TILE, -1)
        for index, (weight, bias) in enumerate(self._dense):
            z = z @ weight
            if bias is not None:
                z += bias
            if index + 1 < len(self._dense):
                activate_(network.activation, z)
        return z

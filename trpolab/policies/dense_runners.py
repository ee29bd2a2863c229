"""Fully connected layers on the sampling path: NumPy, float32, buffers made once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trpolab.policies.activations import activate_
from trpolab.policies.network import TILE, Layer
from trpolab.policies.normalizer import Normalizer


class DenseRunner:
    """Layers at one θ for up to `block` observations at a time.

    Every call evaluates all tiles that `block` needs, the missing rows as zeros. A block of one row is one row, and may
    round otherwise than larger blocks.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        activation: str,
        theta: np.ndarray,
        block: int,
        obs_shape: tuple[int, ...],
        normalizer: Normalizer | None,
    ):
        self._activation, self._normalizer = activation, normalizer
        self._weights = [np.ascontiguousarray(layer.weight(theta).T) for layer in layers]
        self._biases = [layer.biases(theta) for layer in layers]
        tile = 1 if block == 1 else TILE
        rows = -(-block // tile) * tile
        widths = [layers[0].fan_in, *(layer.fan_out for layer in layers)]
        self._buffers = [np.zeros((rows // tile, tile, width), np.float32) for width in widths]
        self._input = self._buffers[0].reshape(rows, *obs_shape)

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """Outputs [rows, out] at observations [n, *O]: the first n rows count."""
        x, rows = self._input, len(obs)
        x[:rows] = obs
        if self._normalizer is not None:
            self._normalizer.normalize_(x)
        x[rows:] = 0
        last = len(self._weights) - 1
        for index, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            z = self._buffers[index + 1]
            np.matmul(self._buffers[index], weight, out=z)
            if bias is not None:
                z += bias
            if index < last:
                activate_(self._activation, z)
        return self._buffers[-1].reshape(len(x), -1)


class BatchedDenseRunner:
    """The same where every row has parameters of its own; a row's product does not depend on the others."""

    def __init__(self, layers: Sequence[Layer], activation: str, rows: int):
        self._layers, self._activation = layers, activation
        self._weights = [np.zeros((rows, layer.fan_in, layer.fan_out), np.float32) for layer in layers]
        self._biases = [np.zeros((rows, 1, layer.fan_out), np.float32) for layer in layers]

    def assign(self, row: int, theta: np.ndarray) -> None:
        """Give a row its parameters: a copy of θ [P]."""
        for weights, biases, layer in zip(self._weights, self._biases, self._layers, strict=True):
            weights[row] = layer.weight(theta).T
            if layer.bias:
                biases[row, 0] = layer.biases(theta)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Outputs [rows, out] at inputs [rows, in]."""
        z = x[:, None]
        last = len(self._weights) - 1
        for index, (weights, biases) in enumerate(zip(self._weights, self._biases, strict=True)):
            z = np.matmul(z, weights)
            z += biases
            if index < last:
                activate_(self._activation, z)
        return z[:, 0]

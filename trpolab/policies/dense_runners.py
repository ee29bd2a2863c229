"""Fully connected layers on the sampling path: NumPy, float32, buffers made once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trpolab.policies.activations import activate_
from trpolab.policies.network import TILE, Layer


class DenseRunner:
    """Layers at one θ on a buffer of inputs, in tiles of `TILE` rows, or of one where it has one row."""

    def __init__(self, layers: Sequence[Layer], activation: str, theta: np.ndarray, x: np.ndarray):
        self._activation = activation
        self._weights = [np.ascontiguousarray(layer.weight(theta).T) for layer in layers]
        self._biases = [layer.biases(theta) for layer in layers]
        tile = min(TILE, len(x))
        buffers = [np.zeros((len(x) // tile, tile, layer.fan_out), np.float32) for layer in layers]
        self._buffers = [x.reshape(len(x) // tile, tile, -1), *buffers]
        self._outputs = buffers[-1].reshape(len(x), -1)

    def __call__(self, rows: int) -> np.ndarray:
        """Outputs [len(x), out] at all rows of the buffer."""
        last = len(self._weights) - 1
        for index, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            z = self._buffers[index + 1]
            np.matmul(self._buffers[index], weight, out=z)
            if bias is not None:
                z += bias
            if index < last:
                activate_(self._activation, z)
        return self._outputs


class BatchedDenseRunner:
    """Layers on rows that have parameters of their own; a row's product does not depend on the others."""

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

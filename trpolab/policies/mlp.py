"""Multi-layer perceptrons as shapes: θ is a flat vector, a network holds no parameters.

The hand-written forward and backward passes cache activations once and serve gradients, Gauss-Newton products and the
value fit alike; tests hold them to torch's autograd in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch.nn.functional as F
from torch import Tensor, from_numpy

from trpolab.numerics.arrays import QUIET, Array, as_array, as_tensor, namespace
from trpolab.policies.activations import ACTIVATIONS, activate, activate_, slope
from trpolab.policies.dense_runners import BatchedDenseRunner, DenseRunner
from trpolab.policies.kinds import NetworkKind
from trpolab.policies.network import Layer, Network

CHUNK = 1024  # rows at a time: their activations stay in the cache of a core


@dataclass(frozen=True)
class MLP(Network):
    """The shape of a network with linear output: sizes (in, *hidden, out); no hidden layer makes it linear.

    θ [P] holds, layer after layer, the weights [out, in] and then the biases [out].
    """

    sizes: tuple[int, ...]
    activation: str = "tanh"
    bias: bool = True

    chunk = CHUNK
    kept_rows = 2**18  # rows whose activations may be kept (about 1 kB a row)
    parallel = False  # torch's threads gain little on matrices of this size, and lose much on a busy machine
    in_numpy = True

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or min(self.sizes) < 1:
            raise ValueError(f"sizes = {self.sizes}: must be (in, *hidden, out), each at least 1")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation = {self.activation!r}: must be one of {', '.join(ACTIVATIONS)}")

    @property
    def inputs(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.sizes[:1]

    @property
    def outputs(self) -> int:
        """Width of the output."""
        return self.sizes[-1]

    @cached_property
    def size(self) -> int:
        """P, the number of parameters."""
        return self.layers[-1].end

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in order."""
        found, start = [], 0
        for fan_in, fan_out in zip(self.sizes, self.sizes[1:], strict=False):
            found.append(Layer(start, fan_in, fan_out, self.bias))
            start = found[-1].end
        return tuple(found)

    @property
    def last(self) -> Layer:
        """The output layer."""
        return self.layers[-1]

    def initial(self, generator: np.random.Generator, output_scale: float) -> Tensor:
        """A random θ [P] float32: orthogonal weights, gain √2 in hidden layers, `output_scale` in the last; no bias."""
        theta = np.zeros(self.size)
        for layer in self.layers:
            gain = output_scale if layer.end == self.size else np.sqrt(2)
            weight = gain * orthogonal(generator, layer.fan_out, layer.fan_in)
            theta[layer.start : layer.split] = weight.ravel()
        return from_numpy(theta).float()

    def forward(self, theta: Tensor, x: Tensor) -> Tensor:
        """Outputs [B, out] at inputs x [B, in]; torch can differentiate it in both arguments."""
        *hidden, last = self.layers
        for layer in hidden:
            x = activate(self.activation, F.linear(x, layer.weight(theta), layer.biases(theta)))
        return F.linear(x, last.weight(theta), last.biases(theta))

    @QUIET
    def run(self, theta: Tensor, x: Tensor) -> Tensor:
        """Outputs [B, out] at x [B, in] without a graph: the numbers of `linearized`."""
        weights, a = as_array(theta), as_array(x)
        *hidden, last = self.layers
        for layer in hidden:
            a = activate_(self.activation, affine(a, layer.weight(weights), layer.biases(weights)))
        return as_tensor(affine(a, last.weight(weights), last.biases(weights)))

    @QUIET
    def linearized(self, theta: Array, x: Tensor | Array) -> Linearized:
        """The network at θ [P] and x [B, in], with what products with J need."""
        inputs, slopes = [as_array(x) if isinstance(x, Tensor) else x], []
        *hidden, last = self.layers
        for layer in hidden:
            a = activate_(self.activation, affine(inputs[-1], layer.weight(theta), layer.biases(theta)))
            inputs.append(a)
            slopes.append(slope(self.activation, a))
        out = affine(inputs[-1], last.weight(theta), last.biases(theta))
        return Linearized(self.layers, theta, tuple(inputs), tuple(slopes), out, namespace(out).ones_like(out[:, 0]))

    def runner(self, theta: np.ndarray, x: np.ndarray) -> DenseRunner:
        """The sampling path in NumPy."""
        return DenseRunner(self.layers, self.activation, theta, x)

    def batched_runner(self, rows: int) -> BatchedDenseRunner:
        """The same for rows with parameters of their own."""
        return BatchedDenseRunner(self.layers, self.activation, rows)


def affine(x: Array, weight: Array, biases: Array | None) -> Array:
    """x Wᵀ + b [B, out], a new array."""
    z = x @ weight.T
    if biases is not None:
        z += biases
    return z


@dataclass(frozen=True, eq=False)
class Linearized:
    """A network at one θ with its activations and slopes kept, on arrays; B rows."""

    layers: tuple[Layer, ...]
    theta: Array  # [P]
    inputs: tuple[Array, ...]  # [B, in] of each layer
    slopes: tuple[Array, ...]  # [B, width] φ' of each hidden layer
    out: Array  # [B, out]
    ones: Array  # [B]: a product with it is a sum over rows, and faster

    def jvp(self, v: Array, tangent: Array | None = None) -> Array:
        """Jv [B, out] for v [P]: the directional derivative, layer by layer forward.

        `tangent` [B, in] says how the input moves; None where it stays.
        """
        for index, (layer, x) in enumerate(zip(self.layers, self.inputs, strict=True)):
            moved = affine(x, layer.weight(v), layer.biases(v))
            if tangent is not None:
                moved += tangent @ layer.weight(self.theta).T
            if index < len(self.slopes):
                moved *= self.slopes[index]
            tangent = moved
        return tangent

    def vjp(self, cotangent: Array, below: Array | None = None) -> Array:
        """Jᵀc [P] for c [B, out]: back-propagation, summed over rows; the cotangent of the input goes to `below`."""
        gradient = namespace(self.theta).empty_like(self.theta)
        c = cotangent
        for index in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[index]
            layer.weight(gradient)[...] = c.T @ self.inputs[index]
            if (biases := layer.biases(gradient)) is not None:
                biases[...] = self.ones @ c
            if index:
                weight = layer.weight(self.theta)
                c = c * weight if layer.fan_out == 1 else c @ weight  # NumPy has no fast outer product
                c *= self.slopes[index - 1]
            elif below is not None:
                below[...] = c @ layer.weight(self.theta)
        return gradient


def orthogonal(generator: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """A random [rows, columns] float64 matrix with orthonormal rows or columns, whichever are fewer (Haar measure)."""
    tall = generator.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q = q * np.sign(np.diag(r))  # without the signs, QR's convention would bias the draw
    return q if rows >= columns else q.T


KIND = NetworkKind(
    name="mlp",
    label="fully connected layers",
    source="Section 8.1",
    network=MLP,
    make=lambda shape, outputs, config, _: MLP(
        (math.prod(shape), *config.hidden, outputs), config.activation, config.bias
    ),
)

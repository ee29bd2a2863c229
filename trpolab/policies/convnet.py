"""The paper's network for pixels (Section 8.2), as a shape: two convolutions, fully connected layers, linear output.

Convolutions are torch's, with channels as the fastest axis, which makes going back through them twice as fast. What is
between them goes through `trpolab.numerics.arrays`, as NumPy's tanh takes an eighth of the time of torch's. Tests hold
the hand-written products to torch's autograd in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trpolab.numerics.arrays import QUIET, Array, as_array, as_tensor
from trpolab.policies.activations import activate, activate_, slope
from trpolab.policies.frames import BRIGHTEST, Frames, fractions
from trpolab.policies.kinds import NetworkKind
from trpolab.policies.mlp import MLP, Linearized, orthogonal
from trpolab.policies.network import TILE, Layer, Network
from trpolab.settings import PlainError


@dataclass(frozen=True)
class ConvNet(Network):
    """Bytes [C, H, W] -> two convolutions without padding -> hidden layers -> linear output.

    With 16 filters of 4 x 4 at stride 2 on 4 x 52 x 40, a hidden layer of 20 and the 8 logits of the factored joystick
    that makes 33,500 parameters. θ [P] holds, layer after layer, the weights [out, in] and then the biases; a
    convolution's weights are [filters, C · kernel · kernel].
    """

    image: tuple[int, int, int]  # (C, H, W)
    hidden: tuple[int, ...]
    outputs: int
    activation: str = "tanh"
    bias: bool = True
    filters: int = 16
    kernel: int = 4
    stride: int = 2

    sees_pixels = True
    side_by_side = False
    chunk = 64  # rows at a time: most of their activations stay in the cache of a core
    kept_rows = 2**14  # rows whose activations may be kept (about 70 kB a row)
    parallel = True  # its update is long enough for every core

    def __post_init__(self) -> None:
        if min(self.maps[-1]) < 1:
            kernel, (_, high, wide) = self.kernel, self.image
            least = kernel + self.stride * (kernel - 1)
            raise PlainError(
                f"pictures of {high} x {wide} pixels are too small for two convolutions of {kernel} x {kernel} with "
                f"stride {self.stride}, which need {least} x {least}: policy.network = 'mlp' takes plain numbers"
            )
        MLP(self.head.sizes, self.activation, self.bias)  # checks the rest

    @property
    def inputs(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.image

    @cached_property
    def maps(self) -> tuple[tuple[int, int], ...]:
        """Height and width after each convolution."""
        sizes, (height, width) = [], self.image[1:]
        for _ in range(2):
            height, width = ((size - self.kernel) // self.stride + 1 for size in (height, width))
            sizes.append((height, width))
        return tuple(sizes)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The two convolutions as they lie in θ."""
        first = Layer(0, self.image[0] * self.kernel**2, self.filters, self.bias)
        return first, Layer(first.end, self.filters * self.kernel**2, self.filters, self.bias)

    @cached_property
    def head(self) -> MLP:
        """What follows the convolutions."""
        height, width = self.maps[-1]
        return MLP((self.filters * height * width, *self.hidden, self.outputs), self.activation, self.bias)

    @property
    def last(self) -> Layer:
        """The output layer as it lies in θ."""
        last = self.head.last
        return Layer(self.layers[-1].end + last.start, last.fan_in, last.fan_out, last.bias)

    @property
    def size(self) -> int:
        """P, the number of parameters."""
        return self.layers[-1].end + self.head.size

    def initial(self, generator: np.random.Generator, output_scale: float) -> Tensor:
        """A random θ [P] float32: orthogonal weights, gain √2 in hidden layers, `output_scale` in the last; no bias."""
        theta = np.zeros(self.layers[-1].end)
        for layer in self.layers:
            theta[layer.start : layer.split] = np.sqrt(2) * orthogonal(generator, layer.fan_out, layer.fan_in).ravel()
        return torch.cat([torch.from_numpy(theta).float(), self.head.initial(generator, output_scale)])

    def forward(self, theta: Tensor, x: Frames | Tensor) -> Tensor:
        """Outputs [B, out] at states x, or at fractions x [B, C, H, W]; torch can differentiate it in θ and x."""
        a = fractions(x, theta)
        for layer in self.layers:
            a = activate(self.activation, self._convolve(a, theta, layer))
        return self.head.forward(theta[self.layers[-1].end :], a.flatten(1))

    @QUIET
    @torch.no_grad()
    def run(self, theta: Tensor, x: Tensor) -> Tensor:
        """Outputs [B, out] at fractions x [B, C, H, W] without a graph: the numbers of `linearized`."""
        for layer in self.layers:
            x = self._activated(self._convolve(x, theta, layer))
        return self.head.run(theta[self.layers[-1].end :], x.flatten(1))

    @QUIET
    @torch.no_grad()
    def linearized(self, theta: Array, x: Frames | Tensor) -> LinearizedConvolutions:
        """The network at θ [P] and states x, with what products with J need."""
        at, (one, two) = as_tensor(theta), self.layers
        x = x.pixels().to(memory_format=torch.channels_last) if isinstance(x, Frames) else x
        first = self._activated(self._convolve(fractions(x, at), at, one))
        second = self._activated(self._convolve(first, at, two))
        head = self.head.linearized(as_array(at[two.end :]), second.flatten(1))
        return LinearizedConvolutions(self, at, x, first, second, head)

    def runner(self, theta: np.ndarray, x: np.ndarray) -> ConvolutionsRunner:
        """The sampling path: torch's convolutions, the rest in NumPy."""
        return ConvolutionsRunner(self, theta, x)

    def _convolve(self, x: Tensor, theta: Tensor, layer: Layer) -> Tensor:
        return F.conv2d(x, self.kernels(theta, layer), layer.biases(theta), stride=self.stride)

    def kernels(self, theta: Tensor, layer: Layer) -> Tensor:
        """A layer's weights [filters, C · k · k] as [filters, C, k, k], channels fastest in memory."""
        kernels = layer.weight(theta).reshape(self.filters, -1, self.kernel, self.kernel)
        return kernels.to(memory_format=torch.channels_last)

    def _activated(self, z: Tensor) -> Tensor:
        activate_(self.activation, as_array(z))
        return z

    def _slope(self, a: Tensor) -> Tensor:
        return as_tensor(slope(self.activation, as_array(a)))


@dataclass(frozen=True, eq=False)
class LinearizedConvolutions:
    """A `ConvNet` at one θ with its activations kept; B rows."""

    network: ConvNet
    theta: Tensor  # [P]
    x: Tensor  # [B, C, H, W] bytes: fractions take four times the room
    first: Tensor  # [B, filters, h, w] after the first convolution
    second: Tensor
    head: Linearized

    @property
    def out(self) -> Array:
        """Outputs [B, out]."""
        return self.head.out

    @QUIET
    @torch.no_grad()
    def jvp(self, v: Array) -> Array:
        """Jv [B, out] for v [P]: the directional derivative, layer by layer forward."""
        network, direction = self.network, as_tensor(v)
        one, two = network.layers
        tangent = network._convolve(fractions(self.x, self.theta), direction, one)
        tangent *= network._slope(self.first)
        moved = network._convolve(self.first, direction, two)
        moved += F.conv2d(tangent, network.kernels(self.theta, two), stride=network.stride)
        moved *= network._slope(self.second)
        return self.head.jvp(as_array(direction[two.end :]), as_array(moved.flatten(1)))

    @QUIET
    @torch.no_grad()
    def vjp(self, cotangent: Array) -> Array:
        """Jᵀc [P] for c [B, out]: back-propagation, summed over rows."""
        network = self.network
        one, two = network.layers
        gradient = torch.empty_like(self.theta)
        below = self.theta.new_empty((len(self.second), network.head.sizes[0]))
        as_array(gradient)[two.end :] = self.head.vjp(cotangent, as_array(below))
        c = below.view(self.second.shape).to(memory_format=torch.channels_last)
        c *= network._slope(self.second)
        c = self._backward(c, self.first, two, gradient, True)
        c *= network._slope(self.first)
        self._backward(c, fractions(self.x, self.theta), one, gradient, False)
        return as_array(gradient)

    def _backward(self, c: Tensor, x: Tensor, layer: Layer, gradient: Tensor, to_input: bool) -> Any:
        """Back through one convolution: writes the layer's part of the gradient, returns the cotangent of its input."""
        network, padding, dilation = self.network, [0, 0], [1, 1]
        kernels, stride = network.kernels(self.theta, layer), [network.stride] * 2
        below, weight, bias = torch.ops.aten.convolution_backward(
            c, x, kernels, [network.filters], stride, padding, dilation, False, [0, 0], 1, [to_input, True, layer.bias]
        )
        gradient[layer.start : layer.split] = weight.flatten()
        if layer.bias:
            gradient[layer.split : layer.end] = bias
        return below


class ConvolutionsRunner:
    """A `ConvNet` at one θ on a buffer of stacks [rows, C, H, W], a tile of `TILE` rows after the other."""

    def __init__(self, network: ConvNet, theta: np.ndarray, x: np.ndarray):
        self._network, self._stacks, weights = network, x, torch.from_numpy(theta)
        self._convolutions = [(network.kernels(weights, layer), layer.biases(weights)) for layer in network.layers]
        self._flat = np.zeros((TILE, network.head.sizes[0]), np.float32)
        self._head = network.head.runner(theta[network.layers[-1].end :], self._flat)
        channels, height, width = network.image
        self._x = np.zeros((TILE, height, width, channels), np.float32)  # channels fastest
        self._images = torch.from_numpy(self._x).permute(0, 3, 1, 2)
        self._outputs = np.zeros((len(x), network.outputs), np.float32)

    def __call__(self, rows: int) -> np.ndarray:
        """Outputs [len(x), out] at the buffer; they are right in the first rows."""
        for first in range(0, rows, TILE):
            self._outputs[first : first + TILE] = self._tile(self._stacks[first : first + TILE])
        return self._outputs

    def _tile(self, stacks: np.ndarray) -> np.ndarray:
        """[TILE, out] at stacks [TILE, C, H, W]."""
        network, a = self._network, self._images
        for channel in range(stacks.shape[1]):
            np.divide(stacks[:, channel], np.float32(BRIGHTEST), out=self._x[..., channel], dtype=np.float32)
        for kernels, bias in self._convolutions:
            a = torch.conv2d(a, kernels, bias, stride=network.stride)
            activate_(network.activation, a.numpy())
        self._flat.reshape(a.shape)[...] = a.numpy()
        return self._head(TILE)


KIND = NetworkKind(
    name="convnet",
    label="two convolutions and fully connected layers, for pictures",
    source="Section 8.2",
    network=ConvNet,
    make=lambda shape, outputs, config, _: ConvNet(shape, config.hidden, outputs, config.activation, config.bias),
)

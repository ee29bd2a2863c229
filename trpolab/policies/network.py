"""What a network is: a shape. Its parameters θ [P] are a flat vector that is handed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from trpolab.numerics.arrays import QUIET, Array, as_array, as_tensor
from trpolab.numerics.device import free_memory, memory_taken
from trpolab.numerics.threads import SERIAL, ThreadTeam
from trpolab.policies.frames import fractions

MORE = 64  # times `chunk`, the rows that go through at a time on a GPU that has room for them
TILE = 8  # rows of one matrix product when sampling: in larger ones OpenBLAS rounds some rows otherwise than others


class Network:
    """Base of networks: frozen dataclasses whose fields are numbers, texts, booleans or tuples of them.

    A network says `inputs` (the shape of one input), `outputs` (how many numbers it gives) and `size` (P), and has
    `initial` and `forward`. The rest follows from `forward`; where its speed counts, a network writes it by hand.
    Inputs are the normalised, flattened observation; (C, H, W) fractions of 255 for a network that sees pixels.
    """

    sees_pixels: ClassVar[bool] = False  # observations are pictures: its inputs are their planes, [C, H, W]
    side_by_side: ClassVar[bool] = True  # candidates of a search can be evaluated together: see `batched_runner`
    chunk: ClassVar[int] = 1024  # rows at a time
    kept_rows: ClassVar[int] = 2**14  # rows whose activations may be kept from product to product
    parallel: ClassVar[bool] = False  # whether torch uses every core in its update
    in_numpy: ClassVar[bool] = False  # its chunks may be computed side by side, in threads of ours

    if TYPE_CHECKING:  # not there at run time: a dataclass would take them for defaults of its fields

        @property
        def inputs(self) -> tuple[int, ...]: ...

        @property
        def outputs(self) -> int: ...

        @property
        def size(self) -> int: ...

    def team(self, threads: int | None) -> int:
        """How many threads compute its chunks, in a run on `threads`; where they are torch's, as many as torch uses."""
        return threads if threads is not None and self.in_numpy else torch.get_num_threads()

    def initial(self, generator: np.random.Generator, output_scale: float) -> Tensor:
        """A random θ [P] float32; `output_scale` is the gain of the last layer."""
        raise NotImplementedError

    def forward(self, theta: Tensor, x: Any) -> Tensor:
        """Outputs [B, out] at inputs x [B, *inputs]; torch can differentiate it twice in θ."""
        raise NotImplementedError

    def evaluate(self, theta: Tensor, x: Any, workers: ThreadTeam = SERIAL, chunk: int | None = None) -> Tensor:
        """Outputs [B, out] without a graph, in chunks of rows; x may be `Frames`."""
        theta = theta.detach()
        parts = x.split(self.chunk if chunk is None else chunk)
        return torch.cat(workers.map(lambda part: self.run(theta, fractions(part, theta)), parts))

    def rows_at_once(self, theta: Tensor, x: Any) -> tuple[int, int]:
        """How many rows of x to linearize at a time, and of how many the activations may be kept.

        On the CPU these are `chunk` and `kept_rows`. On a GPU they follow from its free memory and from what the first
        rows take; powers of two times `chunk`, so that they seldom differ from one update to the next.
        """
        if theta.device.type == "cpu" or len(x) == 0:
            return self.chunk, self.kept_rows
        first, at = x[: self.chunk], as_array(theta)

        def multiply() -> None:
            linearized = self.linearized(at, first)
            linearized.vjp(linearized.jvp(at))

        room = free_memory() // (memory_taken(multiply) // len(first) + 1)  # rows
        chunk = self.chunk
        while chunk < MORE * self.chunk and 2 * chunk <= room // 8:
            chunk *= 2
        return chunk, room // 4

    @torch.no_grad()
    def run(self, theta: Tensor, x: Tensor) -> Tensor:
        """The same at inputs x [B, *inputs], all at once."""
        return self.forward(theta, x)

    def linearized(self, theta: Array, x: Any) -> Any:
        """The network at θ [P] and x, with what products with J = ∂outputs/∂θ need: see `LinearizedForward`."""
        at = as_tensor(theta).detach().requires_grad_()
        with torch.enable_grad():
            outputs = self.forward(at, fractions(x, at))
            cotangent = torch.zeros_like(outputs, requires_grad=True)
            (pulled,) = torch.autograd.grad(outputs, at, cotangent, create_graph=True)
        return LinearizedForward(at, outputs, cotangent, pulled)

    def linearize(self, theta: Tensor, x: Any) -> tuple[Tensor, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """Outputs at θ and the two products with J = ∂outputs/∂θ, activations computed once.

        Returns (out [B, out], jvp, vjp) with jvp(v [P]) = Jv [B, out] and vjp(c [B, out]) = Jᵀc [P], summed over rows.
        Give it at most some thousand rows at a time.
        """
        linearized = self.linearized(as_array(theta), x)
        return (
            as_tensor(linearized.out),
            QUIET(lambda v: as_tensor(linearized.jvp(as_array(v)))),
            QUIET(lambda c: as_tensor(linearized.vjp(as_array(c)))),
        )

    def runner(self, theta: np.ndarray, x: np.ndarray) -> Callable[[int], np.ndarray]:
        """The sampling path at θ [P] float32: n ↦ outputs [rows, out] at the buffer x, of which n rows count.

        x [rows, *O] holds normalised observations, or stacks of frames; rows beyond n are zeros. There are a multiple
        of `TILE`, or one. The result of a row must depend on that row alone.
        """
        return ForwardRunner(self, theta, x)

    def batched_runner(self, rows: int) -> Any:
        """The same with a θ for each row, given by `assign(row, theta)`, and inputs that are normalised already."""
        if not self.side_by_side:
            raise ValueError(f"candidates of a {type(self).__name__} are not evaluated side by side")
        return BatchedForwardRunner(self, rows)


@dataclass(frozen=True)
class Layer:
    """Where one layer lies in θ: its weights [out, in] row by row, then its biases [out]."""

    start: int
    fan_in: int
    fan_out: int
    bias: bool

    @cached_property
    def split(self) -> int:
        """End of the weights, start of the biases."""
        return self.start + self.fan_in * self.fan_out

    @cached_property
    def end(self) -> int:
        """One past the layer's last parameter."""
        return self.split + (self.fan_out if self.bias else 0)

    def weight(self, theta: Array) -> Array:
        """View [out, in] of an array or tensor θ [P]."""
        return theta[self.start : self.split].reshape(self.fan_out, self.fan_in)

    def biases(self, theta: Array) -> Array | None:
        """View [out], or None without biases."""
        return theta[self.split : self.end] if self.bias else None


@dataclass(frozen=True, eq=False)
class LinearizedForward:
    """A network at one θ, its graph kept; B rows. Jv is the derivative of Jᵀc in c, which is linear in c."""

    theta: Tensor  # [P]
    outputs: Tensor  # [B, out], of `theta`
    cotangent: Tensor  # [B, out] zeros
    pulled: Tensor  # Jᵀc [P], of `cotangent`

    @property
    def out(self) -> Array:
        """Outputs [B, out]."""
        return as_array(self.outputs)

    def jvp(self, v: Array) -> Array:
        """Jv [B, out] for v [P]."""
        return as_array(torch.autograd.grad(self.pulled, self.cotangent, as_tensor(v), retain_graph=True)[0])

    def vjp(self, cotangent: Array) -> Array:
        """Jᵀc [P] for c [B, out], summed over rows."""
        return as_array(torch.autograd.grad(self.outputs, self.theta, as_tensor(cotangent), retain_graph=True)[0])


class ForwardRunner:
    """A network's `forward` on a buffer of inputs, in tiles of `TILE` rows."""

    def __init__(self, network: Network, theta: np.ndarray, x: np.ndarray):
        self._network, self._theta = network, torch.from_numpy(theta)
        self._x = torch.from_numpy(x).reshape(len(x), *network.inputs)
        self._outputs = np.zeros((len(x), network.outputs), np.float32)

    def __call__(self, rows: int) -> np.ndarray:
        """Outputs [len(x), out] at the buffer; they are right in the first rows."""
        for first in range(0, rows, TILE):
            x = fractions(self._x[first : first + TILE], self._theta)
            self._outputs[first : first + TILE] = self._network.run(self._theta, x).numpy()
        return self._outputs


class BatchedForwardRunner:
    """A network's `forward` with a θ for every row."""

    def __init__(self, network: Network, rows: int):
        self._forward, self._theta = torch.vmap(network.forward), torch.zeros(rows, network.size)

    def assign(self, row: int, theta: np.ndarray) -> None:
        """Give a row its parameters: a copy of θ [P]."""
        self._theta[row] = torch.from_numpy(theta)

    @torch.no_grad()
    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Outputs [rows, out] at inputs [rows, in]."""
        return self._forward(self._theta, torch.from_numpy(x)[:, None])[:, 0].numpy()

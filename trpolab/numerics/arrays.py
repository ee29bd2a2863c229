"""Vectors and matrices without a graph: NumPy arrays on the CPU, torch tensors elsewhere.

On the CPU NumPy's small operations cost a third of torch's, its float32 tanh a sixth, and its products with thin
matrices a third to a tenth (measured). Code that uses only what both offer (`@`, `+=`, slices) serves every device.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = Any
ROUNDING = 1e-14  # of sums of some thousand float64 numbers, relative to their size
FAINT = 1e-150  # differences whose squares are too small for a float64
QUIET = np.errstate(over="ignore", invalid="ignore")  # a decorator: whoever asked checks the result, as with torch


def as_array(tensor: Tensor) -> Array:
    """The same memory as a NumPy array if it is on the CPU, else the tensor without its graph."""
    tensor = tensor.detach()
    return tensor.numpy() if tensor.device.type == "cpu" else tensor


def as_tensor(array: Array) -> Tensor:
    """The same memory as a tensor."""
    return torch.from_numpy(array) if isinstance(array, np.ndarray) else array


def all_finite(array: np.ndarray) -> bool:
    """Whether every number is finite; whole numbers are."""
    return array.dtype.kind != "f" or np.count_nonzero(np.isfinite(array)) == array.size


def finite_bounds(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same bounds, with the largest numbers of their dtype in place of infinities."""
    largest = np.finfo(low.dtype).max
    return np.maximum(low, -largest), np.minimum(high, largest)


def clipped(values: Array, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Floats within bounds and of the bounds' dtype. The cast comes last: rounding keeps the order, so none leaves."""
    return np.minimum(np.maximum(values, low), high).astype(low.dtype)


def hardly_varies(array: np.ndarray, beside: np.ndarray) -> bool:
    """Whether numbers [N] differ by no more than the rounding of those `beside` them that they were computed from.

    So do numbers whose differences can't be squared.
    """
    return float(np.ptp(array)) <= max(ROUNDING * float(np.abs(beside).max()), FAINT) if array.size else True


def namespace(array: Array) -> Any:
    """The module, NumPy or torch, whose functions take this array."""
    return np if isinstance(array, np.ndarray) else torch

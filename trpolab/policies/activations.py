"""Nonlinearities and their slopes, for torch's autograd and for the hand-written passes.

Without a graph, networks on the CPU run in NumPy: its float32 tanh and its products with thin matrices take a fraction
of the time of torch's (measured: 6 and 3 to 10 times less). `Array` is a NumPy array there, a torch tensor elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

ACTIVATIONS = ("tanh", "relu", "softplus", "elu")

Array = Any


def as_array(tensor: Tensor) -> Array:
    """The same memory as NumPy if it is on the CPU, else the tensor."""
    tensor = tensor.detach()
    return tensor.numpy() if tensor.device.type == "cpu" else tensor


def as_tensor(array: Array) -> Tensor:
    """The same memory as a tensor."""
    return torch.from_numpy(array) if isinstance(array, np.ndarray) else array


def namespace(array: Array) -> Any:
    """The module, NumPy or torch, whose functions take this array."""
    return np if isinstance(array, np.ndarray) else torch


def activate(name: str, z: Tensor) -> Tensor:
    """φ(z), differentiable."""
    match name:
        case "tanh":
            return torch.tanh(z)
        case "relu":
            return torch.relu(z)
        case "softplus":
            return F.softplus(z)
        case "elu":
            return F.elu(z)
    raise ValueError(f"activation = {name!r}: must be one of {', '.join(ACTIVATIONS)}")


def activate_(name: str, z: Array) -> Array:
    """φ(z) written over z."""
    xp = namespace(z)
    match name:
        case "tanh":
            return xp.tanh(z, out=z)
        case "relu":
            return xp.clip(z, 0, None, out=z)
        case "softplus":
            return xp.logaddexp(z, xp.zeros_like(z), out=z)
        case "elu":
            negative = xp.expm1(xp.clip(z, None, 0))
            xp.clip(z, 0, None, out=z)
            z += negative
            return z
    raise ValueError(f"activation = {name!r}: must be one of {', '.join(ACTIVATIONS)}")


def slope(name: str, a: Array) -> Array:
    """φ'(z) from the value a = φ(z) alone, a new array."""
    xp = namespace(a)
    match name:
        case "tanh":
            result = a * a
            return xp.subtract(1, result, out=result) if xp is np else result.neg_().add_(1)
        case "relu":
            return xp.sign(a)
        case "softplus":
            return -xp.expm1(-a)
        case "elu":
            return xp.clip(a, None, 0) + 1
    raise ValueError(f"activation = {name!r}: must be one of {', '.join(ACTIVATIONS)}")

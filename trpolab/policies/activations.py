"""Nonlinearities and their slopes, for torch's autograd and for the hand-written passes."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trpolab.numerics.arrays import Array, namespace

ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "softplus": F.softplus, "elu": F.elu}


def activate(name: str, z: Tensor) -> Tensor:
    """φ(z), differentiable."""
    return ACTIVATIONS[name](z)


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

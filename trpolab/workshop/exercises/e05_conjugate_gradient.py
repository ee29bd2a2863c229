"""Conjugate gradient, against dense solves in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from trpolab.own import vectors
from trpolab.workshop.attempt import Attempt
from trpolab.workshop.checks import Properties
from trpolab.workshop.compare import near


def conjugate_gradient(attempt: Attempt) -> Properties:
    """x_k is the best x of the span of b, Ab ... A^(k-1)b: found here by solving in that span."""
    a, b = system(6, 8.0)
    product = times(a, b)
    one = attempt(product, b, 1, like=b)
    length = float(b @ b) / float(b @ a @ b)
    mistakes = {
        "that is the right side b: its length is missing": b,
        "that is where two iterations lead": krylov(a, b, 2),
        "the step has the length of the gradient's norm, not of the line search along it": b / b.norm(),
    }
    yield "the first step goes along b, as far as the model falls", near(one, length * b, mistakes)
    wrong = {
        "each direction is the residual alone: conjugacy is lost": descent(a, b, lambda rr, old: 0.0),
        "each direction takes too much of the one before": descent(a, b, lambda rr, old: old / rr),
        "r and p begin as one vector: what is written into r changes p": descent(a, b, shared=True),
        "the residual is moved the wrong way: compare r with b - Ax": descent(a, b, sign=1),
        "that is where two iterations lead": krylov(a, b, 2),
        "that is where four iterations lead": krylov(a, b, 4),
    }
    third = attempt.gives(krylov(a, b, 3), product, b, 3, mistakes=wrong)
    yield "three steps reach the best point of their plane", third
    yield "six steps solve six equations", attempt.gives(torch.linalg.solve(a, b), product, b, 6)
    attempt(product, b, 4, like=b)
    spent = f"{attempt.asked} products for 4 iterations"
    yield "one product an iteration", "" if attempt.asked in (4, 5) else spent
    few, rhs = torch.diag(torch.tensor([2.0, 5.0], dtype=b.dtype)), torch.tensor([1.0, 0.0], dtype=b.dtype)
    yield "it stays where it is once nothing is left", attempt.gives(rhs / 2, times(few, rhs), rhs, 8)
    yield "b = 0 has the solution 0", attempt.gives(0 * b, product, 0 * b, 3)


def system(size: int, spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A symmetric positive definite A with eigenvalues 1 ... spread, and b."""
    generator = np.random.default_rng(5)
    basis, _ = np.linalg.qr(generator.normal(size=(size, size)))
    a = basis @ np.diag(np.linspace(1, spread, size)) @ basis.T
    return torch.from_numpy((a + a.T) / 2), torch.from_numpy(generator.normal(size=size))


def times(a: torch.Tensor, b: torch.Tensor) -> Callable[[Any], Any]:
    """v ↦ Av, for vectors like b."""
    return vectors(lambda v: a @ v, b, "product")


def krylov(a: torch.Tensor, b: torch.Tensor, k: int) -> torch.Tensor:
    """The x of span(b, Ab ... A^(k-1)b) that minimises ½xᵀAx - bᵀx."""
    powers = [b]
    for _ in range(k - 1):
        powers.append(a @ powers[-1])
    basis, _ = torch.linalg.qr(torch.stack(powers, 1))
    return basis @ torch.linalg.solve(basis.T @ a @ basis, basis.T @ b)


def descent(
    a: torch.Tensor,
    b: torch.Tensor,
    share: Callable[[float, float], float] = lambda rr, old: rr / old,
    shared: bool = False,
    sign: int = -1,
) -> torch.Tensor:
    """Three steps with a mistake: p takes another share of the old p, is r at first, or r goes the wrong way."""
    x, r, p = 0 * b, b, b
    for k in range(3):
        old = float(r @ r)
        alpha = old / float(p @ a @ p)
        x, r = x + alpha * p, r + sign * alpha * (a @ p)
        p = r + share(float(r @ r), old) * (r if shared and k == 0 else p)
    return x

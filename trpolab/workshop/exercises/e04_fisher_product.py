"""The Fisher-vector product, against the dense Hessian of the KL of a small policy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from trpolab.own import vectors
from trpolab.workshop.attempt import Attempt
from trpolab.workshop.checks import Properties
from trpolab.workshop.compare import near

FEATURES, HIDDEN, ACTIONS = 3, 4, 3


def fisher_product(attempt: Attempt) -> Properties:
    """Av, with A from torch.autograd.functional.hessian."""
    generator = torch.Generator().manual_seed(4)
    size = FEATURES * HIDDEN + HIDDEN * ACTIONS
    theta, v, u = (torch.randn(size, generator=generator, dtype=torch.float64) for _ in range(3))
    x = torch.randn(20, FEATURES, generator=generator, dtype=torch.float64)
    mean_kl = kl_to(x, theta)
    dense: Tensor = torch.autograd.functional.hessian(mean_kl, theta)
    handed = vectors(mean_kl, theta, "mean_kl")
    found, other, twice = (attempt(handed, theta, w, like=v).detach() for w in (v, u, 2 * v))
    depends = (found - other).norm() > 0
    yield "it depends on v", "" if depends else "the same comes for another v"
    same = "v and 2v give the same: is v normalised?" if depends else "v and 2v give the same"
    yield "linear in v", near(twice, 2 * found, {same: found}) if found.any() else ""
    pair = [float(u @ found), float(v @ other)]
    yield "symmetric", "" if abs(pair[0] - pair[1]) <= 1e-6 * max(map(abs, pair)) else "uᵀ(Av) is not vᵀ(Au)"
    yield "positive", "" if float(v @ found) >= -1e-12 else "vᵀAv is negative"
    mistakes = {
        "it is 0: the KL's first derivative is, but the second is asked": 0 * v,
        "it is the sum of A's columns: where is v?": dense.sum(1),
        "it is A's diagonal times v": dense.diag() * v,
        "it is damped: (A + 0.1·I)v; the damping is added elsewhere": dense @ v + 0.1 * v,
        "it is A²v": dense @ dense @ v,
        "it is v itself": v,
    }
    yield "equal to the Hessian of the KL times v", near(found, dense @ v, mistakes, 1e-5)
    bowl = torch.diag(torch.arange(1.0, size + 1, dtype=torch.float64))

    def elsewhere(t: Tensor) -> Tensor:
        return 0.5 * t @ bowl @ t + t.sum() + (t**3).sum()

    there = torch.autograd.functional.hessian(elsewhere, theta) @ v
    yield (
        "right for a function with a slope, too",
        attempt.gives(there, vectors(elsewhere, theta, "mean_kl"), theta, v, within=1e-4),
    )


def kl_to(x: Tensor, theta: Tensor) -> Callable[[Tensor], Tensor]:
    """θ ↦ mean KL(old‖θ) over states x [B, F], for a soft-max policy with one hidden layer."""

    def log_probabilities(t: Tensor) -> Tensor:
        first, second = t[: FEATURES * HIDDEN].view(FEATURES, HIDDEN), t[FEATURES * HIDDEN :].view(HIDDEN, ACTIONS)
        return torch.log_softmax(torch.tanh(x @ first) @ second, 1)

    old = log_probabilities(theta).detach()
    return lambda t: (old.exp() * (old - log_probabilities(t))).sum(1).mean()

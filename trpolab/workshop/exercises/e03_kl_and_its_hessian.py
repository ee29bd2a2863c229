"""The KL divergence of Gaussians by integration, and its Hessian by torch's own distributions and autograd."""

from __future__ import annotations

import numpy as np
import torch
from torch.distributions import Normal, kl_divergence

from trpolab.workshop.attempt import Attempt
from trpolab.workshop.checks import Properties
from trpolab.workshop.compare import near

OLD = np.array([0.3, -1.0, 0.5]), np.array([0.1, -0.4, 0.3])  # means, log σ
NEW = np.array([0.8, -0.7, 0.1]), np.array([-0.2, 0.2, 0.5])


def gaussian_kl(attempt: Attempt) -> Properties:
    """KL(old‖new) = ∫ p log(p/q), dimension by dimension."""
    true, other = integrated(OLD, NEW), integrated(NEW, OLD)
    shift, ratio = (OLD[0] - NEW[0]) ** 2, np.exp(2 * (OLD[1] - NEW[1]))
    quadratic, logs = shift / np.exp(2 * NEW[1]), NEW[1] - OLD[1]
    mistakes = {
        "it is the KL with its two distributions the other way round": other,
        "it is a mean over the dimensions: the KL of independent parts is a sum": true / 3,
        "it is in bits: nats are asked, the natural logarithm": true / np.log(2),
        "the term of the log σ is missing": float((0.5 * (ratio + quadratic - 1)).sum()),
        "the standard deviations are there where variances belong": float(
            (logs + 0.5 * (np.sqrt(ratio) + shift / np.exp(NEW[1]) - 1)).sum()
        ),
        "the term of the means is missing": float((logs + 0.5 * (ratio - 1)).sum()),
        "it is a constant too large: of a distribution and itself it is not 0": true + 1.5,
        "the log σ are taken for σ": integrated((OLD[0], np.log(np.abs(OLD[1]))), (NEW[0], np.log(np.abs(NEW[1])))),
    }
    yield "the KL of the old from the new", near(attempt(*OLD, *NEW, like=0.0), true, mistakes)
    yield "0 for a distribution and itself", attempt.gives(0.0, *OLD, *OLD)
    moved = NEW[0], OLD[1]
    yield "means alone differ", attempt.gives(integrated(OLD, moved), *OLD, *moved)
    wide = OLD[0], NEW[1]
    yield "widths alone differ", attempt.gives(integrated(OLD, wide), *OLD, *wide)


def kl_hessian(attempt: Attempt) -> Properties:
    """The diagonal of ∂² KL(old‖new) / ∂new², at new = old."""
    log_std = OLD[1]
    true = curvature(log_std)
    inner, outer = true[:3], true[3:]
    mistakes = {
        "it is 0: the KL is at its lowest there, but the question is how it bends": 0 * true,
        "it is of the log σ first: the means come first": np.concatenate([outer, inner]),
        "it is in σ: the new distribution's parameter is log σ": np.concatenate([inner, 2 / np.exp(2 * log_std)]),
        "σ where σ² belongs": np.concatenate([1 / np.exp(log_std), outer]),
        "the variances themselves, not one over them": np.concatenate([np.exp(2 * log_std), outer]),
        "the part of the log σ is off by a factor of 2": np.concatenate([inner, outer / 2]),
        "it is twice what it should be for the log σ": np.concatenate([inner, outer * 2]),
        "it is half of the Hessian, as it stands in the quadratic model": true / 2,
    }
    yield "how the KL bends in each parameter", near(attempt(log_std, like=true), true, mistakes, 1e-5)
    one = np.zeros(1)
    yield "a standard normal", attempt.gives(curvature(one), one, within=1e-5)
    narrow = np.array([-3.0, 1.0])
    yield "a narrow and a wide one", attempt.gives(curvature(narrow), narrow, within=1e-5)


def integrated(p: tuple[np.ndarray, np.ndarray], q: tuple[np.ndarray, np.ndarray]) -> float:
    """KL(p‖q) of independent normals (means, log σ), by the trapezoidal rule over 12 standard deviations of p."""
    z, total = np.linspace(-12, 12, 20_001), 0.0
    for mean, log_std, other, other_log in zip(*p, *q, strict=True):
        x, density = mean + z * np.exp(log_std), np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
        far = (x - other) * np.exp(-other_log)
        total += float(np.trapezoid(density * (other_log - log_std + 0.5 * (far**2 - z**2)), z))
    return total


def curvature(log_std: np.ndarray) -> np.ndarray:
    """The diagonal of the Hessian in [means, log σ]; what stands beside it is 0."""
    old = torch.tensor(np.concatenate([0 * log_std, log_std]))

    def kl(new: torch.Tensor) -> torch.Tensor:
        parts = [Normal(u.chunk(2)[0], u.chunk(2)[1].exp()) for u in (old, new)]
        return kl_divergence(*parts).sum()

    hessian: torch.Tensor = torch.autograd.functional.hessian(kl, old)
    return np.asarray(hessian.diag().numpy())

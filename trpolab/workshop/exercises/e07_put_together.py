"""One TRPO step, against a dense solve and a fine search along its direction."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from trpolab.own import vectors
from trpolab.workshop.attempt import Attempt
from trpolab.workshop.checks import Properties
from trpolab.workshop.compare import near

DELTA = 0.02


def trpo_step(attempt: Attempt) -> Properties:
    """θ + fraction·β·A⁻¹g, β from the dense matrix."""
    generator = torch.Generator().manual_seed(7)
    basis, _ = torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64))
    a = basis @ torch.diag(torch.tensor([1.0, 2.0, 3.0, 5.0, 8.0], dtype=torch.float64)) @ basis.T
    a, g, theta = (a + a.T) / 2, *(torch.randn(5, generator=generator, dtype=torch.float64) for _ in range(2))
    s = torch.linalg.solve(a, g)
    beta = math.sqrt(2 * DELTA / float(s @ g))
    full = theta + beta * s

    def quadratic(point: Tensor) -> float:
        return float(0.5 * (point - theta) @ a @ (point - theta)) * (1 - 1e-9)

    def problem(gain: Callable[[Tensor], float], kl: Callable[[Tensor], float] = quadratic) -> tuple[object, ...]:
        product = vectors(lambda v: a @ v, g, "product")
        return g, product, vectors(gain, theta, "surrogate"), vectors(kl, theta, "mean_kl"), theta, DELTA

    plain = theta + g * math.sqrt(2 * DELTA / float(g @ a @ g))
    mistakes = {
        "it goes along the plain gradient: A is not used for the direction": plain,
        "it goes along s with β = 1: the length is not chosen": theta + s,
        "it is the step alone: theta is missing": full - theta,
        "it goes downhill": theta - beta * s,
        "β lacks its factor 2": theta + beta / math.sqrt(2) * s,
        "β is taken from sᵀs, without A": theta + math.sqrt(2 * DELTA / float(s @ s)) * s,
        "it goes along Ag instead of A⁻¹g": theta + (a @ g) * math.sqrt(2 * DELTA / float((a @ g) @ a @ (a @ g))),
        "it stayed at theta: does its direction lead uphill?": theta,
    }

    def along(point: Tensor) -> float:
        return float((point - theta) @ (full - theta) / ((full - theta) @ (full - theta)))

    linear = problem(lambda point: float(g @ (point - theta)))
    first = attempt(*linear, like=theta)
    length = f"the direction is right, but the step is {along(first):.3g} times as long as it should be"
    mistakes[length] = theta + along(first) * (full - theta)
    yield "the full step, where model and truth agree", near(first, full, mistakes, 1e-4)

    def part(found: Tensor, least: float, most: float) -> str:
        fraction = along(found)
        if (found - theta - fraction * (full - theta)).norm() > 1e-4 * full.norm():
            return "it left the line of the step"
        fits = least <= fraction <= most + 1e-9  # `along` rounds
        return "" if fits else f"it took {fraction:.3g} of the step, where up to {most:.3g} passes"

    far = problem(lambda point: float(g @ (point - theta)), lambda point: 4 * quadratic(point))
    yield "a KL above δ shortens it", part(attempt(*far, like=theta), 0.1, 0.5)
    falls = problem(lambda point: along(point) - 2 * along(point) ** 2)
    yield "a surrogate that falls shortens it", part(attempt(*falls, like=theta), 0.05, 0.5)
    hopeless = problem(lambda point: -abs(along(point)))
    found = attempt(*hopeless, like=theta)
    yield "where nothing passes, theta stays", "" if torch.equal(found, theta) else "it moved all the same"

"""The natural policy gradient with a fixed step, and the plain policy gradient (Section 7)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from trpolab.numerics.threads import SERIAL, ThreadTeam
from trpolab.policies import Learner
from trpolab.sampling.batch import Batch
from trpolab.updates.gradient_step import Step, start
from trpolab.updates.methods.trpo import in_words, natural_direction, without_direction

if TYPE_CHECKING:
    from trpolab.training.config import Config


def natural_gradient_step(
    learner: Learner, batch: Batch, config: Config, generator: np.random.Generator, workers: ThreadTeam = SERIAL
) -> Step:
    """θ' = θ + (1/λ) A⁻¹g, however far that is: no rescaling to δ, no line search (Kakade, 2002).

    A⁻¹g is TRPO's direction, by the same conjugate gradient on the same share of the states.
    """
    begun = start(learner, batch, config, workers)
    if isinstance(begun, tuple):
        return begun
    cg = natural_direction(begun.problem, begun.g, config.trust, generator)
    begun = begun.noting(cg=cg)
    if (problems := without_direction(cg)) is not None:
        return begun.refuse(*problems)
    step = config.natural_gradient.step
    begun = begun.noting(step_curvature=cg.curvature, beta=step)
    theta = begun.problem.theta
    return begun.take(theta + (step * cg.x).to(theta.dtype), in_words(1.0, cg))


def policy_gradient_step(
    learner: Learner, batch: Batch, config: Config, generator: np.random.Generator, workers: ThreadTeam = SERIAL
) -> Step:
    """The best step for the linear model of L in a ball, ½‖θ' - θ‖² <= radius (Eq. 18), or a fixed multiple of g."""
    begun = start(learner, batch, config, workers)
    if isinstance(begun, tuple):
        return begun
    plain, theta = config.policy_gradient, begun.problem.theta
    length = plain.step
    if plain.rule == "ball":
        length = math.sqrt(2 * plain.radius) / float(begun.g.norm())  # Eq. 18
    return begun.noting(beta=length).take(theta + (length * begun.g).to(theta.dtype))


def factors_of_three(centre: float = 1.0, each_side: int = 4) -> tuple[float, ...]:
    """Steps to try, as the paper did (Section 8.1): centre · 3ᵏ for k = -each_side … each_side.

    >>> factors_of_three(1.0, 1)
    (0.3333333333333333, 1.0, 3.0)
    """
    return tuple(centre * 3.0**k for k in range(-each_side, each_side + 1))

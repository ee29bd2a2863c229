"""The natural policy gradient with a fixed step (Section 7; Kakade, 2002)."""

from __future__ import annotations

from dataclasses import dataclass

from trpolab.policies import Learner
from trpolab.sampling.batch import Batch
from trpolab.settings import Part, setting
from trpolab.updates.config import PRODUCTS
from trpolab.updates.gradient_step import damped_fisher, pose, solve, take
from trpolab.updates.method import Context, MethodKind, Step


@dataclass(frozen=True)
class NaturalGradient(Part):
    """Section 7: a fixed step along A⁻¹g, without rescaling and without a line search (Kakade, 2002)."""

    step: float = setting(
        1.0, "length of the step along A⁻¹g", symbol="1/λ", low=0, open_low=True, scale="log", shown=(1e-3, 10),
        source="Section 7",
    )  # fmt: skip


def natural_gradient_step(learner: Learner, batch: Batch, settings: NaturalGradient, context: Context) -> Step:
    """θ' = θ + (1/λ) A⁻¹g, the solution of Eq. 17 with a fixed 1/λ: no rescaling to δ, no line search."""
    problem = pose(learner, batch, context)
    cg = solve(damped_fisher(problem, context), problem.gradient(), context)  # A⁻¹g, as TRPO computes it
    context.note(step_curvature=cg.curvature, beta=settings.step)
    return take(learner, problem, problem.theta + (settings.step * cg.x).to(problem.theta.dtype), context)


def factors_of_three(centre: float = 1.0, each_side: int = 4) -> tuple[float, ...]:
    """Steps to try, as the paper did (Section 8.1): centre · 3ᵏ for k = -each_side … each_side.

    >>> factors_of_three(1.0, 1)
    (0.3333333333333333, 1.0, 3.0)
    """
    return tuple(centre * 3.0**k for k in range(-each_side, each_side + 1))


METHOD = MethodKind(
    name="natural_gradient",
    label="natural gradient",
    doc="a fixed step along A⁻¹g, no rescaling, no line search",
    source="Section 7; Kakade, 2002",
    settings=NaturalGradient,
    step=natural_gradient_step,
    reads=(*PRODUCTS, "trust.fisher"),
)

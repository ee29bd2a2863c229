"""The plain policy gradient (Eq. 18)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from trpolab.policies import Learner
from trpolab.sampling.batch import Batch
from trpolab.settings import Part, setting
from trpolab.updates.gradient_step import pose, take
from trpolab.updates.method import Context, MethodKind, Step


@dataclass(frozen=True)
class PolicyGradient(Part):
    """Eq. 18: the plain gradient, its step bounded in θ or fixed."""

    rule: str = setting(
        "ball", "step: to the edge of the ball ½‖θ' - θ‖² <= radius, or a fixed multiple of g",
        choices=("ball", "step"), source="Eq. 18",
    )  # fmt: skip
    radius: float = setting(
        0.02, "bound on ½‖θ' - θ‖²; it is no KL", low=0, open_low=True, scale="log", shown=(1e-5, 1), source="Eq. 18",
        needs=("policy_gradient.rule", ("ball",), "the step is fixed"),
    )  # fmt: skip
    step: float = setting(
        0.3, "θ' = θ + step · g", symbol="α", low=0, open_low=True, scale="log", shown=(1e-3, 10),
        needs=("policy_gradient.rule", ("step",), "the step goes to the edge of the ball"),
    )  # fmt: skip


def policy_gradient_step(learner: Learner, batch: Batch, settings: PolicyGradient, context: Context) -> Step:
    """The best step for the linear model of L in a ball, ½‖θ' - θ‖² <= radius (Eq. 18), or a fixed multiple of g."""
    problem = pose(learner, batch, context)
    g = problem.gradient()
    length = step_size(settings, g)
    context.note(beta=length)
    return take(learner, problem, problem.theta + (length * g).to(problem.theta.dtype), context)


def step_size(settings: PolicyGradient, g: Tensor) -> float:
    """By how much g [D] is multiplied."""
    if settings.rule == "ball":
        return math.sqrt(2 * settings.radius) / float(g.norm())  # Eq. 18
    return settings.step


METHOD = MethodKind(
    name="policy_gradient",
    label="policy gradient",
    doc="the plain gradient g, its step bounded in θ or fixed",
    source="Eq. 18",
    settings=PolicyGradient,
    step=policy_gradient_step,
)

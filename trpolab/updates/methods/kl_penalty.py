"""The penalty in place of the constraint: maximise L(θ) - C · mean KL(old‖θ) (Section 4, Eq. 9)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from trpolab.numerics import backtrack
from trpolab.policies import Learner
from trpolab.sampling.batch import Batch
from trpolab.settings import Part, setting
from trpolab.updates.config import BOUND, PRODUCTS
from trpolab.updates.diagnostics import Outcome, Refusal
from trpolab.updates.gradient_step import damped_fisher, pose, solve, take
from trpolab.updates.method import Context, MethodKind, PlannedRun, Step
from trpolab.updates.problem import Problem

STATE = "kl_penalty.C"  # the adaptive C for the next batch, in standard deviations of Q̂
BAND = 1.5  # a KL within [δ / BAND, δ · BAND] leaves C as it is
LEAST, MOST = 1e-6, 1e9  # of an adaptive C
FLAT = 1e-6  # an ascent that gains less than this share of what the first one did is the last


@dataclass(frozen=True)
class KLPenalty(Part):
    """Section 4: maximise L - C·KL(old‖new), C given, adapted, or as large as the theory asks."""

    coefficient: str = setting(
        "adaptive",
        "C: as given; halved and doubled so that the KL comes near δ; or the theory's 4εγ/(1-γ)²",
        choices=("fixed", "adaptive", "theory"),
        source="Eq. 9",
    )
    penalty: float = setting(
        1.0, "C if it is fixed; where an adaptive one starts, in standard deviations of Q̂", symbol="C", low=0,
        open_low=True, scale="log", shown=(0.1, 1000), source="Section 4",
        needs=("kl_penalty.coefficient", ("fixed", "adaptive"), "C is the theory's"),
    )  # fmt: skip
    ascents: int = setting(3, "most natural-gradient ascents on the penalised objective", low=1, shown=(1, 20))


def kl_penalty_step(learner: Learner, batch: Batch, settings: KLPenalty, context: Context) -> Step:
    """Climb L - C·KL from θ_old. An adaptive C is changed for the next batch; this step keeps the one it began with."""
    problem = pose(learner, batch, context)
    penalty = coefficient(learner, batch, settings, context.gamma)
    context.note(penalty=penalty)
    theta = climb(problem, penalty, settings.ascents, context)
    state = None
    if settings.coefficient == "adaptive":
        kl = math.inf if theta is problem.theta else problem.mean_kl(theta)
        state = {STATE: np.array([adapted(penalty / spread(batch), kl, context.trust.delta)])}
    if theta is problem.theta:
        why = "no step along A⁻¹g gained more surrogate than C · KL costs"
        raise Refusal(Outcome.REJECTED_LINE_SEARCH, why, state)
    message = f"the penalised objective was climbed with C = {penalty:.3g}"
    return take(learner, problem, theta, context, message=message, state=state)


def climb(problem: Problem, penalty: float, ascents: int, context: Context) -> Tensor:
    """θ [D] after natural-gradient ascents on L - C·KL with a line search, until it is flat or they are used up.

    Each ascent's full step is A⁻¹∇(L - C·KL) / C with A at the point reached. The first one is the optimum of the
    linear L and the quadratic KL: natural gradient with λ = C. Returns the very θ_old if no step gains.
    """

    def penalized(theta: Tensor) -> float:
        return problem.surrogate(theta) - penalty * problem.mean_kl(theta)

    theta, slope, first = problem.theta, problem.gradient(), 0.0  # at θ_old the KL has no slope
    for ascent in range(ascents):
        cg = solve(damped_fisher(problem, context, theta=theta), slope, context)
        full_step = (cg.x / penalty).to(theta.dtype)
        search = backtrack(penalized, lambda _: 0.0, theta, full_step, bound=math.inf, max_tries=20)
        context.note(search=search)
        if not search.accepted:
            break
        theta, first = search.x, first if ascent else search.last.gain
        if search.last.gain <= FLAT * first:
            break
        slope = problem.penalized_slope(theta, penalty)
    return theta


def coefficient(learner: Learner, batch: Batch, settings: KLPenalty, gamma: float) -> float:
    """C for this batch.

    The theory's is 4εγ/(1-γ)² with ε = max|A| (Theorem 1), in whatever units Q̂ has. Here L is a mean over states, not
    a sum with ρ's weight 1/(1-γ), so both are multiplied by 1 - γ. It is not the theorem's bound all the same: ε
    comes from samples, and the mean KL takes the place of the largest. An adaptive C follows the spread of Q̂, so that
    it suits rewards of any scale; a fixed one is as given, in the units of Q̂.
    """
    if settings.coefficient == "theory":
        advantages = batch.q_values - batch.q_values.mean()
        return 4 * float(np.abs(advantages).max()) * gamma / (1 - gamma)
    if settings.coefficient == "adaptive":
        return spread(batch) * float(learner.state[STATE][0] if STATE in learner.state else settings.penalty)
    return settings.penalty


def spread(batch: Batch) -> float:
    """The standard deviation of Q̂; 1 for the standardised advantages of single paths."""
    return float(batch.q_values.std())


def adapted(penalty: float, kl: float, delta: float) -> float:
    """The next C: doubled after a KL above 1.5 δ (or no step), halved after one below δ / 1.5."""
    if not kl <= BAND * delta:
        penalty *= 2
    elif kl < delta / BAND:
        penalty /= 2
    return min(max(penalty, LEAST), MOST)


def problems(settings: KLPenalty, plan: PlannedRun) -> list[str]:
    """The theory's C needs γ < 1."""
    if settings.coefficient == "theory" and plan.gamma >= 1:
        return ["kl_penalty.coefficient = 'theory': C = 4εγ/(1-γ)² has no value at gamma = 1; give a gamma < 1"]
    return []


METHOD = MethodKind(
    name="kl_penalty",
    label="KL penalty",
    doc="maximise L - C · mean KL(old‖new)",
    source="Section 4, Eq. 9",
    settings=KLPenalty,
    step=kl_penalty_step,
    reads=(*BOUND, *PRODUCTS, "trust.fisher"),
    problems=problems,
)

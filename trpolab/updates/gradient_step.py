"""What methods that follow the surrogate's gradient are made of.

Each function does one thing of Section 6 and Appendix C, notes what it measures in the context, and raises `Refusal`
where θ must stay as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from trpolab.numerics import CGResult, CGStatus, LineSearchResult, backtrack, conjugate_gradient
from trpolab.numerics.arrays import FAINT
from trpolab.numerics.device import device_for
from trpolab.policies import Learner
from trpolab.sampling.batch import Batch
from trpolab.updates.checks import unusable
from trpolab.updates.diagnostics import Diagnostics, Outcome, Refusal
from trpolab.updates.fisher import Product, damped
from trpolab.updates.method import Context, Step
from trpolab.updates.own_parts import own_solution, own_theta
from trpolab.updates.problem import Problem

ZERO_GRADIENT = 1e-8  # ‖g‖ in units of the largest |Q̂|: below, it is float32 rounding
CG_TOLERANCE = 1e-10  # relative, squared (modular_rl, Schulman's own code, stops at rᵀr < 1e-10)


def pose(learner: Learner, batch: Batch, context: Context) -> Problem:
    """The batch's problem: maximise L(θ) subject to KL(old‖θ) <= δ, with its gradient at θ_old known.

    Raises Refusal if nothing can be learned from the batch, and ValueError if another policy collected it.
    """
    if (reason := unusable(learner.policy, batch)) is not None:
        raise Refusal(*reason)
    problem = Problem(learner.policy, batch, device_for(context.device), context.threads, context.features, context.own)
    gradient = problem.gradient()
    norm = float(gradient.norm())
    context.note(entropy=problem.entropy(), gradient_norm=norm, gradient=gradient)
    if not math.isfinite(norm):
        raise Refusal(Outcome.SKIPPED_NONFINITE, "the gradient of the surrogate is not finite")
    largest = float(np.abs(batch.q_values).max())
    if norm <= ZERO_GRADIENT * largest:
        why = "" if largest else f": all advantages are 0 (those within {FAINT:g} of each other count as equal)"
        raise Refusal(
            Outcome.SKIPPED_ZERO_GRADIENT, f"the gradient of the surrogate is zero, no action looks better{why}"
        )
    return problem


def damped_fisher(problem: Problem, context: Context, kind: str | None = None, theta: Tensor | None = None) -> Product:
    """v ↦ (A + damping·I) v with A on a random `fisher_fraction` of the states (App. C.1).

    A is of the kind `trust.fisher` and taken at θ_old, unless another kind or `theta` [D] is given.
    """
    trust = context.trust
    kind = trust.fisher if kind is None else kind
    return damped(problem.fisher(trust.fisher_fraction, context.generator, kind, theta), trust.damping)


def solve(product: Product, b: Tensor, context: Context) -> CGResult:
    """x ≈ A⁻¹b [D] by `cg_iterations` of conjugate gradient, A given as the product v ↦ Av (App. C.1).

    Raises Refusal if a product is not finite.
    """
    solver = conjugate_gradient if context.own.conjugate_gradient is None else partial(own_solution, context.own)
    cg = solver(product, b, iterations=context.trust.cg_iterations, tolerance=CG_TOLERANCE)
    context.note(cg=cg)
    if cg.status is CGStatus.NONFINITE:
        raise Refusal(Outcome.SKIPPED_NONFINITE, "a Fisher-vector product is not finite")
    return cg


def step_length(delta: float, curvature: float) -> float:
    """β = √(2δ / sᵀAs): the step β·s spends δ of the KL's quadratic model (App. C). NaN unless sᵀAs > 0."""
    return math.sqrt(2 * delta / curvature) if curvature > 0 else math.nan


def full_step(cg: CGResult, context: Context, curvature: float | None = None) -> Tensor:
    """βs [D] with β = √(2δ / sᵀAs), which spends δ of the KL's quadratic model (App. C).

    sᵀAs is CG's by-product, damping included, unless a `curvature` is given. Raises Refusal if it gives no β.
    """
    curvature = cg.curvature if curvature is None else curvature
    beta = step_length(context.trust.delta, curvature)
    if not math.isfinite(beta):
        why = f"sᵀAs = {curvature:g} after {cg.iterations} CG iterations gives no step length; more damping may help"
        raise Refusal(Outcome.REJECTED_NONPOSITIVE_CURVATURE, why)
    context.note(step_curvature=curvature, beta=beta)
    return beta * cg.x


def line_search(problem: Problem, step: Tensor, kl: Callable[..., float], context: Context) -> tuple[Tensor, float]:
    """θ' [D] and which fraction of the step [D] leads there: the first with KL <= δ and a gain in L (App. C).

    `kl` is the problem's `mean_kl` or `max_kl`. If `line_search` is off, that is the full step. Raises Refusal if all
    trials fail.
    """
    trust, step = context.trust, step.to(problem.theta.dtype)
    context.note(full_step=step)
    if not trust.line_search:
        return problem.theta + step, 1.0
    if context.own.line_search is not None:
        theta = own_theta(context.own, "line_search", problem, step.double(), trust.delta)
        return theta, float((theta - problem.theta) @ step) / float(step @ step)
    search = backtrack(
        partial(problem.surrogate, bound=trust.delta), partial(kl, bound=trust.delta), problem.theta, step,
        bound=trust.delta, shrink=trust.shrink, max_tries=trust.max_tries,
    )  # fmt: skip
    context.note(search=search)
    if not search.accepted:
        raise Refusal(Outcome.REJECTED_LINE_SEARCH, why_rejected(search, trust.delta))
    return search.x, search.last.fraction


def take(
    learner: Learner,
    problem: Problem,
    theta: Tensor,
    context: Context,
    fraction: float = 1.0,
    message: str = "",
    state: dict[str, Any] | None = None,
) -> Step:
    """The learner at θ' [D], `fraction` of a full step away, with the method's `state` if it has one.

    Raises Refusal if θ', the surrogate or the KL there is not finite.
    """
    reached, start = problem.evaluate(theta), problem.evaluate(problem.theta)
    if not (bool(theta.isfinite().all()) and math.isfinite(reached.surrogate) and math.isfinite(reached.kl_mean)):
        why = "the new parameters, or the surrogate or KL there, are not finite"
        raise Refusal(Outcome.SKIPPED_NONFINITE, why, state)
    policy = learner.policy.with_theta(theta.to(learner.policy.theta.device))
    said = [message or in_words(fraction, context.notes.get("cg"))]
    if clamped := policy.clamped():
        said.append(f"{clamped} of {policy.distribution.own_parameters} log σ stand on their bounds")
    return learner.replace(policy=policy, state=learner.state if state is None else state), Diagnostics(
        Outcome.ACCEPTED if fraction == 1 else Outcome.ACCEPTED_AFTER_BACKTRACK,
        "; ".join(said),
        surrogate_gain=reached.surrogate - start.surrogate,
        expected_gain=float((problem.gradient() * (theta - problem.theta)).sum()),
        kl_mean=reached.kl_mean,
        kl_max=reached.kl_max,
        step_fraction=fraction,
        **context.notes,
    )


def why_rejected(search: LineSearchResult, delta: float) -> str:
    """What the trials of a rejected line search failed on, counted."""
    trials = search.trials
    # a gain that was not asked for, the KL being above δ, is no trouble
    nonfinite = sum(
        not (math.isfinite(t.constraint) and (math.isfinite(t.gain) or t.constraint > delta)) for t in trials
    )
    worse = sum(t.gain <= 0 for t in trials)
    far = sum(t.constraint > delta for t in trials)
    return (
        f"none of {len(trials)} trials passed: the surrogate did not gain in {worse}, "
        f"the KL was above δ = {delta:g} in {far}, a value was not finite in {nonfinite}"
    )


def in_words(fraction: float, cg: CGResult | None = None) -> str:
    """An accepted step in a sentence, and whether CG ended early."""
    text = "the full step was taken" if fraction == 1 else f"{fraction:.3g} of the full step was taken"
    if cg is not None and cg.status is CGStatus.NONPOSITIVE_CURVATURE:
        return f"{text}; CG met no positive curvature after {cg.iterations} iterations and kept what it had"
    return text

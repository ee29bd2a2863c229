"""The TRPO update: natural direction by conjugate gradient, step length, line search (Section 6, Appendix C)."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from trpolab.numerics import CGResult, CGStatus, LineSearchResult, backtrack, conjugate_gradient
from trpolab.numerics.threads import SERIAL, ThreadTeam
from trpolab.policies import Learner
from trpolab.sampling.batch import Batch
from trpolab.updates.config import TrustRegion
from trpolab.updates.diagnostics import Outcome
from trpolab.updates.fisher import damped
from trpolab.updates.gradient_step import Step, start
from trpolab.updates.problem import Problem, step_length

if TYPE_CHECKING:
    from trpolab.training.config import Config

CG_TOLERANCE = 1e-10  # relative, squared (modular_rl, Schulman's own code, stops at rᵀr < 1e-10)


def trust_region_step(
    learner: Learner,
    batch: Batch,
    config: Config,
    generator: np.random.Generator,
    workers: ThreadTeam = SERIAL,
    *,
    metric: str = "analytic",
    bounded: str = "mean",
) -> Step:
    """One update. `generator` draws the states of the Fisher products.

    The gradient, the surrogate and the KL test use the full batch. β comes from the *damped* sᵀAs, a by-product of CG:
    with damping the quadratic model of the KL stays below δ. Any outcome but an accepted one returns `learner` itself.
    Numerical trouble is an outcome; ValueError only if the batch was collected by another policy.

    `metric="empirical"` takes A from the scores of the sampled actions (Section 6). `bounded="max"` is Eq. 11: the
    largest KL of a sampled state stays below δ. The paper does not say how it solved that; here the direction is
    TRPO's, β spends δ in the state that the direction moves most, and the line search tests that state's KL.
    """
    trust = config.trust
    begun = start(learner, batch, config, workers)
    if isinstance(begun, tuple):
        return begun
    problem = begun.problem

    # which way: s ≈ A⁻¹g
    cg = natural_direction(problem, begun.g, trust, generator, "empirical" if metric == "empirical" else trust.fisher)
    begun = begun.noting(cg=cg)
    if (problems := without_direction(cg)) is not None:
        return begun.refuse(*problems)

    # how long: the full step spends δ of the KL's quadratic model
    curvature = cg.curvature
    if bounded == "max":
        curvature = problem.largest_curvature(cg.x) + trust.damping * float(cg.x @ cg.x)
    beta = step_length(trust.delta, curvature)
    if not math.isfinite(beta):
        why = f"sᵀAs = {curvature:g} after {cg.iterations} CG iterations gives no step length; more damping may help"
        return begun.refuse(Outcome.REJECTED_NONPOSITIVE_CURVATURE, why)
    begun = begun.noting(step_curvature=curvature, beta=beta)
    full_step = (beta * cg.x).to(problem.theta.dtype)

    # how much of it
    if not trust.line_search:
        return begun.take(problem.theta + full_step, in_words(1.0, cg))
    kl = problem.max_kl if bounded == "max" else problem.mean_kl
    search = backtrack(
        partial(problem.surrogate, bound=trust.delta), partial(kl, bound=trust.delta), problem.theta, full_step,
        bound=trust.delta, shrink=trust.shrink, max_tries=trust.max_tries,
    )  # fmt: skip
    begun = begun.noting(search=search)
    if not search.accepted:
        return begun.refuse(Outcome.REJECTED_LINE_SEARCH, why_rejected(search, trust.delta))
    return begun.take(search.x, in_words(search.last.fraction, cg), search.last.fraction)


def natural_direction(
    problem: Problem, g: Tensor, trust: TrustRegion, generator: np.random.Generator, kind: str | None = None
) -> CGResult:
    """s ≈ (A + damping·I)⁻¹ g, with A on a random `fisher_fraction` of the states; its `kind` is the config's."""
    product = problem.fisher(trust.fisher_fraction, generator, kind or trust.fisher)
    return conjugate_gradient(damped(product, trust.damping), g, iterations=trust.cg_iterations, tolerance=CG_TOLERANCE)


def without_direction(cg: CGResult) -> tuple[Outcome, str] | None:
    """Why there is no natural direction to go along; None if there is one."""
    if cg.status is CGStatus.NONFINITE:
        return Outcome.SKIPPED_NONFINITE, "a Fisher-vector product is not finite"
    return None


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


def in_words(fraction: float, cg: CGResult) -> str:
    """An accepted step in a sentence, with what a person should know about it."""
    text = "the full step was taken" if fraction == 1 else f"{fraction:.3g} of the full step was taken"
    if cg.status is CGStatus.NONPOSITIVE_CURVATURE:
        return f"{text}; CG met no positive curvature after {cg.iterations} iterations and kept what it had"
    return text

"""The TRPO update: natural direction by conjugate gradient, step length, line search (Section 6, Appendix C)."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from trpolab.numerics import CGResult, CGStatus, LineSearchResult, backtrack, conjugate_gradient
from trpolab.numerics.workers import SERIAL, Workers
from trpolab.policies import Learner, Policy
from trpolab.sampling.batch import Batch
from trpolab.updates.checks import unusable
from trpolab.updates.config import TrustRegion
from trpolab.updates.diagnostics import Diagnostics, Outcome
from trpolab.updates.fisher import damped
from trpolab.updates.problem import Problem, step_length

if TYPE_CHECKING:
    from trpolab.training.config import Config

CG_TOLERANCE = 1e-10  # relative, squared (modular_rl, Schulman's own code, stops at rᵀr < 1e-10)
ZERO_GRADIENT = 1e-8  # ‖g‖ in units of the largest |Q̂|: below, it is float32 rounding


def trust_region_step(
    learner: Learner, batch: Batch, config: Config, generator: np.random.Generator, workers: Workers = SERIAL
) -> tuple[Learner, Diagnostics]:
    """One update. `generator` draws the states of the Fisher products.

    The gradient, the surrogate and the KL test use the full batch. β comes from the *damped* sᵀAs, a by-product of CG:
    with damping the quadratic model of the KL stays below δ. Any outcome but an accepted one returns `learner` itself.
    Numerical trouble is an outcome; ValueError only if the batch was collected by another policy.
    """
    trust = config.trust
    if (reason := unusable(learner.policy, batch)) is not None:
        return learner, Diagnostics(*reason)
    problem = Problem(learner.policy, batch, device_for(config.device), workers)
    so_far = Diagnostics(Outcome.ACCEPTED, "the full step was taken", entropy=problem.entropy())

    def refuse(outcome: Outcome, message: str) -> tuple[Learner, Diagnostics]:
        return learner, dataclasses.replace(so_far, outcome=outcome, message=message)

    # which way: s ≈ A⁻¹g
    g = problem.gradient()
    start = problem.evaluate(problem.theta)
    norm = float(g.norm())
    so_far = dataclasses.replace(so_far, gradient_norm=norm)
    if not math.isfinite(norm):
        return refuse(Outcome.SKIPPED_NONFINITE, "the gradient of the surrogate is not finite")
    if norm <= ZERO_GRADIENT * float(np.abs(batch.q_values).max()):
        return refuse(Outcome.SKIPPED_ZERO_GRADIENT, "the gradient of the surrogate is zero: no action looks better")
    cg = natural_direction(problem, g, trust, generator)
    so_far = dataclasses.replace(so_far, cg=cg)
    if cg.status is CGStatus.NONFINITE:
        return refuse(Outcome.SKIPPED_NONFINITE, "a Fisher-vector product is not finite")

    # how long: the full step spends δ of the KL's quadratic model
    beta = step_length(trust.delta, cg.curvature)
    if not math.isfinite(beta):
        why = f"sᵀAs = {cg.curvature:g} after {cg.iterations} CG iterations gives no step length; more damping may help"
        return refuse(Outcome.REJECTED_NONPOSITIVE_CURVATURE, why)
    so_far = dataclasses.replace(so_far, step_curvature=cg.curvature, beta=beta)
    full_step = (beta * cg.x).to(problem.theta.dtype)

    # how much of it
    if trust.line_search:
        search = backtrack(
            problem.surrogate, problem.mean_kl, problem.theta, full_step,
            bound=trust.delta, shrink=trust.shrink, max_tries=trust.max_tries,
        )  # fmt: skip
        so_far = dataclasses.replace(so_far, search=search)
        if not search.accepted:
            return refuse(Outcome.REJECTED_LINE_SEARCH, why_rejected(search, trust.delta))
        theta, fraction = search.x, search.last.fraction
    else:
        theta, fraction = problem.theta + full_step, 1.0
    reached = problem.evaluate(theta)
    finite = bool(theta.isfinite().all()) and math.isfinite(reached.surrogate) and math.isfinite(reached.kl_mean)
    if not finite:
        return refuse(Outcome.SKIPPED_NONFINITE, "the new parameters, or the surrogate or KL there, are not finite")

    policy = learner.policy.with_theta(theta.to(learner.policy.theta.device))
    return learner.replace(policy=policy), dataclasses.replace(
        so_far,
        outcome=Outcome.ACCEPTED if fraction == 1 else Outcome.ACCEPTED_AFTER_BACKTRACK,
        message=in_words(fraction, cg, policy),
        surrogate_gain=reached.surrogate - start.surrogate,
        expected_gain=fraction * float((g * full_step).sum()),
        kl_mean=reached.kl_mean,
        kl_max=reached.kl_max,
        step_fraction=fraction,
    )


def natural_direction(problem: Problem, g: Tensor, trust: TrustRegion, generator: np.random.Generator) -> CGResult:
    """s ≈ (A + damping·I)⁻¹ g, with A on a random `fisher_fraction` of the constraint states."""
    product = problem.fisher(trust.fisher_fraction, generator, trust.fisher)
    return conjugate_gradient(damped(product, trust.damping), g, iterations=trust.cg_iterations, tolerance=CG_TOLERANCE)


def device_for(name: str) -> str:
    """`auto` is CUDA where there is one. Raises ValueError if CUDA was asked for and there is none."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device = 'cuda': torch finds no CUDA device here; use 'cpu' or 'auto'")
    return name


def why_rejected(search: LineSearchResult, delta: float) -> str:
    """What the trials of a rejected line search failed on, counted."""
    trials = search.trials
    nonfinite = sum(not (math.isfinite(t.gain) and math.isfinite(t.constraint)) for t in trials)
    worse = sum(t.gain <= 0 for t in trials)
    far = sum(t.constraint > delta for t in trials)
    return (
        f"none of {len(trials)} trials passed: the surrogate did not gain in {worse}, "
        f"the KL was above δ = {delta:g} in {far}, a value was not finite in {nonfinite}"
    )


def in_words(fraction: float, cg: CGResult, policy: Policy) -> str:
    """An accepted step in a sentence, with what a person should know about it."""
    parts = ["the full step was taken" if fraction == 1 else f"{fraction:.3g} of the full step was taken"]
    if cg.status is CGStatus.NONPOSITIVE_CURVATURE:
        parts.append(f"CG met no positive curvature after {cg.iterations} iterations and kept what it had")
    if clamped := policy.clamped():
        parts.append(f"{clamped} of {policy.distribution.own_parameters} log σ stand on their bounds")
    return "; ".join(parts)

"""The penalty in place of the constraint: maximise L(θ) - C · mean KL(old‖θ) (Section 4, Eq. 9)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from trpolab.numerics import CGResult, backtrack, conjugate_gradient
from trpolab.numerics.threads import SERIAL, ThreadTeam
from trpolab.policies import Learner
from trpolab.sampling.batch import Batch
from trpolab.updates.diagnostics import Outcome
from trpolab.updates.fisher import damped
from trpolab.updates.gradient_step import Start, Step, start
from trpolab.updates.methods.trpo import CG_TOLERANCE, without_direction

if TYPE_CHECKING:
    from trpolab.training.config import Config

STATE = "kl_penalty.C"  # the adaptive C for the next batch
BAND = 1.5  # a KL within [δ / BAND, δ · BAND] leaves C as it is
LEAST, MOST = 1e-6, 1e9  # of an adaptive C
FLAT = 1e-6  # an ascent that gains less than this share of what the first one did is the last


def kl_penalty_step(
    learner: Learner, batch: Batch, config: Config, generator: np.random.Generator, workers: ThreadTeam = SERIAL
) -> Step:
    """Climb L - C·KL from θ_old by natural-gradient ascents with a line search, until it is flat or they are used up.

    Each ascent's full step is A⁻¹∇(L - C·KL) / C with A at the point reached. The first one is the optimum of the
    linear L and the quadratic KL: natural gradient with λ = C. An adaptive C is doubled after a KL above 1.5 δ, halved
    after one below δ / 1.5, and kept in the learner's state; it does not change a step that was taken.
    """
    begun = start(learner, batch, config, workers)
    if isinstance(begun, tuple):
        return begun
    settings, trust, problem = config.kl_penalty, config.trust, begun.problem
    penalty = coefficient(learner, batch, config)
    begun = begun.noting(penalty=penalty)

    def penalized(theta: Tensor) -> float:
        return problem.surrogate(theta) - penalty * problem.mean_kl(theta)

    theta, slope, first = problem.theta, begun.g, 0.0  # at θ_old the KL has no slope
    for ascent in range(settings.ascents):
        product = damped(problem.fisher(trust.fisher_fraction, generator, trust.fisher, theta), trust.damping)
        cg = conjugate_gradient(product, slope, iterations=trust.cg_iterations, tolerance=CG_TOLERANCE)
        if (problems := without_direction(cg)) is not None:
            return begun.refuse(*problems)
        full_step = (cg.x / penalty).to(theta.dtype)
        search = backtrack(penalized, lambda _: 0.0, theta, full_step, bound=math.inf, max_tries=20)
        if ascent == 0:
            begun, first = begun.noting(cg=cg, search=search), search.last.gain
        if not search.accepted:
            break
        theta = search.x
        if search.last.gain <= FLAT * first:
            break
        slope = problem.penalized_slope(theta, penalty)
    return _adapted(_finish(begun, theta, cg), penalty, config)


def coefficient(learner: Learner, batch: Batch, config: Config) -> float:
    """C for this batch.

    The theory's is 4εγ/(1-γ)² with ε = max|A| (Theorem 1), in whatever units Q̂ has. Here L is a mean over states, not
    a sum with ρ's weight 1/(1-γ), so both are multiplied by 1 - γ. It stays a caricature of the theorem: ε comes from
    samples, and the mean KL stands for the largest.
    """
    settings = config.kl_penalty
    if settings.coefficient == "theory":
        advantages = batch.q_values - batch.q_values.mean()
        return 4 * float(np.abs(advantages).max()) * config.gamma / (1 - config.gamma)
    if settings.coefficient == "adaptive" and STATE in learner.state:
        return float(learner.state[STATE][0])
    return settings.penalty


def _finish(begun: Start, theta: Tensor, cg: CGResult) -> Step:
    if theta is begun.problem.theta:
        return begun.refuse(Outcome.REJECTED_LINE_SEARCH, "no step along A⁻¹g gained more surrogate than C · KL costs")
    return begun.take(theta, f"the penalised objective was climbed with C = {begun.measured.penalty:.3g}")


def _adapted(done: Step, penalty: float, config: Config) -> Step:
    """The next C in the state, where C is adaptive."""
    learner, diagnostics = done
    if config.kl_penalty.coefficient != "adaptive":
        return done
    kl, delta = diagnostics.kl_mean, config.trust.delta
    if kl is None or kl > BAND * delta:
        penalty *= 2
    elif kl < delta / BAND:
        penalty /= 2
    return learner.replace(state={STATE: np.array([min(max(penalty, LEAST), MOST)])}), diagnostics

"""Exact updates under a KL: Algorithm 1's penalty, the constraints of Eq. 11 and Eq. 12, and TRPO's own step.

Policies are soft-max tables, one logit for each state and action: every policy whose probabilities are positive is one,
so solving over policies and solving over θ is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from trpolab.numerics import backtrack
from trpolab.numerics.roots import increasing_roots
from trpolab.simulators.finite_mdp import FiniteMDP
from trpolab.theory.bounds import mean_kl_bound, penalty_constant
from trpolab.theory.divergences import mean_kl
from trpolab.theory.steps import Step, step_to
from trpolab.theory.surrogate import local_model
from trpolab.theory.tilting import Curves, Rising, Tilt, quietly
from trpolab.theory.values import Values, checked, evaluate, softmax

Along = Callable[[float, Tilt | None], Tilt]  # the points at x, which rises along all curves; near these
TOLERANCE = 1e-8  # of the condition for the optimum, relative; the optimum itself is then off by its square


@quietly
def algorithm_1_step(mdp: FiniteMDP, policy: np.ndarray) -> Step:
    """Algorithm 1: maximise M(π̃) = L_π(π̃) - C max_s KL(π‖π̃), C = 4εγ/(1-γ)², over all policies; solved exactly.

    At the optimum every state has the same KL d, and C = Σ_s ρ(s) μ_s(d), where μ_s is the gain in L per unit of KL in
    state s. By Eq. 10, η rises at least as much as M. Raises ValueError for a policy that never takes some action, and
    for γ = 1.
    """
    values = evaluate(mdp, policy)
    curves, penalty = Curves.of(mdp, policy, values), penalty_constant(mdp.gamma, values.epsilon)
    slope = float(curves.weights @ curves.spread)
    if not slope > 0:
        return step_to(mdp, checked(mdp, policy), checked(mdp, policy), guaranteed=values.eta)
    goal, log_weights = math.log(penalty), np.log(curves.weights)

    def slackness(tilt: Tilt) -> tuple[np.ndarray, np.ndarray]:
        total, rate = _log_sum(log_weights + tilt.log_multiplier, tilt.multiplier_slope / tilt.kl_slope)
        return goal - total, -rate

    small_step = 2 * math.log(slope / penalty) - math.log(2)  # exact for small steps: μ = σ / √(2d)
    log_distance, reached, residual = _balanced(curves, curves.at_kl, slackness, small_step)
    distance = math.exp(log_distance)
    surrogate = values.eta + float(curves.weights @ (reached.policy * curves.a).sum(1))  # states without a curve stay
    return step_to(mdp, curves.whole, curves.filled(reached), surrogate - penalty * distance, residual)


def max_kl_step(mdp: FiniteMDP, policy: np.ndarray, delta: float) -> Step:
    """Eq. 11: maximise L_π(π̃) subject to max_s KL(π‖π̃) <= δ, exactly: every state spends δ.

    Raises ValueError for δ <= 0 and for a policy that never takes some action.
    """
    values = evaluate(mdp, policy)
    curves = _curves(mdp, policy, values, delta)
    if not len(curves):
        return step_to(mdp, curves.whole, curves.whole)
    reached = curves.at_kl(math.log(delta))
    residual = float(np.abs(reached.log_kl - math.log(delta))[reached.log_y < curves.last].max(initial=0.0))
    return _constrained(mdp, curves.whole, curves.filled(reached), residual)


@quietly
def mean_kl_step(mdp: FiniteMDP, policy: np.ndarray, delta: float) -> Step:
    """Eq. 12 and 13: maximise L_π(π̃) subject to the mean of KL(π‖π̃) over s ~ ρ_π <= δ, exactly.

    At the optimum the gain in L per unit of KL is the same in every state. Raises as `max_kl_step`.
    """
    values = evaluate(mdp, policy)
    curves = _curves(mdp, policy, values, delta)
    weights = values.state_weights[curves.rows]
    if not (weights > 0).any():
        return step_to(mdp, curves.whole, curves.whole)
    goal, log_weights = math.log(delta), np.log(weights)
    small_step = -0.5 * float(np.log(weights @ curves.spread**2 / (2 * delta)))  # KL = ½(σ/μ)² for small steps

    def spent(tilt: Tilt) -> tuple[np.ndarray, np.ndarray]:
        total, rate = _log_sum(log_weights + tilt.log_kl, -tilt.kl_slope / tilt.multiplier_slope)
        return total - goal, rate

    _, reached, residual = _balanced(curves, lambda x, near: curves.at_multiplier(-x, near), spent, small_step)
    return _constrained(mdp, curves.whole, curves.filled(reached), residual)


def trpo_step(mdp: FiniteMDP, policy: np.ndarray, delta: float, *, shrink: float = 0.5, max_tries: int = 20) -> Step:
    """TRPO's step (Appendix C) with exact expectations: natural direction, β = √(2δ/sᵀAs), line search on L and KL.

    In the logits of a soft-max table A⁻¹g is the advantage itself, so no conjugate gradient is needed. If no trial is
    accepted, the policy stays. Raises as `max_kl_step`.
    """
    values = evaluate(mdp, policy)
    curves = _curves(mdp, policy, values, delta)
    pi = curves.whole
    direction = values.advantages * mdp.living[:, None]
    curvature = float(values.state_weights @ (pi * direction**2).sum(1))  # sᵀAs; E_π[A] = 0
    if not (len(curves) and curvature > 0):
        return step_to(mdp, pi, pi)
    with np.errstate(divide="ignore"):
        start = np.where(mdp.living[:, None], np.log(pi), 0.0)
    found = backtrack(
        lambda logits: local_model(mdp, pi, softmax(logits.numpy())),
        lambda logits: mean_kl(mdp, pi, softmax(logits.numpy())),
        torch.from_numpy(start),
        torch.from_numpy(math.sqrt(2 * delta / curvature) * direction),
        bound=delta,
        shrink=shrink,
        max_tries=max_tries,
    )
    return _constrained(mdp, pi, softmax(found.x.numpy()) if found.accepted else pi)


def _curves(mdp: FiniteMDP, policy: np.ndarray, values: Values, delta: float) -> Curves:
    if not (delta > 0 and math.isfinite(delta)):
        raise ValueError(f"delta = {delta}: must be above 0")
    return Curves.of(mdp, policy, values)


def _log_sum(log_parts: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log Σ of parts [S] that change with these slopes of their logs, and the sum's own: [1] each."""
    total = np.logaddexp.reduce(log_parts, keepdims=True)
    return total, np.sum(np.exp(log_parts - total) * slopes, keepdims=True)


def _balanced(curves: Curves, at: Along, rising: Rising, guess: float) -> tuple[float, Tilt, float]:
    """The x at which `rising` is 0, the points at x, and the relative error.

    Where it stays below 0 up to the ends of all curves, these are the points.
    """
    tilt: Tilt | None = None

    def miss(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal tilt
        tilt = at(float(x[0]), tilt)
        value, slope = rising(tilt)
        return np.where((tilt.log_y >= curves.last).all() & (value < 0), 0.0, value), slope

    found = increasing_roots(miss, np.array([guess]), tolerance=TOLERANCE)
    x = float(found.x[0])
    return x, at(x, tilt), found.residual


def _constrained(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray, residual: float = 0.0) -> Step:
    """A step with the guarantee of Achiam et al. (2017), by the mean KL; NaN for γ = 1, for which there is none."""
    promise = mean_kl_bound(mdp, old, new).bound if mdp.gamma < 1 else math.nan
    return step_to(mdp, old, new, guaranteed=promise, residual=residual)

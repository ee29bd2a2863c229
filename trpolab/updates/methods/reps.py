"""Relative entropy policy search in its episodic form, over θ (Peters, Mülling and Altun, 2010; Section 7)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trpolab.numerics.roots import NoConvergence
from trpolab.policies import Learner
from trpolab.sampling.population import Population
from trpolab.settings import Part, setting
from trpolab.updates.method import Context, MethodKind, PlannedRun, Step
from trpolab.updates.population_search import SAMPLERS, move_to, refuse_useless, start_mean

MEAN, COVARIANCE = "reps.mean", "reps.covariance"
FLOOR = 1e-6  # share of the mean variance added to the diagonal: few candidates leave directions without variance


@dataclass(frozen=True)
class RelativeEntropy(Part):
    """Relative entropy policy search, episodic, over θ (Peters et al., 2010); for small policies."""

    population: int = setting(40, "candidates an iteration; more than parameters", low=3, shown=(10, 200))
    epsilon: float = setting(
        0.4, "bound on the KL between the reweighted candidates and those drawn", symbol="ε", low=0, open_low=True,
        scale="log", shown=(0.05, 3), source="Section 7",
    )  # fmt: skip
    std: float = setting(
        1.0, "standard deviation of every parameter at the start", low=0, open_low=True, scale="log", shown=(0.01, 10),
    )  # fmt: skip
    episodes: int = setting(1, "episodes that judge a candidate", low=1, shown=(1, 10))


@dataclass(frozen=True, eq=False)
class Reweighting:
    """The sample distribution that gains most within ε of the one drawn from."""

    weights: np.ndarray  # [P], summing to 1
    temperature: float  # η, the multiplier of the KL constraint
    kl: float  # KL(weights‖uniform)


def reps_candidates(learner: Learner, settings: RelativeEntropy, context: Context) -> np.ndarray:
    """P draws [P, D] from the search distribution, a Gaussian with a full covariance matrix."""
    mean, covariance = _distribution(learner, settings)
    noise = context.generator.standard_normal((settings.population, len(mean)))
    return mean + noise @ np.linalg.cholesky(covariance).T


def reps_step(learner: Learner, population: Population, settings: RelativeEntropy, context: Context) -> Step:
    """Reweight the candidates within KL ε of what was drawn, then fit the search distribution to them.

    The fit is weighted maximum likelihood, its covariance freed of the bias of few weights. The policy stands at the
    mean.
    """
    refuse_useless(population)
    finite = np.isfinite(population.returns)
    found = reweight(population.returns[finite], settings.epsilon)
    candidates = population.candidates[finite]
    mean = found.weights @ candidates
    around = candidates - mean
    unbiased = max(1 - float(np.square(found.weights).sum()), 1e-3)
    covariance = (found.weights[:, None] * around).T @ around / unbiased
    variance = float(np.diag(covariance).mean())
    covariance += FLOOR * variance * np.eye(len(mean))
    effective = 1 / float(np.square(found.weights).sum())
    message = f"candidates count as {effective:.1f} of {len(candidates)} after a KL of {found.kl:.3g}"
    return move_to(learner, mean, {MEAN: mean, COVARIANCE: covariance}, math.sqrt(variance), message)


def reweight(returns: np.ndarray, epsilon: float) -> Reweighting:
    """w ∝ exp(R/η) [P], η the minimum of the dual ηε + η log((1/P) Σ exp(R/η)), at which KL(w‖uniform) = ε.

    The dual's slope is ε - KL, and the KL falls as η rises, so bisection finds it. Where even the best candidates alone
    are within ε, they share the weight. Raises NoConvergence where the KL does not come to ε.
    """
    advantage = returns - returns.max()
    count, best = len(returns), int((advantage == 0).sum())
    if math.log(count / best) <= epsilon:
        return Reweighting((advantage == 0) / best, 0.0, math.log(count / best))
    power = math.frexp(advantage.min())[1]
    advantage = np.ldexp(advantage, -power)  # exact, and no product of temperatures leaves the range of numbers
    spread, gap = -advantage.min(), -advantage[advantage < 0].max()
    low, high = min(1e-12 * spread, gap / 1000), max(1e12 * spread, spread / math.sqrt(epsilon))
    for _ in range(200):
        middle = math.sqrt(low * high)
        if _weights_and_kl(advantage, middle)[1] > epsilon:
            low = middle
        else:
            high = middle
    weights, kl = _weights_and_kl(advantage, high)
    if not abs(kl - epsilon) <= 1e-6 * epsilon + 1e-12:
        raise NoConvergence(f"reps.epsilon = {epsilon:g}: the candidates' weights came to a KL of {kl:g}")
    return Reweighting(weights, float(np.ldexp(high, power)), kl)


def _weights_and_kl(advantage: np.ndarray, temperature: float) -> tuple[np.ndarray, float]:
    weights = np.exp(advantage / temperature)
    weights /= weights.sum()
    some = weights[weights > 0]
    return weights, float((some * np.log(some * len(weights))).sum())


def _distribution(learner: Learner, settings: RelativeEntropy) -> tuple[np.ndarray, np.ndarray]:
    """Mean [D] and covariance [D, D]; around the policy as it stands, at the start."""
    if MEAN in learner.state:
        return learner.state[MEAN], learner.state[COVARIANCE]
    mean = start_mean(learner)
    return mean, settings.std**2 * np.eye(len(mean))


def problems(settings: RelativeEntropy, plan: PlannedRun) -> list[str]:
    """The covariance matrix needs more candidates than parameters."""
    if settings.population > plan.parameters:
        return []
    return [
        f"reps.population = {settings.population}: the policy has {plan.parameters:,} parameters, and REPS fits a full "
        "covariance matrix to more candidates than that; give more, a smaller policy (hidden = [] is linear), or use "
        "method = 'cem'"
    ]


METHOD = MethodKind(
    name="reps",
    label="REPS",
    doc="relative entropy policy search: reweight candidates within KL ε",
    source="Section 7; Peters et al., 2010",
    settings=RelativeEntropy,
    step=reps_step,
    propose=reps_candidates,
    samplers=SAMPLERS,
    problems=problems,
)

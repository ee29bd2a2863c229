"""The cross-entropy method over θ, with noise that fades (Szita and Lőrincz, 2006; Section 8.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trpolab.policies import Learner
from trpolab.sampling.population import Population
from trpolab.settings import Part, setting
from trpolab.updates.method import Context, MethodKind, Step
from trpolab.updates.population_search import SAMPLERS, move_to, ranked, refuse_useless, start_mean

MEAN, STD, ITERATION = "cem.mean", "cem.std", "cem.iteration"


@dataclass(frozen=True)
class CrossEntropy(Part):
    """The cross-entropy method: a Gaussian over θ, refitted to the best candidates (Szita and Lőrincz, 2006)."""

    population: int = setting(40, "candidates an iteration", symbol="P", low=3, shown=(10, 200))
    elite: float = setting(
        0.2, "share of the candidates that is kept", low=0, open_low=True, high=1, shown=(0.05, 0.5),
        source="Section 8.1",
    )  # fmt: skip
    std: float = setting(
        1.0, "standard deviation of every parameter at the start", low=0, open_low=True, scale="log", shown=(0.01, 10),
    )  # fmt: skip
    noise: float = setting(0.5, "extra deviation in units of std, fading to 0", low=0, shown=(0, 2))
    noise_iterations: int = setting(10, "iterations until the extra noise is gone", low=1, shown=(1, 100))
    episodes: int = setting(1, "episodes that judge a candidate", low=1, shown=(1, 10))


def cem_candidates(learner: Learner, settings: CrossEntropy, context: Context) -> np.ndarray:
    """P draws [P, D] from the search distribution, a Gaussian with independent components."""
    mean, std, _ = _distribution(learner, settings)
    return mean + std * context.generator.standard_normal((settings.population, len(mean)))


def cem_step(learner: Learner, population: Population, settings: CrossEntropy, context: Context) -> Step:
    """The search distribution takes the elite's mean and variance, plus a variance that fades to 0.

    The policy stands at the mean. The t-th step adds Z_t = (noise · std)² · max(0, 1 - t / noise_iterations): without
    it the variance shrinks faster than the mean can travel.
    """
    refuse_useless(population)
    *_, iteration = _distribution(learner, settings)
    count = elite_count(settings)
    elite = population.candidates[ranked(population)[:count]]
    fading = max(0.0, 1 - iteration / settings.noise_iterations)
    std = np.sqrt(elite.var(axis=0) + (settings.noise * settings.std) ** 2 * fading)
    state = {MEAN: elite.mean(axis=0), STD: std, ITERATION: np.array([iteration + 1])}
    spread = float(np.sqrt(np.square(std).mean()))
    return move_to(learner, state[MEAN], state, spread, f"the best {count} of {len(population.returns)} were kept")


def elite_count(settings: CrossEntropy) -> int:
    """How many candidates are kept: a share of them, at least two."""
    return min(settings.population, max(2, math.ceil(settings.elite * settings.population)))


def _distribution(learner: Learner, settings: CrossEntropy) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean [D], standard deviations [D] and the steps so far; around the policy as it stands, at the start."""
    if MEAN in learner.state:
        return learner.state[MEAN], learner.state[STD], int(learner.state[ITERATION][0])
    mean = start_mean(learner)
    return mean, np.full(len(mean), settings.std), 0


METHOD = MethodKind(
    name="cem",
    label="CEM",
    doc="cross-entropy method: refit a Gaussian over θ to the best candidates",
    source="Section 8.1; Szita and Lőrincz, 2006",
    settings=CrossEntropy,
    step=cem_step,
    propose=cem_candidates,
    samplers=SAMPLERS,
)

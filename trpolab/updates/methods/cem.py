"""The cross-entropy method over θ, with noise that fades (Szita and Lőrincz, 2006; Section 8.1)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from trpolab.numerics.threads import SERIAL, ThreadTeam
from trpolab.policies import Learner
from trpolab.sampling.population import Population
from trpolab.updates.config import CrossEntropy
from trpolab.updates.diagnostics import Diagnostics
from trpolab.updates.population_search import move_to, nothing_to_learn, ranked, start_mean

if TYPE_CHECKING:
    from trpolab.training.config import Config

MEAN, STD, ITERATION = "cem.mean", "cem.std", "cem.iteration"


def cem_candidates(learner: Learner, config: Config, generator: np.random.Generator) -> np.ndarray:
    """P draws [P, D] from the search distribution, a Gaussian with independent components."""
    mean, std, _ = _distribution(learner, config.cem)
    return mean + std * generator.standard_normal((config.cem.population, len(mean)))


def cem_step(
    learner: Learner,
    population: Population,
    config: Config,
    generator: np.random.Generator,
    workers: ThreadTeam = SERIAL,
) -> tuple[Learner, Diagnostics]:
    """Mean and variance of the elite become the search distribution's, plus a variance that fades to 0.

    The policy stands at the mean. The t-th step adds Z_t = (noise · std)² · max(0, 1 - t / noise_iterations): without
    it the variance shrinks faster than the mean can travel.
    """
    if (skipped := nothing_to_learn(population)) is not None:
        return learner, skipped
    settings = config.cem
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

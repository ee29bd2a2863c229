"""What the tests of methods that search over θ share: a function with a known optimum, and the search for it."""

from __future__ import annotations

import numpy as np

from tests import reference
from tests.reference import propose, step
from trpolab.policies import Learner
from trpolab.sampling.batch import Episodes
from trpolab.sampling.population import Population
from trpolab.training.config import Config


def config(method: str, **settings) -> Config:
    return Config().replace(method=method, **settings)


def start() -> Learner:
    return Learner(reference.small_policy(hidden=()))  # ten parameters


def target(size: int) -> np.ndarray:
    return np.linspace(-1, 1, size)


def quadratic(candidates: np.ndarray) -> np.ndarray:
    """Returns with their maximum, 0, at the target; axes differ by a factor of ten in stiffness."""
    size = candidates.shape[1]
    return -((candidates - target(size)) ** 2 * np.logspace(0, 1, size)).sum(axis=1)


def population(candidates: np.ndarray, returns: np.ndarray) -> Population:
    return Population(candidates, returns, Episodes(returns, np.ones(len(returns), np.int64)), len(returns), 0.0)


def search(method: str, iterations: int, learner: Learner | None = None, first: int = 0, returns=quadratic, **settings):
    """Iterate propose, play, step from iteration `first` on; stream i belongs to iteration i."""
    learner, found = learner or start(), None
    for iteration in range(first, first + iterations):
        candidates = propose(learner, config(method, **settings), np.random.default_rng(iteration))
        data = population(candidates, returns(candidates))
        learner, found = step(learner, data, config(method, **settings), np.random.default_rng(iteration))
    return learner, found

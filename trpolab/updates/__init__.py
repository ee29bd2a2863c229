"""Data to next learner: every method is one function, `step`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trpolab.numerics.threads import ThreadTeam
from trpolab.policies import Learner
from trpolab.sampling.batch import Batch
from trpolab.sampling.population import Population
from trpolab.updates.diagnostics import Diagnostics, Outcome
from trpolab.updates.methods.cem import cem_candidates, cem_step
from trpolab.updates.methods.cma_es import cma_es_candidates, cma_es_step
from trpolab.updates.methods.kl_penalty import kl_penalty_step
from trpolab.updates.methods.natural_gradient import factors_of_three, natural_gradient_step, policy_gradient_step
from trpolab.updates.methods.reps import reps_candidates, reps_step
from trpolab.updates.methods.rwr import reward_weighted_step
from trpolab.updates.methods.trpo import natural_direction, trust_region_step
from trpolab.updates.problem import CandidateEvaluation, Problem, step_length

if TYPE_CHECKING:
    from trpolab.training.config import Config

__all__ = [
    "CandidateEvaluation",
    "Diagnostics",
    "Outcome",
    "Problem",
    "factors_of_three",
    "natural_direction",
    "propose",
    "step",
    "step_length",
]  # fmt: skip

METHODS: dict[str, Callable[..., tuple[Learner, Diagnostics]]] = {
    "trpo": trust_region_step,
    "natural_gradient": natural_gradient_step,
    "empirical_fim": partial(trust_region_step, metric="empirical"),
    "max_kl": partial(trust_region_step, bounded="max"),
    "kl_penalty": kl_penalty_step,
    "policy_gradient": policy_gradient_step,
    "rwr": reward_weighted_step,
    "cem": cem_step,
    "cma_es": cma_es_step,
    "reps": reps_step,
}
PROPOSALS: dict[str, Callable[..., np.ndarray]] = {
    "cem": cem_candidates,
    "cma_es": cma_es_candidates,
    "reps": reps_candidates,
}


def step(
    learner: Learner, data: Batch | Population, config: Config, generator: np.random.Generator
) -> tuple[Learner, Diagnostics]:
    """The next learner by the method that the config names, and what was measured. Nothing handed in is written to.

    Uses as many threads as torch would. A method that searches over θ wants a population, and the stream that drew its
    candidates; all others want a batch. Raises TypeError for the wrong one of the two.
    """
    wanted = Population if config.method in PROPOSALS else Batch
    if not isinstance(data, wanted):
        raise TypeError(f"method = {config.method!r} learns from a {wanted.__name__}, not a {type(data).__name__}")
    # cuDNN's convolutions would round to ten bits, and add in an order of their own
    exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with exact, ThreadTeam(torch.get_num_threads()) as workers:
        return METHODS[config.method](own_state(learner, config.method), data, config, generator, workers)


def propose(learner: Learner, config: Config, generator: np.random.Generator) -> np.ndarray:
    """Candidates [P, D] float64 that the config's method wants to see played; a pure function of what is handed in."""
    return PROPOSALS[config.method](own_state(learner, config.method), config, generator)


def own_state(learner: Learner, method: str) -> Learner:
    """The learner without what other methods left in its state: a method switched to starts from the policy alone."""
    own: dict[str, Any] = {name: array for name, array in learner.state.items() if name.startswith(f"{method}.")}
    return learner if len(own) == len(learner.state) else learner.replace(state=own)

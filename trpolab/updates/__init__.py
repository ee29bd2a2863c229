"""Data to next learner: every method is one function, `step`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from trpolab.numerics.workers import Workers
from trpolab.policies import Learner
from trpolab.sampling.batch import Batch
from trpolab.updates.diagnostics import Diagnostics, Outcome
from trpolab.updates.problem import Evaluation, Problem, step_length
from trpolab.updates.trust_region import natural_direction, trust_region_step

if TYPE_CHECKING:
    from trpolab.training.config import Config

__all__ = ["Diagnostics", "Evaluation", "Outcome", "Problem", "natural_direction", "step", "step_length"]

METHODS = {"trpo": trust_region_step}


def step(learner: Learner, batch: Batch, config: Config, generator: np.random.Generator) -> tuple[Learner, Diagnostics]:
    """The next learner by the method that the config names, and what was measured. Nothing handed in is written to.

    Uses as many threads as torch would.
    """
    with Workers(torch.get_num_threads()) as workers:
        return METHODS[config.method](learner, batch, config, generator, workers)

"""What methods that search over θ share: they learn from candidate parameters and their returns alone."""

from __future__ import annotations

import numpy as np
import torch

from trpolab.policies import Learner
from trpolab.sampling.population import Population
from trpolab.updates.diagnostics import Diagnostics, Outcome, Refusal
from trpolab.updates.method import Step

SAMPLERS = ("single-path",)  # what methods of this kind can be combined with: `samplers` of their entries


def refuse_useless(population: Population) -> None:
    """Raise Refusal, with the sentence that says why, if nothing can be learned from this population."""
    finite = np.isfinite(population.returns)
    if not np.isfinite(population.candidates).all():
        row = int(np.argmin(np.isfinite(population.candidates).all(axis=1)))
        raise Refusal(Outcome.SKIPPED_NONFINITE, f"candidate {row} has parameters that are not finite")
    if finite.sum() < 2:
        why = f"{finite.sum()} of {len(finite)} candidates finished an episode: nothing to compare"
        raise Refusal(Outcome.SKIPPED_DEGENERATE_BATCH, why)
    if np.ptp(population.returns[finite]) == 0:
        why = f"all candidates returned {population.returns[finite][0]:g}: no preference"
        raise Refusal(Outcome.SKIPPED_DEGENERATE_BATCH, why)


def ranked(population: Population) -> np.ndarray:
    """Rows of the candidates [P], best first; those whose physics blew up come last, ties stay in order."""
    return np.argsort(-np.where(np.isfinite(population.returns), population.returns, -np.inf), kind="stable")


def move_to(learner: Learner, mean: np.ndarray, state: dict[str, np.ndarray], spread: float, message: str) -> Step:
    """The learner at the search distribution's mean [D], with its state. Raises Refusal if the mean is not finite."""
    theta = torch.from_numpy(mean).to(learner.policy.theta.dtype)
    if not bool(theta.isfinite().all()):
        raise Refusal(Outcome.SKIPPED_NONFINITE, "the new mean of the search is not finite")
    moved = learner.replace(policy=learner.policy.with_theta(theta), state=state)
    return moved, Diagnostics(Outcome.ACCEPTED, message, spread=spread)


def start_mean(learner: Learner) -> np.ndarray:
    """Where a search begins: the policy's θ [D] float64."""
    return learner.policy.theta.detach().cpu().numpy().astype(np.float64)

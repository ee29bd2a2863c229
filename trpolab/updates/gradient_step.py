"""What every method that follows the surrogate's gradient begins and ends with."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from trpolab.numerics.threads import ThreadTeam
from trpolab.policies import Learner, Policy
from trpolab.sampling.batch import Batch
from trpolab.updates.checks import unusable
from trpolab.updates.diagnostics import Diagnostics, Outcome
from trpolab.updates.problem import CandidateEvaluation, Problem

if TYPE_CHECKING:
    from trpolab.training.config import Config

ZERO_GRADIENT = 1e-8  # ‖g‖ in units of the largest |Q̂|: below, it is float32 rounding

Step = tuple[Learner, Diagnostics]


@dataclass(frozen=True, eq=False)
class Start:
    """A usable batch with its problem and gradient, and what has been measured so far."""

    learner: Learner
    problem: Problem
    g: Tensor  # ∇L(θ_old) [D] float64
    at_old: CandidateEvaluation
    measured: Diagnostics

    def noting(self, **measured: Any) -> Start:
        """The same with more diagnostics."""
        return dataclasses.replace(self, measured=dataclasses.replace(self.measured, **measured))

    def refuse(self, outcome: Outcome, message: str) -> Step:
        """θ stays: the learner itself, and why."""
        return self.learner, dataclasses.replace(self.measured, outcome=outcome, message=message)

    def take(self, theta: Tensor, message: str = "the full step was taken", fraction: float = 1.0) -> Step:
        """Move to θ [D], `fraction` of a full step away; refused if anything there is not finite."""
        reached = self.problem.evaluate(theta)
        finite = bool(theta.isfinite().all()) and math.isfinite(reached.surrogate) and math.isfinite(reached.kl_mean)
        if not finite:
            return self.refuse(
                Outcome.SKIPPED_NONFINITE, "the new parameters, or the surrogate or KL there, are not finite"
            )
        policy = self.learner.policy.with_theta(theta.to(self.learner.policy.theta.device))
        return self.learner.replace(policy=policy), dataclasses.replace(
            self.measured,
            outcome=Outcome.ACCEPTED if fraction == 1 else Outcome.ACCEPTED_AFTER_BACKTRACK,
            message="; ".join([message, *clamped_in_words(policy)]),
            surrogate_gain=reached.surrogate - self.at_old.surrogate,
            expected_gain=float((self.g * (theta - self.problem.theta)).sum()),
            kl_mean=reached.kl_mean,
            kl_max=reached.kl_max,
            step_fraction=fraction,
        )


def start(learner: Learner, batch: Batch, config: Config, workers: ThreadTeam) -> Start | Step:
    """Make the batch's problem and its gradient, or say why nothing can be learned from it.

    Raises ValueError if the batch was collected by another policy.
    """
    if (reason := unusable(learner.policy, batch)) is not None:
        return learner, Diagnostics(*reason)
    problem = Problem(learner.policy, batch, device_for(config.device), workers)
    entropy = problem.entropy()
    g = problem.gradient()
    norm = float(g.norm())
    measured = Diagnostics(Outcome.ACCEPTED, "", entropy=entropy, gradient_norm=norm)
    begun = Start(learner, problem, g, problem.evaluate(problem.theta), measured)
    if not math.isfinite(norm):
        return begun.refuse(Outcome.SKIPPED_NONFINITE, "the gradient of the surrogate is not finite")
    if norm <= ZERO_GRADIENT * float(np.abs(batch.q_values).max()):
        return begun.refuse(
            Outcome.SKIPPED_ZERO_GRADIENT, "the gradient of the surrogate is zero: no action looks better"
        )
    return begun


def device_for(name: str) -> str:
    """`auto` is CUDA where there is one. Raises ValueError if CUDA was asked for and there is none."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device = 'cuda': torch finds no CUDA device here; use 'cpu' or 'auto'")
    return name


def clamped_in_words(policy: Policy) -> list[str]:
    """That some log σ stand on their bounds, or nothing."""
    clamped = policy.clamped()
    return [f"{clamped} of {policy.distribution.own_parameters} log σ stand on their bounds"] if clamped else []

"""How an update ended, and what it measured."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from trpolab.numerics import CGResult, LineSearchResult


class Outcome(enum.StrEnum):
    """Every update ends in exactly one of these; all but the first two leave θ bit for bit."""

    ACCEPTED = "accepted"
    ACCEPTED_AFTER_BACKTRACK = "accepted_after_backtrack"
    REJECTED_LINE_SEARCH = "rejected_line_search"
    REJECTED_NONPOSITIVE_CURVATURE = "rejected_nonpositive_curvature"
    SKIPPED_ZERO_GRADIENT = "skipped_zero_gradient"
    SKIPPED_NONFINITE = "skipped_nonfinite"
    SKIPPED_DEGENERATE_BATCH = "skipped_degenerate_batch"
    INTERRUPTED = "interrupted"  # set by the loop, never by an update

    @property
    def accepted(self) -> bool:
        """Whether θ moved."""
        return self in (Outcome.ACCEPTED, Outcome.ACCEPTED_AFTER_BACKTRACK)


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """What one update measured; None is "does not apply" (a rejected step has no KL), never 0."""

    outcome: Outcome
    message: str  # one plain sentence
    surrogate_gain: float | None = None  # L(θ') - L(θ_old) of the step taken
    expected_gain: float | None = None  # gᵀ(θ' - θ_old), the first-order prediction for the step taken
    kl_mean: float | None = None  # KL(old‖new) over the constraint states
    kl_max: float | None = None  # over the same, sampled, states
    entropy: float | None = None  # nats, mean over the constraint states, of π_old, which collected the batch
    gradient_norm: float | None = None
    gradient: Tensor | None = None  # g = ∇L(θ_old) [D] float64
    cg: CGResult | None = None
    search: LineSearchResult | None = None
    step_fraction: float | None = None  # of the full step β·s
    step_curvature: float | None = None  # sᵀAs, A with its damping
    full_step: Tensor | None = None  # βs [D], of which the line search tries fractions
    beta: float | None = None  # the full step is β·s: √(2δ / sᵀAs), or as given
    penalty: float | None = None  # C of L - C·KL
    spread: float | None = None  # of the next search distribution over θ: root of the mean variance

    def on_cpu(self) -> Diagnostics:
        """The same with its vectors in the CPU's memory, if the update ran elsewhere."""
        if self.gradient is None or self.gradient.device.type == "cpu":
            return self
        cg = self.cg and replace(self.cg, x=self.cg.x.cpu())
        search = self.search and replace(self.search, x=self.search.x.cpu())
        step = None if self.full_step is None else self.full_step.cpu()
        return replace(self, gradient=self.gradient.cpu(), full_step=step, cg=cg, search=search)


class Refusal(Exception):
    """Raised by a method when θ must stay as it is; `trpolab.updates.step` turns it into diagnostics.

    `state` is what the method remembers all the same; None leaves the learner's state as it is.
    """

    def __init__(self, outcome: Outcome, message: str, state: dict[str, Any] | None = None):
        super().__init__(message)
        self.outcome, self.message, self.state = outcome, message, state

"""Backtracking line search under a constraint: the last part of Appendix C."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


class LineSearchStatus(enum.StrEnum):
    """How the search ended."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Trial:
    """One candidate start + fraction·step."""

    fraction: float
    gain: float  # objective(candidate) - objective(start)
    constraint: float
    accepted: bool


@dataclass(frozen=True, eq=False)
class LineSearchResult:
    """The accepted point, or the very tensor that the search started from; and every trial in order."""

    x: Tensor
    status: LineSearchStatus
    trials: tuple[Trial, ...]

    @property
    def accepted(self) -> bool:
        """Whether a trial passed both tests."""
        return self.status is LineSearchStatus.ACCEPTED

    @property
    def last(self) -> Trial:
        """The accepted trial, or the last one refused."""
        return self.trials[-1]


def backtrack(
    objective: Callable[[Tensor], float],
    constraint: Callable[[Tensor], float],
    start: Tensor,
    step: Tensor,
    *,
    bound: float,
    shrink: float = 0.5,
    max_tries: int = 10,
) -> LineSearchResult:
    """The first start + shrinkᵏ·step, k = 0 … max_tries - 1, whose objective is above that of `start` by a finite
    amount and whose constraint is at most `bound`.

    `objective` and `constraint` are functions of the candidate. A value that is not finite fails its trial, so an
    objective may answer NaN where it knows that the constraint is above the bound. On rejection `x` is `start` itself.
    """
    if not 0 < shrink < 1:
        raise ValueError(f"shrink = {shrink}: must be between 0 and 1")
    if max_tries < 1:
        raise ValueError(f"max_tries = {max_tries}: must be at least 1")
    base = float(objective(start))
    trials: list[Trial] = []
    for k in range(max_tries):
        fraction = shrink**k
        candidate = start + fraction * step
        gain, spent = float(objective(candidate)) - base, float(constraint(candidate))
        accepted = math.isfinite(gain) and math.isfinite(spent) and gain > 0 and spent <= bound
        trials.append(Trial(fraction, gain, spent, accepted))
        if accepted:
            return LineSearchResult(candidate, LineSearchStatus.ACCEPTED, tuple(trials))
    return LineSearchResult(start, LineSearchStatus.REJECTED, tuple(trials))

"""Whether an update can learn from a batch: all its numbers are finite, and some actions look better than others."""

from __future__ import annotations

import numpy as np

from trpolab.numerics.arrays import FAINT, all_finite
from trpolab.policies import Policy
from trpolab.policies.frames import Frames
from trpolab.sampling.batch import Batch
from trpolab.updates.diagnostics import Outcome

CONSTANT = 1e-6  # spread of Q̂ over its largest magnitude, below which it is rounding


def unusable(policy: Policy, batch: Batch) -> tuple[Outcome, str] | None:
    """The outcome that skips this batch, and why in a sentence; None if it can be used."""
    if not bool(policy.theta.isfinite().all()):
        return Outcome.SKIPPED_NONFINITE, "theta, the policy's parameters, is not finite"
    for name in ("obs", "actions", "log_q", "q_values", "weights", "old", "constraint_obs", "constraint_old"):
        array = getattr(batch, name)
        if isinstance(array, Frames) or (name == "constraint_obs" and array is batch.obs):
            continue  # frames are bytes
        if not all_finite(array):
            return Outcome.SKIPPED_NONFINITE, f"{name} is not finite {_where(array, batch, name)}"
    degenerate = Outcome.SKIPPED_DEGENERATE_BATCH
    if batch.q_values.size <= 1:
        return degenerate, f"{batch.q_values.size} sample: nothing to compare it with"
    largest = float(np.abs(batch.q_values).max())
    if largest > 0 and float(np.ptp(batch.q_values)) <= max(CONSTANT * largest, FAINT):
        return degenerate, f"all {batch.q_values.size} values Q̂ are {largest:g} in size: no preference"
    alike = float(np.ptp(batch.q_values, axis=1).max()) <= CONSTANT * largest
    if largest > 0 and alike and batch.compares_within_states:
        return degenerate, (
            f"the {batch.q_values.shape[1]} actions of every state have the same Q̂: no preference; longer branches or "
            "a tail value may tell them apart"
        )
    if not batch.weights.sum() > 0:
        return degenerate, "the state weights sum to nothing"
    return None


def _where(array: np.ndarray, batch: Batch, name: str) -> str:
    row = int(np.argwhere(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))[0, 0])
    if name.startswith("constraint"):
        return f"in row {row}"
    return f"in row {row} (path {batch.path[row]}, t = {batch.t[row]})"

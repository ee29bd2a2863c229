"""What Figure 1 of the paper shows of one iteration: trunks, the rollout set, and some branches with their Q̂."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trpolab.policies.frames import Frames
from trpolab.sampling.trajectories import Trajectories
from trpolab.sampling.vine.branches import Rolled
from trpolab.sampling.vine.trunks import RolloutSet
from trpolab.simulators.base import Snapshot

TRACED_STATES = 24  # states whose branches are kept
TRACE_POINTS = 16  # observations kept of a branch, besides its last


@dataclass(frozen=True)
class VineRecord:
    """Trunks and branches of one iteration, for drawing only; rows of obs are observations [*O].

    Branch b is the piece start[b] … start[b + 1] - 1 of `branch_obs`; it begins at the state's own observation. Of
    pixels no branches are kept.
    """

    trunk_obs: Any  # [M, *O] all trunk states, piece after piece; shared with the batch
    trunk_start: np.ndarray  # [S + 1] offsets of the pieces
    trunk_t: np.ndarray  # [M] time step within the episode
    roots: np.ndarray  # [N, *O] the rollout set
    snapshot: Snapshot  # [N] its states, which can be restored and played on
    root_t: np.ndarray  # [N]
    branch_state: np.ndarray  # [B] row of the rollout set that branch b starts from
    branch_q: np.ndarray  # [B] its Q̂
    branch_obs: np.ndarray  # [P, *O]
    branch_age: np.ndarray  # [P] steps since the root
    start: np.ndarray  # [B + 1]
    branches: int  # rolled out in all, drawn or not
    branch_steps: int  # simulator steps of all of them
    branch_length: float  # mean steps of a branch
    terminated: float  # share of branches that the task ended

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        arrays = [*vars(self).values(), *self.snapshot.parts.values()]
        return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray | Frames))

    @property
    def drawable(self) -> bool:
        """Whether states are points that a figure can show; pictures are not."""
        return isinstance(self.trunk_obs, np.ndarray) and self.trunk_obs.dtype != np.uint8


def traced_states(states: int) -> np.ndarray:
    """The states whose branches are kept: evenly spread over the rollout set."""
    return np.unique(np.linspace(0, states - 1, min(states, TRACED_STATES)).astype(int))


def trace_interval(length: int) -> int:
    """Steps between two kept observations of a branch."""
    return max(1, -(-length // TRACE_POINTS))


def make_record(
    trunks: Trajectories, roots: RolloutSet, state: np.ndarray, of: np.ndarray, rolled: Rolled, q: np.ndarray
) -> VineRecord:
    """Put the traces of the drawn branches in order; q [N, K]; of [N, K] is the branch of state n and action k."""
    branch, age = np.zeros(0, np.int64), np.zeros(0, np.int64)
    obs = np.zeros((0, *roots.obs.shape[1:]), roots.obs.dtype)
    if rolled.traces:
        branch, age, obs = (np.concatenate(column) for column in zip(*rolled.traces, strict=True))
    order = np.lexsort((age, branch))
    drawn, counts = np.unique(branch, return_counts=True)
    branch_q = np.zeros(len(state))
    branch_q[of] = q
    return VineRecord(
        trunk_obs=trunks.obs,
        trunk_start=trunks.start,
        trunk_t=trunks.t,
        roots=roots.obs,
        snapshot=roots.snapshot,
        root_t=roots.t,
        branch_state=state[drawn],
        branch_q=branch_q[drawn],
        branch_obs=obs[order],
        branch_age=age[order],
        start=np.cumsum([0, *counts]),
        branches=len(state),
        branch_steps=rolled.sim_steps,
        branch_length=float(rolled.lengths.mean()),
        terminated=float(rolled.terminated.mean()),
    )

"""Which branches there are: what each starts from, does first, and is named after, spread over blocks."""

from __future__ import annotations

import itertools

import numpy as np

from trpolab.sampling.vine.branches import BranchPlan
from trpolab.sampling.vine.proposals import FirstActions
from trpolab.sampling.vine.record import traced_states
from trpolab.sampling.vine.trunks import RolloutSet


def plan_branches(
    roots: RolloutSet,
    first: FirstActions,
    rows: np.ndarray,
    common: bool,
    blocks: int,
    drawn: bool,
    future: int = 0,
) -> tuple[list[BranchPlan], np.ndarray, np.ndarray]:
    """Plans of the branches of the states `rows` [n], one a block; the state of each [B]; and of [n, K] which it is.

    `common` random numbers: one noise sequence per state, indexed by step, and one seed of the task's own noise, both
    shared by the state's branches. Then equal first actions of a state make equal branches, so each is planned once.
    Otherwise every branch has its own of both. Another `future` has other noise. `drawn`: some leave a trace.
    """
    n, k = first.log_q.shape
    branch = (rows[:, None] * k + np.arange(k)).ravel()
    state, of = np.repeat(rows, k), np.arange(len(branch)).reshape(-1, k)
    actions = first.actions.reshape(n * k, *first.actions.shape[2:])[branch]
    if common and np.issubdtype(actions.dtype, np.integer):
        keys = np.column_stack([state, actions.reshape(len(state), -1)])
        _, kept, of = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        state, actions, of = state[kept], actions[kept], of.reshape(-1, k)
    # sequences 0 … N - 1 belong to states, those after them to single branches, then come those of other futures
    names = (state if common else n + branch) + future * n * (1 + k)
    ends = np.linspace(0, len(state), blocks + 1).astype(int).tolist()
    plans = []
    for begin, end in itertools.pairwise(ends):
        mine = state[begin:end]
        states, place = np.unique(mine, return_inverse=True)
        traced = np.isin(mine, traced_states(n)) & drawn
        saved = roots.snapshot.take(states)
        plans.append(BranchPlan(saved, mine, place, actions[begin:end], names[begin:end], traced))
    return plans, state, of

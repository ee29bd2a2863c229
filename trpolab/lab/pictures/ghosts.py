"""The branches of one state of a vine, played again from the saved state, to be seen at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from trpolab.lab.pictures.rollout import Rollout
from trpolab.policies import Policy
from trpolab.sampling.play import Play
from trpolab.sampling.streams import Streams
from trpolab.sampling.vine.branches import BranchPlan, FromSnapshots
from trpolab.sampling.vine.record import VineRecord
from trpolab.simulators.base import Simulator

MOST_GHOSTS = 12  # branches that play at once


@dataclass(frozen=True)
class Ghosts:
    """K branches of a state, best first."""

    poses: np.ndarray  # [K, F, bodies, 7] float32, from the state on; the last pose stays after the branch has ended
    q: np.ndarray  # [K] their Q̂
    lengths: np.ndarray  # [K] frames until it ended


def vine_states(record: VineRecord) -> np.ndarray:
    """The states of the rollout set whose branches can be shown, widest spread of Q̂ first: rows of it."""
    rows = np.unique(record.branch_state)
    spread = [float(np.ptp(record.branch_q[record.branch_state == row])) for row in rows]
    return rows[np.argsort(-np.array(spread), kind="stable")]


def branch_out(
    iteration: Any, policy: Policy, seed: int, row: int, make: Callable[[int], Simulator]
) -> tuple[Rollout, Ghosts] | None:
    """The state of this row of an iteration's rollout set, standing, and its branches as they were sampled.

    `policy` is the one that sampled, `make(slots)` a simulator that nobody else uses. None where the task has no
    bodies, and where rows were left out of the batch because the physics blew up.
    """
    batch, config = iteration.batch, iteration.config
    record: VineRecord = batch.paths
    states, actions = len(record.roots), batch.actions
    if len(batch.obs) != states:
        return None
    settings = config.sampler_settings
    first = actions[row]  # [K, *A]
    q = np.asarray(batch.q_values[row], np.float64)
    if settings.common_random_numbers:
        names = np.full(len(first), row)
        if np.issubdtype(first.dtype, np.integer):  # equal first actions made equal branches
            _, kept = np.unique(first.reshape(len(first), -1), axis=0, return_index=True)
            first, q, names = first[kept], q[kept], names[kept]
    else:
        names = states + row * len(first) + np.arange(len(first))
    order = np.argsort(-q, kind="stable")
    if len(order) > MOST_GHOSTS:
        order = order[np.linspace(0, len(order) - 1, MOST_GHOSTS).astype(int)]
    simulator = make(len(order))
    try:
        scene = simulator.scene
        if scene is None:
            return None
        horizon = int(min(settings.rollout_length, simulator.time_limit or settings.rollout_length))
        state, place = np.full(len(order), row), np.zeros(len(order), int)
        untraced = np.zeros(len(order), bool)
        plan = BranchPlan(record.snapshot.take([row]), state, place, first[order], names[order], untraced)
        poses, lengths = _watched(simulator, policy, plan, Streams(seed), iteration.index, horizon)
    finally:
        simulator.close()
    still = Rollout(scene, poses[0, :1], np.zeros(0), 1, False)
    return still, Ghosts(poses, q[order], lengths)


def _watched(
    simulator: Simulator, policy: Policy, plan: BranchPlan, streams: Streams, iteration: int, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """Poses [K, F, bodies, 7] of a plan's branches in as many slots, and their frames [K]."""
    starter = FromSnapshots(simulator, policy, plan, streams, iteration, horizon)
    play = Play(simulator, policy.actor(simulator.width).parameters, starter, scaled=policy.scaled_actions)
    frames: list[np.ndarray] = []
    lengths = np.ones(len(plan), np.int64)
    while play.fill():
        if not frames:
            frames.append(simulator.poses(None).astype(np.float32))
        slots, names = play.slots, play.names.copy()
        play.step()
        now = frames[-1].copy()
        now[names] = simulator.poses(slots).astype(np.float32)
        frames.append(now)
        lengths[names] += 1
    return np.stack(frames, axis=1), lengths

"""The branches of a whole rollout set, put together from the blocks that rolled them out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from trpolab.sampling.observations import end_to_end
from trpolab.sampling.trajectories import Trajectories, join
from trpolab.sampling.vine.branches import Rolled
from trpolab.sampling.vine.trunks import RolloutSet


@dataclass(frozen=True)
class Rollouts:
    """The branches of a rollout set. Equal branches of a state are run once and stand for several actions."""

    rolled: Rolled
    state: np.ndarray  # [B] the state that each branch starts from
    of: np.ndarray  # [N, K] the branch of state n and action k


def merged(parts: list[Rollouts], rows: list[np.ndarray], twins: Rollouts) -> Rollouts:
    """Rollouts of parts of a rollout set, `rows` [n] each, and `twins`, branches that stand for no action."""
    states, actions = sum(len(mine) for mine in rows), parts[0].of.shape[1]
    of, offset = np.empty((states, actions), np.int64), 0
    for part, mine in zip(parts, rows, strict=True):
        of[mine] = part.of + offset
        offset += len(part.state)
    every = [*parts, twins]
    return Rollouts(joined([part.rolled for part in every]), np.concatenate([part.state for part in every]), of)


def joined(parts: list[Rolled]) -> Rolled:
    """Shares of one list of branches, in order."""
    offsets = np.cumsum([0, *(len(part.returns) for part in parts)])
    traces = [
        (branches + offset, ages, obs)
        for part, offset in zip(parts, offsets, strict=False)
        for branches, ages, obs in part.traces
    ]
    arrays = end_to_end(parts, "returns", "lengths", "terminated", "unstable", "last_obs")
    steps = [
        replace(part.steps, path=part.steps.path + offset)
        for part, offset in zip(parts, offsets, strict=False)
        if part.steps is not None
    ]
    return Rolled(
        **arrays, traces=traces, sim_steps=sum(part.sim_steps for part in parts), steps=join(steps) if steps else None
    )


def steps_of(rollouts: Rollouts, roots: RolloutSet, signs: bool) -> Trajectories | None:
    """The branches' steps, if they were kept: each of the trunk that it left, and as old as the episode."""
    steps = rollouts.rolled.steps
    if steps is None:
        return None
    root = rollouts.state[steps.path]
    rewards = np.sign(steps.rewards) if signs else steps.rewards
    t = steps.t + np.repeat(roots.t[root], np.diff(steps.start))
    return replace(steps, rewards=rewards, t=t, path=roots.trunk[root])

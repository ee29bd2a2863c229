"""From the logs of a block of slots, T steps long, to pieces of trajectories laid end to end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trpolab.policies import Policy
from trpolab.sampling.batch import Episodes
from trpolab.sampling.observations import ObservationLog
from trpolab.sampling.play import Play, PlayedStep, first_fault


class SegmentLog:
    """What a block of G slots did in T steps, all of them in each step, as it happened; arrays are [T, G, ...]."""

    def __init__(self, steps: int, width: int, policy: Policy):
        distribution, rows = policy.distribution, (steps, width)
        self.observed = ObservationLog(policy, (steps + 1) * width)
        self.places = np.zeros(steps + 1, np.int64)  # of the first slot's observation before each step
        self.old = np.empty((*rows, distribution.parameter_count), np.float32)
        self.actions = np.empty((*rows, *distribution.action_shape), distribution.action_dtype)
        self.rewards = np.empty(rows)
        # ended: terminated, truncated, unstable, or cut
        self.ended, self.terminated, self.truncated, self.unstable = np.zeros((4, *rows), bool)
        self.ends: list[tuple[int, np.ndarray, np.ndarray]] = []  # (step, slots that ended, their last states)

    def see(self, play: Play) -> None:
        """Keep what the slots observe before the next step, or after the last."""
        self.places[play.clock] = self.observed.see(play.obs, play.fresh)

    def add(self, step: int, done: PlayedStep, play: Play) -> None:
        """Keep what was done in a step."""
        self.old[step], self.actions[step], self.rewards[step] = done.parameters, done.actions, done.result.reward
        if len(done.over):
            self.ended[step, done.over] = True
            self.terminated[step], self.truncated[step] = done.result.terminated, done.result.truncated
            self.unstable[step] = done.result.unstable
            self.ends.append((step, done.over, play.obs[done.over]))

    def first_fault(self, steps: int) -> tuple[int, int, str] | None:
        """(step, slot, field) of the first reward or observation of so many steps that is not finite, if any."""
        g, rows = self.rewards.shape[1], self.observed.rows
        frames = self.observed.stacks  # bytes, which are always finite
        obs = np.zeros((steps, g, 0)) if frames else rows[: (steps + 1) * g].reshape(steps + 1, g, -1)
        return first_fault(self.rewards[:steps], obs, self.unstable[:steps])

    def observations(self, pieces: Segments) -> Any:
        """All kept observations of the pieces [N, *O], piece after piece."""
        step, slot = pieces.rows
        return self.observed.along_paths(self.places[step] + slot, pieces.start)


@dataclass(frozen=True)
class Segments:
    """Where the pieces lie, and what became of the episodes; P pieces, N kept steps."""

    rows: tuple[np.ndarray, np.ndarray]  # (step, slot) of each kept step, [N] each, slot by slot
    t: np.ndarray  # [N] time step within the episode
    start: np.ndarray  # [P + 1]
    slot: np.ndarray  # [P]
    last_obs: np.ndarray  # [P, *O] float32, or bytes
    terminated: np.ndarray  # [P]
    episodes: Episodes
    age: np.ndarray  # [G] steps that the episodes under way have lasted
    score: np.ndarray  # [G] their returns so far


def cut(log: SegmentLog, age: np.ndarray, score: np.ndarray, obs: np.ndarray) -> Segments:
    """Cut the log at the ends of episodes; `age` and `score` [G] are those that the block began with.

    A step in which a simulator blew up is left out: its piece ends in the state in which that step was taken. `obs`
    [G, *O] is what the slots observe after the last step.
    """
    steps, g = log.ended.shape
    ended = log.ended.T.ravel()  # slot by slot
    breaks = ended.copy()
    breaks[steps - 1 :: steps] = True
    stop = np.flatnonzero(breaks)
    first = np.concatenate([[0], stop[:-1] + 1])
    slot = stop // steps
    # an episode that began before this batch brings its age and its score along
    carried = first % steps == 0
    age_before = np.where(carried, age[slot], 0)
    returns = np.add.reduceat(log.rewards.T.ravel(), first) + np.where(carried, score[slot], 0.0)
    lengths = stop - first + 1 + age_before

    finished = ended[stop]
    unstable, terminated = log.unstable.T.ravel()[stop], log.terminated.T.ravel()[stop]
    complete = finished & ~unstable & (terminated | log.truncated.T.ravel()[stop])
    in_order = np.argsort(stop[complete] % steps, kind="stable")  # as they happened
    episodes = Episodes(
        returns[complete][in_order],
        lengths[complete][in_order],
        dropped=int((finished & ~complete & ~unstable).sum()),
        unstable=int(unstable.sum()),
    )

    last_obs = obs[slot].astype(log.observed.rows.dtype)
    if log.ends:
        at = np.concatenate([slots * steps + step for step, slots, _ in log.ends])
        last_obs[finished] = np.concatenate([states for _, _, states in log.ends])[np.argsort(at)]
    counts = stop - first + 1 - unstable
    kept = np.ones(steps * g, bool)
    kept[stop[unstable]] = False
    flat = np.flatnonzero(kept)
    some = counts > 0
    tail = np.flatnonzero(stop % steps == steps - 1)  # each slot's last piece
    running = ~finished[tail]
    return Segments(
        rows=(flat % steps, flat // steps),
        t=np.concatenate([np.arange(a, a + n) for a, n in zip(age_before, counts, strict=True)]),
        start=np.concatenate([[0], np.cumsum(counts[some])]),
        slot=slot[some],
        last_obs=last_obs[some],
        terminated=(terminated & ~unstable)[some],
        episodes=episodes,
        age=np.where(running, lengths[tail], 0),
        score=np.where(running, returns[tail], 0.0),
    )

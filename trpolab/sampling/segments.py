"""From the logs of a block of slots, T steps long, to pieces of trajectories laid end to end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trpolab.sampling.batch import Episodes
from trpolab.sampling.observations import along_paths, are_frames, kept_dtype, newest


@dataclass
class SegmentLog:
    """What a block of G slots did in T steps, as it happened; [T, G, ...]."""

    obs: np.ndarray  # what is kept of observations: float32, or the newest frame of a stack
    births: list[tuple[int, int, np.ndarray]]  # stacks of frames: (step, slot, stack) at the start of each piece
    old: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    ended: np.ndarray  # terminated, truncated, unstable, or a staggered first episode's cut
    terminated: np.ndarray
    truncated: np.ndarray
    unstable: np.ndarray
    ends: list[tuple[int, np.ndarray, np.ndarray]]  # (step, slots that ended, their true next states), in order

    @classmethod
    def empty(cls, steps: int, obs: np.ndarray, u: int, action_shape: tuple[int, ...], action_dtype: Any) -> SegmentLog:
        """Room for `steps` steps of slots that observe `obs` [G, *O]."""
        g, kept = len(obs), newest(obs)
        ended, terminated, truncated, unstable = np.zeros((4, steps, g), bool)
        return cls(
            np.empty((steps, *kept.shape), kept_dtype(obs)),
            [(0, slot, stack.copy()) for slot, stack in enumerate(obs)] if are_frames(obs) else [],
            np.empty((steps, g, u), np.float32),
            np.empty((steps, g, *action_shape), action_dtype),
            np.empty((steps, g)),
            ended,
            terminated,
            truncated,
            unstable,
            [],
        )

    def see(self, step: int, obs: np.ndarray) -> np.ndarray:
        """Keep what the slots observe before a step; returns it as the policy is to see it, [G, *O]."""
        self.obs[step] = newest(obs)
        return obs if are_frames(obs) else self.obs[step]

    def begin(self, step: int, slots: np.ndarray, obs: np.ndarray) -> None:
        """New episodes [n, *O] begin in some slots before this step."""
        if are_frames(obs):
            self.births += [(step, int(slot), stack.copy()) for slot, stack in zip(slots, obs, strict=True)]

    def observations(self, pieces: Segments, shape: tuple[int, ...]) -> Any:
        """All kept observations of the pieces [N, *O], piece after piece."""
        if not self.births:
            return self.obs[pieces.rows]
        stacks = {(step, slot): stack for step, slot, stack in self.births}
        step, slot = pieces.rows
        first = pieces.start[:-1]
        starts = zip(step[first].tolist(), slot[first].tolist(), np.diff(pieces.start).tolist(), strict=True)
        spans = [(at, where, length) for at, where, length in starts]
        kept = [self.obs[at : at + length, where] for at, where, length in spans]
        return along_paths([stacks[at, where] for at, where, _ in spans], kept, shape)


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

    last_obs = np.array(obs[slot], kept_dtype(obs))
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

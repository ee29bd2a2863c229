"""Pieces of trajectories: the raw material of batches, from blocks of slots that step under a frozen policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from trpolab.policies import Policy
from trpolab.sampling.batch import Episodes
from trpolab.sampling.errors import NonFinite
from trpolab.sampling.observations import ObservationLog, end_to_end, join_observations
from trpolab.sampling.play import Begun, Interrupt, Play, PlayedStep, first_fault, never, quietly
from trpolab.sampling.streams import Purpose, Streams
from trpolab.simulators.base import Simulator

Visit = Callable[[Play], None]


@dataclass(frozen=True)
class Trajectories:
    """S pieces of trajectories laid end to end, N steps in all.

    A piece ends where its episode ended (`terminated`), or where a time limit, the batch or an unstable simulator cut
    it: there `last_obs`, the true next state, is what a value function may be asked about.
    """

    obs: Any  # [N, *O] float64, or uint8 of pictures, or Frames
    actions: np.ndarray  # [N, *A] in the policy's units, unclipped
    old: np.ndarray  # [N, U] float32
    rewards: np.ndarray  # [N] float64
    t: np.ndarray  # [N] time step within the episode
    start: np.ndarray  # [S + 1] offsets of the pieces
    path: np.ndarray  # [S] which slot or path
    last_obs: np.ndarray  # [S, *O] float64, or uint8 of pictures
    terminated: np.ndarray  # [S] bool
    episodes: Episodes
    sim_steps: int
    clipped: int  # action components outside the bounds

    def __len__(self) -> int:
        return len(self.rewards)


@dataclass(frozen=True)
class Ongoing:
    """The episodes that a block of G slots has under way."""

    obs: np.ndarray  # [G, *O]
    t: np.ndarray  # [G] steps since the episode began
    score: np.ndarray  # [G] undiscounted return so far
    cut_at: np.ndarray  # [G] step at which a staggered first episode is cut; 0: never


def begin(
    simulator: Simulator,
    seeds: np.ndarray,
    first_slot: int,
    *,
    slots: int,
    limit: int | None = None,
    interrupt: Interrupt = never,
) -> Ongoing:
    """Work unit: fresh episodes in all slots of a block, from `seeds` [G]; of a time limit `limit`, staggered over it.

    Without staggering, tasks that never terminate run all slots in phase, and each batch sees one slice of the episode
    only. The first episode of slot i of all `slots` is cut after (i + 1) / slots of the limit; it reports no score.
    There is nothing that `interrupt` could stop.
    """
    obs = simulator.reset(None, seeds).copy()
    g = simulator.width
    cut_at = np.zeros(g, np.int64)
    if limit is not None:
        cut_at = np.maximum(1, (np.arange(first_slot, first_slot + g) + 1) * limit // slots)
        cut_at[cut_at >= limit] = 0
    return Ongoing(obs, np.zeros(g, np.int64), np.zeros(g), cut_at)


class SegmentLog:
    """What a block of G slots did in T steps, all of them in each step, as it happened; arrays are [T, G, ...]."""

    def __init__(self, steps: int, simulator: Simulator, policy: Policy):
        distribution, rows = policy.distribution, (steps, simulator.width)
        self.observed = ObservationLog(policy, simulator, (steps + 1) * simulator.width)
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

    def require_finite(self, play: Play, first_slot: int) -> None:
        """Raise NonFinite for the first reward or observation that is not finite, if any."""
        steps, g, rows = play.clock, self.rewards.shape[1], self.observed.rows
        pixels = rows.dtype == np.uint8  # always finite
        obs = np.zeros((steps, g, 0)) if pixels else rows[: (steps + 1) * g].reshape(steps + 1, g, -1)
        fault = first_fault(self.rewards[:steps], obs, self.unstable[:steps])
        if fault is not None:
            step, slot, field = fault
            play.refuse(f"slot {first_slot + slot}, step {step}", field)


@dataclass
class _GoingOn:
    """All slots go on with their episodes; where one is over, a new one begins."""

    simulator: Simulator
    ongoing: Ongoing
    policy: Policy
    noise: np.ndarray  # [T, G, noise_size]
    reset_seeds: np.random.Generator
    first_slot: int

    def begin(self, free: np.ndarray, play: Play) -> Begun:
        """In every free slot."""
        if play.clock == 0:
            return Begun(free, self.ongoing.obs, self.ongoing.t, self.ongoing.cut_at)
        seeds = self.reset_seeds.integers(0, 2**63 - 1, size=len(free), dtype=np.int64)
        return Begun(free, self.simulator.reset(free, seeds))

    def actions(self, parameters: np.ndarray, play: Play) -> np.ndarray:
        """Sampled with the noise of the batch's step."""
        return self.policy.distribution.sample_from(parameters, self.noise[play.clock])

    def called(self, row: int, play: Play) -> str:
        """By the slot's number among those of all blocks, and the step of the batch."""
        return f"slot {self.first_slot + row}, step {play.clock}"


@quietly
def advance(
    simulator: Simulator,
    ongoing: Ongoing,
    first_slot: int,
    *,
    policy: Policy,
    steps: int,
    streams: Streams,
    iteration: int,
    interrupt: Interrupt = never,
    visit: Visit | None = None,
) -> tuple[Trajectories, Ongoing]:
    """Work unit: `steps` steps in each of the G slots of a block, and the episodes that go on afterwards.

    Episodes that end are followed by new ones. `visit` is told of the loop before every step: the simulator then stands
    in the states that the loop shows. Raises NonFinite for a NaN or infinity in an action, an observation or a reward,
    and Interrupted.
    """
    g = simulator.width
    noise = policy.distribution.noise(streams.generator(iteration, Purpose.ACTION, first_slot), (steps, g))
    reset_seeds = streams.generator(iteration, Purpose.RESET, first_slot)
    starter = _GoingOn(simulator, ongoing, policy, noise, reset_seeds, first_slot)
    parameters, scaled = policy.actor(g).parameters, policy.scaled_actions
    play = Play(simulator, parameters, starter, interrupt, checks=False, scaled=scaled)
    log = SegmentLog(steps, simulator, policy)
    try:
        for step in range(steps):
            play.fill()
            log.see(play)
            if visit is not None:
                visit(play)
            log.add(step, play.step(), play)
        play.fill()
        log.see(play)
    except NonFinite:  # an action; if an observation or a reward led to it, that is named
        log.require_finite(play, first_slot)
        raise
    log.require_finite(play, first_slot)
    return cut(log, ongoing, first_slot, play)


def cut(log: SegmentLog, before: Ongoing, first_slot: int, play: Play) -> tuple[Trajectories, Ongoing]:
    """The log cut at the ends of episodes, slot by slot, and the episodes under way; they were `before` its first step.

    A step in which a simulator blew up is left out: its piece ends in the state in which that step was taken.
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
    age_before = np.where(carried, before.t[slot], 0)
    returns = np.add.reduceat(log.rewards.T.ravel(), first) + np.where(carried, before.score[slot], 0.0)
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

    last_obs = play.obs[slot].astype(log.observed.rows.dtype)
    if log.ends:
        at = np.concatenate([slots * steps + step for step, slots, _ in log.ends])
        last_obs[finished] = np.concatenate([states for _, _, states in log.ends])[np.argsort(at)]
    counts = stop - first + 1 - unstable
    kept = np.ones(steps * g, bool)
    kept[stop[unstable]] = False
    in_slot, at_step = np.divmod(np.flatnonzero(kept), steps)
    some = counts > 0
    start = np.concatenate([[0], np.cumsum(counts[some])])
    trajectories = Trajectories(
        obs=log.observed.along_paths(log.places[at_step] + in_slot, start),
        actions=log.actions[at_step, in_slot],
        old=log.old[at_step, in_slot],
        rewards=log.rewards[at_step, in_slot],
        t=np.concatenate([np.arange(a, a + n) for a, n in zip(age_before, counts, strict=True)]),
        start=start,
        path=first_slot + slot[some],
        last_obs=last_obs[some],
        terminated=(terminated & ~unstable)[some],
        episodes=episodes,
        sim_steps=play.sim_steps,
        clipped=play.bounds.count_outside(log.actions),
    )
    tail = np.flatnonzero(stop % steps == steps - 1)  # each slot's last piece
    running = ~finished[tail]
    age, score = np.where(running, lengths[tail], 0), np.where(running, returns[tail], 0.0)
    return trajectories, Ongoing(play.obs, age, score, play.cut_at)


def join(parts: list[Trajectories]) -> Trajectories:
    """Pieces of several blocks as one, in block order."""
    if len(parts) == 1:
        return parts[0]
    offsets = np.cumsum([0, *(len(part) for part in parts)])
    starts = [part.start[:-1] + offset for part, offset in zip(parts, offsets, strict=False)]
    episodes = [part.episodes for part in parts]
    return Trajectories(
        obs=join_observations([part.obs for part in parts]),
        **end_to_end(parts, "actions", "old", "rewards", "t", "path", "last_obs", "terminated"),
        start=np.concatenate([*starts, offsets[-1:]]),
        episodes=Episodes(
            **end_to_end(episodes, "returns", "lengths"),
            dropped=sum(each.dropped for each in episodes),
            unstable=sum(each.unstable for each in episodes),
        ),
        sim_steps=sum(part.sim_steps for part in parts),
        clipped=sum(part.clipped for part in parts),
    )

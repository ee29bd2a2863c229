"""Pieces of trajectories: the raw material of batches, from blocks of slots that step under a frozen policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from trpolab.policies import Policy
from trpolab.sampling.batch import Episodes
from trpolab.sampling.errors import NonFinite
from trpolab.sampling.observations import join_observations
from trpolab.sampling.play import Begun, Interrupt, Play, never, quietly
from trpolab.sampling.segments import SegmentLog, cut
from trpolab.sampling.streams import Purpose, Streams
from trpolab.simulators.base import Simulator

Visit = Callable[[Play], None]


@dataclass(frozen=True)
class Trajectories:
    """S pieces of trajectories laid end to end, N steps in all.

    A piece ends where its episode ended (`terminated`), or where a time limit, the batch or an unstable simulator cut
    it: there `last_obs`, the true next state, is what a value function may be asked about.
    """

    obs: Any  # [N, *O] float32, or Frames
    actions: np.ndarray  # [N, *A] unclipped
    old: np.ndarray  # [N, U] float32
    rewards: np.ndarray  # [N] float64
    t: np.ndarray  # [N] time step within the episode
    start: np.ndarray  # [S + 1] offsets of the pieces
    path: np.ndarray  # [S] which slot or path
    last_obs: np.ndarray  # [S, *O] float32, or uint8 where obs are Frames
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
        """By slot and step of the batch."""
        return self.place(row, play.clock)

    def place(self, slot: int, step: int) -> str:
        """The slot's number among those of all blocks, and the step of the batch."""
        return f"slot {self.first_slot + slot}, step {step}"


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
    play = Play(simulator, policy.actor(g).parameters, starter, interrupt, checks=False)
    log = SegmentLog(steps, g, policy)
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
        _require_finite(log, starter, play)
        raise
    _require_finite(log, starter, play)
    pieces = cut(log, ongoing.t, ongoing.score, play.obs)
    trajectories = Trajectories(
        obs=log.observations(pieces),
        actions=log.actions[pieces.rows],
        old=log.old[pieces.rows],
        rewards=log.rewards[pieces.rows],
        t=pieces.t,
        start=pieces.start,
        path=first_slot + pieces.slot,
        last_obs=pieces.last_obs,
        terminated=pieces.terminated,
        episodes=pieces.episodes,
        sim_steps=play.sim_steps,
        clipped=play.bounds.count_outside(log.actions),
    )
    return trajectories, Ongoing(play.obs, pieces.age, pieces.score, play.cut_at)


def _require_finite(log: SegmentLog, starter: _GoingOn, play: Play) -> None:
    if (fault := log.first_fault(play.clock)) is not None:
        step, slot, field = fault
        play.refuse(starter.place(slot, step), field)


def join(parts: list[Trajectories]) -> Trajectories:
    """Pieces of several blocks as one, in block order."""
    if len(parts) == 1:
        return parts[0]
    offsets = np.cumsum([0, *(len(part) for part in parts)])
    starts = [part.start[:-1] + offset for part, offset in zip(parts, offsets, strict=False)]

    def stack(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    episodes = Episodes(
        np.concatenate([part.episodes.returns for part in parts]),
        np.concatenate([part.episodes.lengths for part in parts]),
        sum(part.episodes.dropped for part in parts),
        sum(part.episodes.unstable for part in parts),
    )
    names = ("actions", "old", "rewards", "t", "path", "last_obs", "terminated")
    return Trajectories(
        obs=join_observations([part.obs for part in parts]),
        **{name: stack(name) for name in names},
        start=np.concatenate([*starts, offsets[-1:]]),
        episodes=episodes,
        sim_steps=sum(part.sim_steps for part in parts),
        clipped=sum(part.clipped for part in parts),
    )

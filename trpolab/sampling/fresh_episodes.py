"""Episodes that begin with a reset and have random streams of their own: whole paths, evaluation, candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trpolab.policies import Distribution
from trpolab.sampling.play import Begun, Play
from trpolab.sampling.streams import Purpose, Streams
from trpolab.simulators.base import Simulator

NOISE_CHUNK = 64  # steps of noise drawn at once for an episode; part of the meaning of a seed


@dataclass(frozen=True)
class Draw:
    """How episodes get their randomness: episode p's streams are keyed by (iteration, purpose, p)."""

    streams: Streams
    iteration: int
    action: Purpose = Purpose.ACTION
    reset: Purpose = Purpose.RESET
    deterministic: bool = False  # take the distribution's mode


@dataclass(frozen=True)
class Quota:
    """Which episodes a block plays: of the `blocks` blocks, block b plays b, b + blocks, b + 2 · blocks and so on.

    It plays those below `episodes`; or, without that number, as many as begin before `steps` steps are spent or due. An
    episode under way is expected to get as old as the oldest so far, or as `typical`, or as the horizon or the time
    limit, while fewer have ended than are under way.
    """

    blocks: int = 1
    episodes: int | None = None
    steps: int = 0
    typical: int | None = None


class FreshEpisodes:
    """One block's episodes of a quota, each from a reset to its end or the horizon."""

    def __init__(
        self,
        simulator: Simulator,
        distribution: Distribution,
        draw: Draw,
        quota: Quota,
        block: int,
        horizon: int | None,
        who: Callable[[int, int], str] = lambda slot, name: f"slot {slot}",
    ):
        """`who(slot, name)` is what an error calls an episode."""
        self._simulator, self._distribution, self._draw = simulator, distribution, draw
        self._quota, self._block, self._horizon, self._who = quota, block, horizon, who
        self.lengths: list[int] = []  # of the episodes that have ended; whoever plays adds them
        given = (horizon, simulator.time_limit, quota.typical)
        self._limit = min((limit for limit in given if limit is not None), default=0)
        self._begun = 0
        self._noise: dict[int, np.random.Generator] = {}  # by slot
        self._chunk = np.zeros((simulator.width, NOISE_CHUNK, distribution.noise_size), np.float32)

    def begin(self, free: np.ndarray, play: Play) -> Begun | None:
        """The next episodes of the quota."""
        count = self._wanted(len(free), play)
        if count == 0:
            return None
        names = self._block + self._quota.blocks * np.arange(self._begun, self._begun + count)
        self._begun += count
        draw, slots = self._draw, free[:count]
        for slot, name in zip(slots.tolist(), names.tolist(), strict=True):
            self._noise[slot] = draw.streams.generator(draw.iteration, draw.action, name)
        seeds = [draw.streams.seeds(1, draw.iteration, draw.reset, name) for name in names.tolist()]
        return Begun(names, self._simulator.reset(slots, np.concatenate(seeds)), cut_at=self._horizon)

    def actions(self, parameters: np.ndarray, play: Play) -> np.ndarray:
        """The distribution's mode, or sampled with the episodes' own noise."""
        if self._draw.deterministic:
            return self._distribution.mode(parameters)
        at = play.ages % NOISE_CHUNK
        for slot in play.slots[at == 0].tolist():
            self._chunk[slot] = self._distribution.noise(self._noise[slot], (NOISE_CHUNK,))
        return self._distribution.sample_from(parameters, self._chunk[play.slots, at])

    def called(self, row: int, play: Play) -> str:
        """By slot, or whatever `who` says, and the episode's age."""
        return f"{self._who(int(play.slots[row]), int(play.names[row]))}, step {play.ages[row]}"

    def _wanted(self, room: int, play: Play) -> int:
        """How many episodes are to begin, at most `room`."""
        quota = self._quota
        if quota.episodes is not None:
            return min(room, len(range(self._block, quota.episodes, quota.blocks)) - self._begun)
        ages = play.ages_under_way.tolist()
        expected = max(self.lengths, default=self._limit)
        if len(self.lengths) < len(ages):  # those that have ended so far are the short ones
            expected = max(expected, self._limit)
        due = play.sim_steps + sum(max(0, expected - age) for age in ages)
        count = 0
        while count < room and due < quota.steps:
            due += expected
            count += 1
        return count

"""Where a run stands between two iterations: everything that the next one depends on."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from trpolab.policies import Learner
from trpolab.sampling.trajectories import Ongoing
from trpolab.simulators.base import Replayable, Simulator, Snapshot, SnapshotUnsupported
from trpolab.training.config import Config

SCORE_WINDOW = 100  # episodes over which `load_policy(which="best")` ranks policies


@dataclass
class Progress:
    """What the loop carries from one iteration to the next."""

    learner: Learner
    iteration: int = 0
    sim_steps: int = 0
    nonfinite_in_a_row: int = 0
    recent_returns: deque[float] = field(default_factory=lambda: deque(maxlen=SCORE_WINDOW))

    @property
    def score(self) -> float | None:
        """Mean of the recent returns; None where no episode has ended yet."""
        return sum(self.recent_returns) / len(self.recent_returns) if self.recent_returns else None

    def copy(self) -> Progress:
        """The same, which stays as it is when the loop goes on."""
        return replace(self, recent_returns=copy.copy(self.recent_returns))


@dataclass(frozen=True)
class Block:
    """The episodes that one simulator has under way, and arrays that bring it back to where it stands in them."""

    ongoing: Ongoing
    simulator: dict[str, np.ndarray]


@dataclass(frozen=True)
class RunningEpisodes:
    """The episodes under way, one `Block` a simulator; none where the next iteration begins afresh.

    `cut` says why there are none although episodes are under way: their simulators' states can't be kept. A run that
    is taken up there begins new ones, and says so.
    """

    blocks: tuple[Block, ...] = ()
    cut: str = ""


@dataclass(frozen=True)
class TrainState:
    """A whole iteration's end. Nothing of it moves while the next one is under way."""

    config: Config  # that the iteration used; before the first one, that it is to use
    progress: Progress
    episodes: RunningEpisodes = RunningEpisodes()


def stand(simulators: Sequence[Simulator], ongoing: Sequence[Ongoing] | None) -> RunningEpisodes:
    """The episodes that these simulators have under way."""
    if ongoing is None:
        return RunningEpisodes()
    try:
        return RunningEpisodes(tuple(Block(going, _kept(sim)) for sim, going in zip(simulators, ongoing, strict=True)))
    except SnapshotUnsupported as error:
        return RunningEpisodes(cut=str(error))


def take_up(simulators: Sequence[Simulator], episodes: RunningEpisodes) -> list[Ongoing]:
    """Put simulators back into the episodes. Raises SnapshotUnsupported where one does not come to where it stood."""
    if len(simulators) != len(episodes.blocks):
        raise SnapshotUnsupported(f"{len(episodes.blocks)} blocks of slots were kept, and there are {len(simulators)}")
    for simulator, block in zip(simulators, episodes.blocks, strict=True):
        if isinstance(simulator, Replayable):
            simulator.relive(block.simulator)
        else:
            simulator.restore(None, Snapshot(block.simulator))
    return [block.ongoing for block in episodes.blocks]


def _kept(simulator: Simulator) -> dict[str, np.ndarray]:
    """Plain arrays that bring a simulator back. Raises SnapshotUnsupported."""
    if isinstance(simulator, Replayable):
        return simulator.past()
    parts = simulator.snapshot(None).parts
    if any(part.dtype == object for part in parts.values()):
        raise SnapshotUnsupported(f"{simulator.task}: its states are Python objects, which are never written to a file")
    return parts

"""The episodes that go on across iterations, as a checkpoint keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trpolab.sampling.trajectories import Ongoing
from trpolab.simulators.base import Replayable, Simulator, Snapshot, SnapshotUnsupported


@dataclass(frozen=True)
class Block:
    """The episodes that one simulator has under way, and arrays that bring it back to where it stands in them."""

    ongoing: Ongoing
    simulator: dict[str, np.ndarray]


@dataclass(frozen=True)
class RunningEpisodes:
    """The episodes under way, one `Block` a simulator; none where the next iteration begins afresh.

    `cut` says why none are kept although some are under way: their simulators' states can't be written to a file. A
    run that is resumed from here begins new episodes, and says so.
    """

    blocks: tuple[Block, ...] = ()
    cut: str = ""


def keep_episodes(simulators: Sequence[Simulator], ongoing: Sequence[Ongoing] | None) -> RunningEpisodes:
    """The episodes that these simulators have under way."""
    if ongoing is None:
        return RunningEpisodes()
    try:
        return RunningEpisodes(tuple(Block(going, _kept(sim)) for sim, going in zip(simulators, ongoing, strict=True)))
    except SnapshotUnsupported as error:
        return RunningEpisodes(cut=str(error))


def restore_episodes(simulators: Sequence[Simulator], episodes: RunningEpisodes) -> list[Ongoing]:
    """Put simulators back into their episodes. Raises SnapshotUnsupported where a simulator can't be brought back."""
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

"""The episodes that go on across iterations, as a checkpoint keeps them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from trpolab.sampling.errors import Interrupted
from trpolab.sampling.play import Interrupt, never
from trpolab.sampling.trajectories import Ongoing
from trpolab.simulators.base import Replayable, Simulator, Snapshot, SnapshotUnsupported

# Longer replays than these are not begun, or given up: the episodes begin anew.
MOST_STEPS = 50_000  # of all slots together
MOST_SECONDS = 120.0


@dataclass(frozen=True)
class Block:
    """The episodes that one simulator has under way, and arrays that bring it back to where it stands in them."""

    ongoing: Ongoing
    simulator: dict[str, np.ndarray]


@dataclass(frozen=True)
class RunningEpisodes:
    """The episodes under way, one `Block` a simulator; none where the next iteration begins afresh.

    `cut` says why none are kept although some are under way: their simulators' states can't be written to a file. A
    run that is resumed from here begins new episodes, and says so. Where episodes have to be replayed, `tell` is called
    with a sentence before, and `interrupt` gives the replay up.
    """

    blocks: tuple[Block, ...] = ()
    cut: str = ""
    tell: Callable[[str], None] = field(default=lambda sentence: None, compare=False)
    interrupt: Interrupt = field(default=never, compare=False)


def keep_episodes(simulators: Sequence[Simulator], ongoing: Sequence[Ongoing] | None) -> RunningEpisodes:
    """The episodes that these simulators have under way."""
    if ongoing is None:
        return RunningEpisodes()
    try:
        return RunningEpisodes(tuple(Block(going, _kept(sim)) for sim, going in zip(simulators, ongoing, strict=True)))
    except SnapshotUnsupported as error:
        return RunningEpisodes(cut=str(error))


def restore_episodes(simulators: Sequence[Simulator], episodes: RunningEpisodes) -> list[Ongoing]:
    """Put simulators back into their episodes.

    Raises SnapshotUnsupported where a simulator can't be brought back, or not soon enough, and Interrupted.
    """
    if len(simulators) != len(episodes.blocks):
        raise SnapshotUnsupported(f"{len(episodes.blocks)} blocks of slots were kept, and there are {len(simulators)}")
    replayed: list[tuple[Replayable, dict[str, np.ndarray]]] = []
    for simulator, block in zip(simulators, episodes.blocks, strict=True):
        if isinstance(simulator, Replayable):
            replayed.append((simulator, block.simulator))
        else:
            simulator.restore(None, Snapshot(block.simulator))
    _replay(replayed, episodes)
    return [block.ongoing for block in episodes.blocks]


def _replay(pasts: list[tuple[Replayable, dict[str, np.ndarray]]], episodes: RunningEpisodes) -> None:
    """Replay episodes within the bounds. Raises SnapshotUnsupported, Interrupted."""
    lengths = [int(steps) for _, past in pasts for steps in past["steps"] if steps]
    steps, began = sum(lengths), time.perf_counter()
    if steps > MOST_STEPS:
        raise SnapshotUnsupported(f"{steps:,} steps would have to be replayed; at most {MOST_STEPS:,} are")
    if steps:
        episodes.tell(f"{steps:,} steps of {len(lengths)} episodes, so that they go on where they stood")
    for simulator, past in pasts:
        for _ in simulator.relive(past):
            if episodes.interrupt():
                raise Interrupted
            if time.perf_counter() - began > MOST_SECONDS:
                raise SnapshotUnsupported(f"replaying {steps:,} steps takes longer than {MOST_SECONDS:g} s")


def _kept(simulator: Simulator) -> dict[str, np.ndarray]:
    """Plain arrays that bring a simulator back. Raises SnapshotUnsupported."""
    if isinstance(simulator, Replayable):
        return simulator.past()
    parts = simulator.snapshot(None).parts
    if any(part.dtype == object for part in parts.values()):
        raise SnapshotUnsupported(f"{simulator.task}: its states are Python objects, which are never written to a file")
    return parts

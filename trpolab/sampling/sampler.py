"""What a sampler is: its entry in `SAMPLERS`, what it is made of, and what the loop asks of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from trpolab.own import LIBRARY, OwnFunctions
from trpolab.policies import Learner, Policy
from trpolab.registry import REQUIRED, Entry, Registry
from trpolab.sampling.batch import Batch
from trpolab.sampling.play import Interrupt
from trpolab.sampling.population import Population
from trpolab.sampling.running_episodes import RunningEpisodes
from trpolab.sampling.streams import Streams
from trpolab.sampling.trajectories import Trajectories
from trpolab.sampling.workers.processes import Executor
from trpolab.simulators import Source
from trpolab.simulators.base import SnapshotUnsupported, Task


def first_steps(task: Task) -> int:
    """Steps under the starting policy that give the normaliser its first statistics; steps in Python may be slow."""
    return 256 if task.python else 1024


@dataclass(frozen=True)
class Resources:
    """What samplers of one run share."""

    source: Source
    task: Task
    slots: int
    threads: int
    streams: Streams
    processes: Executor | None = None  # where the task runs in worker processes, here or elsewhere


@dataclass(frozen=True)
class Returns:
    """How rewards become the values that are learned from, besides the sampler's own settings."""

    gamma: float
    state_weighting: str = "equal"  # or "discounted": γ^t
    signs: bool = False  # of each reward its sign alone
    own: OwnFunctions = LIBRARY  # functions of a person in the place of ours


@dataclass(frozen=True)
class Collected:
    """What one iteration sampled: the batch, and what the value function and the normaliser learn from."""

    batch: Batch | Population
    observed: Any  # [M, *O] trunk states, for the normaliser; the batch's constraint states
    features: Any  # [M, F] network inputs at `observed`, for the update and the value function
    targets: np.ndarray | None  # [M] regression targets of the value function at `observed`; None without one
    values: np.ndarray | None  # [M] what the old value function said there
    clipped_fraction: float


class Sampler(ABC):
    """Collects one batch an iteration. Simulators are made when they are first needed, and kept."""

    @abstractmethod
    def collect(
        self, learner: Learner, settings: Any, returns: Returns, iteration: int, interrupt: Interrupt
    ) -> Collected:
        """One iteration's batch under a frozen policy. Raises NonFinite, Interrupted."""

    def first_look(self, policy: Policy, settings: Any, interrupt: Interrupt) -> Trajectories | None:
        """Steps under the starting policy, for the normaliser; None: single path's will do."""
        return None

    def give_up(self) -> int:
        """Drop the episodes that go on across iterations; returns how many had begun."""
        return 0

    def running(self) -> RunningEpisodes:
        """The episodes that go on across iterations, as they stand now."""
        return RunningEpisodes()

    def restore(self, episodes: RunningEpisodes) -> None:
        """Go on with these episodes. Raises SnapshotUnsupported."""
        raise SnapshotUnsupported(f"{type(self).__name__} begins every batch with new episodes")

    @abstractmethod
    def close(self) -> None:
        """Give back simulators, threads and processes."""


@dataclass(frozen=True, kw_only=True)
class SamplerKind(Entry):
    """A sampler: how to make it, and what is known of it before anything is simulated.

    make(resources) -> `Sampler`, from what the samplers of a run share.
    cost(settings, task, slots) -> the most simulator steps of an iteration; `ends_early` says that it may take fewer.
    needs_restore: whether it needs a simulator whose states can be restored.
    needs_value(settings) -> whether a value function is fitted to its targets; without it, none is.
    problems(settings, task) -> why it can't run on the task, a sentence each.
    keeps(settings, task) -> how many states it keeps of an iteration, and the settings that say so in words; from that
    follows whether the memory suffices. None: not asked.

    `settings` is the dataclass of its own settings as they stand, None if it has none.
    """

    functions: ClassVar[dict[str, str]] = {
        "make": "resources",
        "cost": "settings, task, slots",
        "needs_value": "settings",
        "problems": "settings, task",
    }
    optional: ClassVar[dict[str, str]] = {"keeps": "settings, task"}

    make: Callable[[Resources], Sampler] = REQUIRED
    cost: Callable[[Any, Task, int], int] = REQUIRED
    ends_early: bool = False
    needs_restore: bool = False
    needs_value: Callable[[Any], bool] = lambda settings: False
    problems: Callable[[Any, Task], list[str]] = lambda settings, task: []
    keeps: Callable[[Any, Task], tuple[int, str]] | None = None


SAMPLERS: Registry[SamplerKind] = Registry("sampler", SamplerKind)

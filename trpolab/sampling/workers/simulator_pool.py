"""The simulators that sample, and the threads or processes that run work units on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from trpolab.sampling.errors import Interrupted
from trpolab.sampling.play import never
from trpolab.sampling.workers.processes import Bench, Executor, ProcessPool
from trpolab.simulators import SIMULATORS, Source, find_task, make
from trpolab.simulators.base import Simulator, Snapshot, SnapshotUnsupported, Task

Result = TypeVar("Result")
MOST_BLOCKS = 16  # that whole paths are spread over


class ParkedSimulator:
    """Stands for a block's simulator in a pool on processes, and keeps its state between two units."""

    def __init__(self, task: str, width: int):
        self.task, self.width = task, width
        self.state: Snapshot | None = None  # None: nothing goes on

    def snapshot(self, slots: None) -> Snapshot:
        """All slots, as the last unit left them."""
        if self.state is None:
            raise SnapshotUnsupported(f"{self.task}: no episodes are under way")
        return self.state

    def restore(self, slots: None, snapshot: Snapshot) -> None:
        """What the next unit begins with."""
        self.state = snapshot

    def close(self) -> None:
        """Nothing to give back."""


class SimulatorPool:
    """W slots in blocks, one simulator a block, worked on by at most `threads` threads or processes.

    A block is the unit of work: its width comes from the task or the sampler, not from the machine, so a batch does not
    depend on the number of threads. Tasks that step in Python stay in one thread: the interpreter's lock would get in
    the way. Those that hold it in C++ (`Task.runs_in_processes`) run in worker processes; then simulators live there,
    and what goes on from unit to unit is kept here as snapshots. `processes` lends an executor, for any task, that is
    closed elsewhere; without it the simulator pool makes its own process pool where the task needs one.
    """

    def __init__(
        self, task: Source, slots: int, threads: int, width: int | None = None, processes: Executor | None = None
    ):
        self.task: Task = find_task(task)
        if processes is not None:
            self.task = replace(self.task, runs_in_processes=True)
        if width is None:  # at least two blocks, so that one can step while the other gets its actions
            width = min(self.task.block, -(-slots // 2)) if self.task.block else slots
        self.widths = tuple(min(width, slots - first) for first in range(0, slots, width))
        self.first_slots = tuple(int(first) for first in np.cumsum([0, *self.widths[:-1]]))
        self.slots, self._source, self._most = slots, task, threads
        self._wider: SimulatorPool | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._processes, self._owns = processes, False
        if self.task.runs_in_processes:
            self.simulators: tuple[Any, ...] = tuple(ParkedSimulator(self.task.name, size) for size in self.widths)
            if processes is None:
                self._processes, self._owns = ProcessPool(threads), True
            return
        self.simulators = tuple(make(task, size) for size in self.widths)
        workers = 1 if self.task.python else min(threads, len(self.widths))
        self._threads = ThreadPoolExecutor(workers, "trpolab-sampler") if workers > 1 else None

    def __len__(self) -> int:
        """How many blocks there are."""
        return len(self.widths)

    def for_paths(self, steps: int, horizon: int) -> SimulatorPool:
        """A pool for whole paths of `steps` steps in all: this one, or one of more blocks, which is kept beside it.

        Blocks are doubled as long as every slot can expect a path. So more workers are busy, whatever `slots` is.
        """
        width, blocks = self.widths[0], len(self)
        lengths = (horizon, self.task.time_limit, self.task.typical)
        paths = steps // min(length for length in lengths if length is not None)
        while self.task.block is not None and 2 * blocks * width <= paths and 2 * blocks <= MOST_BLOCKS:
            blocks *= 2
        if blocks == len(self):
            return self
        if self._wider is None or len(self._wider) != blocks:
            if self._wider is not None:
                self._wider.close()
            self._wider = SimulatorPool(self._source, blocks * width, self._most, width, self._processes)
        return self._wider

    def map(
        self,
        unit: Callable[..., Result],
        *columns: Sequence[Any],
        interrupt: Callable[[], bool] = never,
        goes_on: bool = False,
    ) -> list[Result]:
        """`unit(simulator, ..., interrupt=interrupt)` for every block, results in block order.

        A unit is a function of a module, or a `functools.partial` of one. `goes_on` says that it finds the simulator as
        the unit before left it, and leaves it for the next one; others begin with a reset or a restore of every slot
        that they use. If units raise, all of them have ended before the first error is raised here.
        """
        rows = list(zip(*columns, strict=True)) if columns else [()] * len(self)
        if self.task.runs_in_processes:
            return self._map_processes(unit, rows, interrupt, goes_on)
        pairs = list(zip(self.simulators, rows, strict=True))
        if self._threads is None:
            return [unit(simulator, *row, interrupt=interrupt) for simulator, row in pairs]
        futures = [self._threads.submit(unit, simulator, *row, interrupt=interrupt) for simulator, row in pairs]
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            raise next((error for error in errors if not isinstance(error, Interrupted)), errors[0])
        return [future.result() for future in futures]

    def close(self) -> None:
        """Give back simulators, threads and processes."""
        if self._wider is not None:
            self._wider.close()
        if self._threads is not None:
            self._threads.shutdown()
        if self._processes is not None and self._owns:
            self._processes.close()
        for simulator in self.simulators:
            simulator.close()

    def _map_processes(
        self, unit: Callable[..., Result], rows: list[tuple[Any, ...]], interrupt: Callable[[], bool], goes_on: bool
    ) -> list[Result]:
        assert self._processes is not None
        states = [parked.state if goes_on else None for parked in self.simulators]
        work = [
            (id(self._source), SIMULATORS.of(self._source).make, self._source, width, unit, state, goes_on, row)
            for width, state, row in zip(self.widths, states, rows, strict=True)
        ]
        answers = self._processes.map(_run_unit, work, interrupt)
        if goes_on:
            for parked, (_, state) in zip(self.simulators, answers, strict=True):
                parked.state = state
        return [result for result, _ in answers]


def _run_unit(
    bench: Bench,
    key: int,
    make: Callable[[Source, int, int], Simulator],
    source: Source,
    width: int,
    unit: Callable[..., Result],
    state: Snapshot | None,
    goes_on: bool,
    row: tuple[Any, ...],
    interrupt: Callable[[], bool],
) -> tuple[Result, Snapshot | None]:
    """In a worker: one block's unit, between the snapshot that it begins with and the one that it leaves.

    The source's `key` is the same for all of a run's units, which a source that travelled need not be. `make` comes
    along, for kinds that were registered outside the package are not registered in a worker.
    """
    if (key, width) not in bench:
        bench[key, width] = make(source, width, 1)
    simulator: Simulator = bench[key, width]
    if state is not None:
        simulator.restore(None, state)
    result = unit(simulator, *row, interrupt=interrupt)
    return result, simulator.snapshot(None) if goes_on else None

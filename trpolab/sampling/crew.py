"""The simulators that sample, and the threads that run work units on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from trpolab.simulators import find_task, make
from trpolab.simulators.base import Simulator, Task

Result = TypeVar("Result")


class Interrupted(RuntimeError):
    """Sampling or updating was told to stop at once; nothing of the iteration counts."""


class NonFinite(ArithmeticError):
    """The task or the policy produced a NaN or infinity; the message names slot, step and field."""

    def __init__(self, message: str, sim_steps: int):
        self.sim_steps = sim_steps  # spent before it was found
        super().__init__(message)


class Crew:
    """W slots in blocks, one simulator a block, worked on by at most `threads` threads.

    A block is the unit of work: its width comes from the task or the sampler, not from the machine, so a batch does not
    depend on the number of threads. Tasks that step in Python stay in one thread: the interpreter's lock would get in
    the way.
    """

    def __init__(self, task: str | Callable[[], Any], slots: int, threads: int, width: int | None = None):
        self.task: Task = find_task(task)
        if width is None:  # at least two blocks, so that one can step while the other gets its actions
            width = min(self.task.block, -(-slots // 2)) if self.task.block else slots
        sizes = [min(width, slots - first) for first in range(0, slots, width)]
        self.simulators: tuple[Simulator, ...] = tuple(make(task, size) for size in sizes)
        self.first_slots = tuple(int(first) for first in np.cumsum([0, *sizes[:-1]]))
        self.slots = slots
        workers = 1 if self.task.python else min(threads, len(sizes))
        self._pool = ThreadPoolExecutor(workers, "trpolab-sampler") if workers > 1 else None

    def map(self, unit: Callable[..., Result], *columns: Sequence[Any]) -> list[Result]:
        """`unit(simulator, ...)` for every block, results in block order.

        If units raise, all of them have ended before the first error is raised here.
        """
        rows = list(zip(self.simulators, *columns, strict=True))
        if self._pool is None:
            return [unit(*row) for row in rows]
        futures = [self._pool.submit(unit, *row) for row in rows]
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            raise next((error for error in errors if not isinstance(error, Interrupted)), errors[0])
        return [future.result() for future in futures]

    def close(self) -> None:
        """Give back simulators and threads."""
        if self._pool is not None:
            self._pool.shutdown()
        for simulator in self.simulators:
            simulator.close()

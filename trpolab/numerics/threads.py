"""Sums over chunks of rows, computed on a few threads, and how NumPy's and torch's own threads are held down."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")


LEAST = 2  # items for each thread: with fewer, starting threads costs more than it gains


class _Held:
    """The blocks that hold threads down now, and what was there before: of the whole process, as these numbers are."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by: list[int] = []  # of every open block, its thread
        self.of_torch, self.of_blas = 1, list[int]()  # before the first of them


_HELD = _Held()
torch.get_num_threads()  # a thread keeps the number that it finds when it first asks: this one asks before any run


@contextlib.contextmanager
def few_threads(of_torch: int = 1) -> Iterator[None]:
    """Inside, BLAS uses one thread an operation, and torch so many in this thread.

    Several threads may be inside at a time, and leave in any order: each computes as if it were alone. BLAS has one
    number for the process: who comes in first sets it, and who leaves last restores it. Torch has one for each thread,
    and gives new threads the number that was set last, wherever that was: a thread goes back to what there was before
    anybody came in, unless it is in an outer block itself.
    """
    held, me = _HELD, threading.get_ident()
    with held.lock:
        if not held.by:
            held.of_torch, held.of_blas = torch.get_num_threads(), [library.num_threads for library in _blas()]
            _set_blas([1] * len(held.of_blas))
        before = torch.get_num_threads() if me in held.by else held.of_torch
        held.by.append(me)
        torch.set_num_threads(of_torch)
    try:
        yield
    finally:
        with held.lock:
            torch.set_num_threads(before)
            held.by.remove(me)
            if not held.by:
                _set_blas(held.of_blas)


def _set_blas(counts: list[int]) -> None:
    """Set the threads of each BLAS library, whichever thread has set them before."""
    for library, count in zip(_blas(), counts, strict=True):
        if library.num_threads != count:
            # newer versions of threadpoolctl let only one thread set them, and do nothing for others
            clear = getattr(library, "clear_controlling_thread", lambda force: None)
            clear(force=True)
            library.set_num_threads(count)
            clear(force=True)


class ThreadTeam:
    """Maps a function over chunks on `threads` threads, the caller's among them.

    NumPy lets other threads run during its products. While this context is open, BLAS and torch use one thread an
    operation: their own threads spin while they wait, which is slow for small matrices and worse on a busy machine.
    Results come in the order of the items, so that sums over them do not depend on the number of threads.

    >>> with ThreadTeam(2) as workers:
    ...     workers.map(abs, [-1, 2, -3])
    [1, 2, 3]
    """

    def __init__(self, threads: int = 1):
        if threads < 1:
            raise ValueError(f"threads = {threads}: must be at least 1")
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> ThreadTeam:
        self._open.enter_context(few_threads())
        if self.threads > 1:
            self._pool = self._open.enter_context(
                ThreadPoolExecutor(self.threads - 1, initializer=torch.set_num_threads, initargs=(1,))
            )
        return self

    def __exit__(self, *error: object) -> None:
        self._pool = None
        self._open.close()

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """[function(item) for item in items]; an exception of any call is raised."""
        stride = min(self.threads, len(items) // LEAST)
        if self._pool is None or stride < 2:
            return [function(item) for item in items]
        results: list[Any] = [None] * len(items)

        def run(first: int) -> None:
            for index in range(first, len(items), stride):
                results[index] = function(items[index])

        others = [self._pool.submit(run, first) for first in range(1, stride)]
        try:
            run(0)
        finally:
            for other in others:
                other.result()
        return results

    def add(self, function: Callable[[Item], Any], items: Sequence[Item], total: Any) -> Any:
        """Add function(item) of every item to the array or tensor `total`, in the order of the items; returns it."""
        for part in self.map(function, items):
            total += part
        return total


SERIAL = ThreadTeam(1)  # never opened: runs everything in the caller's thread


def in_chunks(rows: int, *arrays: Any) -> list[tuple[Any, ...]]:
    """What has a `split` (tensors, frames, samples), all equally long, cut into the same chunks of `rows` rows."""
    return list(zip(*(array.split(rows) for array in arrays), strict=True))


def summed(
    prepare: Callable[[Item], Callable[[Any], Any]], chunks: Sequence[Item], workers: ThreadTeam, keep: bool = True
) -> Callable[[Any, Any], Any]:
    """(v, total) ↦ total + Σ_c prepare(c)(v) over the chunks c, written to `total`: how products with Jacobians go.

    What `prepare` computes for a chunk (its activations) is kept for all products, or computed anew for each.
    """
    kept = workers.map(prepare, chunks) if keep else None

    def add(v: Any, total: Any) -> Any:
        if kept is not None:
            return workers.add(lambda multiply: multiply(v), kept, total)
        return workers.add(lambda chunk: prepare(chunk)(v), chunks, total)

    return add


@functools.cache
def _blas() -> list[Any]:
    """The BLAS libraries of this process; looking for them takes a millisecond."""
    return list(ThreadpoolController().select(user_api="blas").lib_controllers)

"""Worker processes that run work units: pure functions of their arguments, so that a unit can be run again anywhere.

A worker is a fresh interpreter, never a fork of one that has loaded torch, and never runs the caller's script. It
holds one numerical thread, ignores Ctrl-C, which is its parent's to handle, and ends when its parent does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from trpolab.sampling.errors import Interrupted, NonFinite, UnitFailed, WorkerLost
from trpolab.sampling.workers import transport as wire

DEADLINE = 600.0  # seconds that a unit may go on without a sign of life
BEAT = 10.0  # seconds between two signs of life; a unit gives one when it asks whether it is to stop
START = 120.0  # seconds that a worker may take to start
POLL = 0.2  # seconds between two looks at whether to give up
GRACE = 5.0  # seconds that workers have to give up what they do
# read by BLAS and torch when they are loaded, in the worker's first unit
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
BOOT = "from trpolab.sampling.workers.processes import serve; serve({data}, {life})"
PATH = "import sys; sys.path[:] = {path!r}; "

ALIVE = (-1, None, None)  # in place of an answer: the unit goes on
Bench = dict[Any, Any]  # what a worker keeps from unit to unit; a unit's result must not depend on it


class Executor(Protocol):
    """Workers in other processes, here or elsewhere."""

    events: list[dict[str, Any]]  # workers that were replaced; whoever reads empties it

    def map(
        self, unit: Callable[..., Any], rows: Sequence[tuple[Any, ...]], interrupt: Callable[[], bool]
    ) -> list[Any]:
        """[unit(bench, *row, interrupt=...) for each row], results in the order of the rows; see `ProcessPool.map`."""

    def close(self) -> None:
        """End every worker. Never raises, and may be called again."""


@dataclass
class _Worker:
    """One worker process, the connection to it, and the pipe that ends it."""

    process: subprocess.Popen[bytes]
    connection: Connection
    life: int  # the worker ends when this is closed
    index: int | None = None  # of the unit that it works on
    deadline: float = 0.0
    broken: bool = False  # an answer was read in part, so the next bytes can't be made sense of

    @staticmethod
    def start() -> _Worker:
        here, there = socket.socketpair()
        alive, life = os.pipe()
        try:
            code = PATH.format(path=sys.path) + BOOT.format(data=there.fileno(), life=alive)
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                pass_fds=(there.fileno(), alive),
                env={**os.environ, **ONE_THREAD},
                stdin=subprocess.DEVNULL,
            )
        finally:
            there.close()
            os.close(alive)
        return _Worker(process, Connection(here.detach()), life)

    def end(self) -> None:
        """Kill it and give everything back; never raises."""
        with contextlib.suppress(OSError):
            self.process.kill()
        with contextlib.suppress(OSError):
            self.connection.close()
        if self.life >= 0:
            with contextlib.suppress(OSError):
                os.close(self.life)
            self.life = -1
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)


@dataclass
class ProcessPool:
    """`count` workers, started when first used. Not to be used from two threads at a time.

    >>> with contextlib.closing(ProcessPool(2)) as pool:   # doctest: +SKIP
    ...     pool.map(unit, [(1,), (2,)])                   # [unit(bench, 1), unit(bench, 2)], in workers
    """

    count: int
    deadline: float = DEADLINE
    events: list[dict[str, Any]] = field(default_factory=list)  # workers that were replaced; whoever reads empties it
    _workers: list[_Worker] = field(default_factory=list)
    _closed: bool = False

    def map(
        self, unit: Callable[..., Any], rows: Sequence[tuple[Any, ...]], interrupt: Callable[[], bool] = lambda: False
    ) -> list[Any]:
        """[unit(bench, *row, interrupt=...) for each row], results in the order of the rows.

        `unit` is a function that workers can import. One whose worker dies or misses the deadline is run again by
        another; a second time on the same unit is WorkerLost. A unit that raises is UnitFailed, with the original
        traceback (Interrupted and NonFinite come as they are); when `interrupt` says so, Interrupted. After any of
        them no worker is busy any more.
        """
        if self._closed:
            raise RuntimeError("this pool of worker processes is closed")
        results: list[Any] = [None] * len(rows)
        waiting, losses, done = deque(range(len(rows))), [0] * len(rows), 0
        try:
            while done < len(rows):
                self._assign(unit, rows, waiting)
                for worker in self._ready():
                    reply = self._receive(worker)
                    if reply == ALIVE:
                        worker.deadline = time.monotonic() + self.deadline
                        continue
                    if reply is None:
                        self._replace(worker, waiting, losses)
                        continue
                    index, error, results[index] = reply
                    worker.index = None
                    if error is not None:
                        raise error
                    done += 1
                if interrupt():
                    raise Interrupted
        except BaseException:
            self._give_up()
            raise
        return results

    def pids(self) -> list[int]:
        """The workers' process ids."""
        return [worker.process.pid for worker in self._workers]

    def close(self) -> None:
        """End every worker. Never raises, and may be called again."""
        self._closed = True
        while self._workers:
            self._workers.pop().end()

    def _assign(self, unit: Callable[..., Any], rows: Sequence[tuple[Any, ...]], waiting: deque[int]) -> None:
        while waiting:
            worker = next((one for one in self._workers if one.index is None), None)
            fresh = worker is None
            if worker is None:
                if len(self._workers) >= self.count:
                    return
                worker = _Worker.start()
                self._workers.append(worker)
            worker.index = waiting.popleft()
            worker.deadline = time.monotonic() + self.deadline + (START if fresh else 0)
            with contextlib.suppress(OSError):  # a dead worker is found when its answer is read
                worker.connection.send((worker.index, unit, rows[worker.index]))

    def _ready(self) -> list[_Worker]:
        """Busy workers that have something to say, are dead, or are late."""
        busy = [worker for worker in self._workers if worker.index is not None]
        spoke = wait([worker.connection for worker in busy], POLL)
        now = time.monotonic()
        return [worker for worker in busy if worker.connection in spoke or now > worker.deadline]

    def _receive(self, worker: _Worker) -> tuple[int, Exception | None, Any] | None:
        """(unit, what it raised, its result), ALIVE, or None for a worker that is dead or late."""
        if time.monotonic() > worker.deadline:
            return None
        # one that stops in mid-answer would be waited for without end
        watch = threading.Timer(max(1.0, worker.deadline - time.monotonic()), worker.process.kill)
        watch.daemon = True
        watch.start()
        worker.broken = True
        try:
            reply: tuple[int, Exception | None, Any] = wire.receive(worker.connection)
        except (EOFError, OSError):
            return None
        finally:
            watch.cancel()
        worker.broken = False
        return reply

    def _replace(self, worker: _Worker, waiting: deque[int], losses: list[int]) -> None:
        late = time.monotonic() > worker.deadline
        worker.end()
        self._workers.remove(worker)
        index, code = worker.index, worker.process.returncode
        assert index is not None
        why = f"no answer within {self.deadline:g} s" if late else f"it ended with code {code}"
        losses[index] += 1
        if losses[index] > 1:
            raise WorkerLost(f"two worker processes were lost on the same work unit ({index}): {why}")
        self.events.append({"event": "worker_restarted", "unit": index, "message": f"a worker process was lost: {why}"})
        waiting.appendleft(index)

    def _give_up(self) -> None:
        """Tell busy workers to stop; one that does not within the grace is killed and started anew when needed."""
        busy = [worker for worker in self._workers if worker.index is not None]
        for worker in busy:
            with contextlib.suppress(OSError):
                worker.connection.send(None)
        until = time.monotonic() + GRACE
        for worker in busy:
            worker.deadline = until
            reply: Any = ALIVE
            while reply == ALIVE and not worker.broken:
                if not wait([worker.connection], max(0.0, until - time.monotonic())):
                    break
                reply = self._receive(worker)
            if reply not in (None, ALIVE):
                worker.index = None
            else:
                worker.end()
                self._workers.remove(worker)


def serve(data: int, life: int) -> None:
    """What a worker process runs: one unit after another, until the parent process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(life,), daemon=True).start()
    connection, bench, last = Connection(data), Bench(), time.monotonic()

    def interrupt() -> bool:
        nonlocal last
        if (now := time.monotonic()) - last > BEAT:
            last = now
            wire.send(connection, ALIVE)
        return connection.poll()  # the parent speaks to a busy worker only to stop it

    with contextlib.suppress(EOFError, OSError):
        while True:
            message = connection.recv()
            if message is None:  # a "stop" that came too late
                continue
            index, unit, row = message
            reply: tuple[int, Exception | None, Any]
            try:
                reply = (index, None, unit(bench, *row, interrupt=interrupt))
            except Exception as error:  # noqa: BLE001 - told to the parent, which raises it
                reply = (index, portable(error, index), None)
            wire.send(connection, reply)
            del reply  # a batch of pixels is not to lie here until the next one is done


def _end_with_parent(life: int) -> None:
    """Nothing is ever written to the pipe: reading it ends when the parent does, whatever this process is doing."""
    os.read(life, 1)
    os._exit(1)


def portable(error: Exception, index: int) -> Exception:
    """What a unit raised, as it travels."""
    if isinstance(error, Interrupted | NonFinite):
        return error
    return UnitFailed(f"work unit {index} raised {type(error).__name__}: {error}", traceback.format_exc())

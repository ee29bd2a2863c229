"""A trial that is under way: a process on this machine, or one that a worker on Ray has started where it runs."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trpolab.sampling.errors import Interrupted, UnitFailed, WorkerLost
from trpolab.sampling.workers.execution import LOCAL, Execution
from trpolab.sampling.workers.processes import ONE_THREAD, POLL
from trpolab.sampling.workers.ray_pool import ExecutorError, RayPool
from trpolab.settings import PlainError

BOOT = "import sys; sys.path[:] = {path!r}; from trpolab.experiments.trial import main; main()"
CRASHED = 1  # Python's exit code after a traceback
AWAY = "no such folder there: a grid on Ray needs a folder that all machines share"


class LocalJob:
    """A trial's process. Its numbers don't depend on how many run beside it: its threads are its own."""

    def __init__(self, asked: dict[str, Any], log: Path, threads: int):
        """`asked`: what `trial.main` reads; `log`: the file for what it prints."""
        with log.open("w", encoding="utf-8") as printed:
            self._process = subprocess.Popen(
                [sys.executable, "-c", BOOT.format(path=sys.path)],
                stdin=subprocess.PIPE, stdout=printed, stderr=printed, text=True,
                env={**os.environ, **dict.fromkeys(ONE_THREAD, str(threads))},
                start_new_session=True,  # the terminal's Ctrl-C is not for it
            )  # fmt: skip
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Tell it to end after the iteration under way: its input's end says so."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def wait(self, timeout: float | None = None) -> None:
        """Until it has ended."""
        self._process.wait(timeout)


class RayJob:
    """The same on a worker of its own. One that is lost is replaced once, and the trial goes on from its folder."""

    def __init__(self, pool: RayPool, asked: dict[str, Any], log: Path, threads: int):
        self._pool, self._stopping, self._code = pool, threading.Event(), CRASHED
        self._thread = threading.Thread(target=self._run, args=((asked, log, threads),), daemon=True)
        self._thread.start()

    def _run(self, row: tuple[Any, ...]) -> None:
        try:
            [self._code] = self._pool.map(hosted, [row], self._stopping.is_set)
        except (Interrupted, UnitFailed, WorkerLost, PlainError) as error:
            with contextlib.suppress(OSError):
                row[1].write_text(error.message if isinstance(error, UnitFailed) else str(error), encoding="utf-8")
        finally:
            self._pool.close()

    def poll(self) -> int | None:
        """The exit code, that of a crash if no worker could end it, for which the log has the reason; None: it runs."""
        return None if self._thread.is_alive() else self._code

    def stop(self) -> None:
        """Tell it to end after the iteration under way, for which it has as long as a worker's grace."""
        self._stopping.set()

    def kill(self) -> None:
        """The same: its worker is ended after the grace."""
        self._stopping.set()

    def wait(self, timeout: float | None = None) -> None:
        """Until it has ended."""
        self._thread.join(timeout)


def hosted(bench: Any, asked: dict[str, Any], log: Path, threads: int, interrupt: Callable[[], bool]) -> int:
    """A work unit: a trial's process on the worker's machine; its exit code."""
    if not log.parent.is_dir():
        raise ExecutorError(f"{str(log.parent)!r}: {AWAY}")
    job, told = LocalJob(asked, log, threads), False
    while (code := job.poll()) is None:
        if interrupt() and not told:
            told = True
            job.stop()
        time.sleep(POLL)
    job.stop()
    return code


class Jobs:
    """Starts jobs, on this machine or on Ray, to which the first one connects."""

    def __init__(self, executor: str, jobs: int, tell: Callable[[str], None]):
        """`jobs`: how many go on at a time. `tell` as for `RayPool`."""
        self._one, connected = (Execution(executor=executor, workers=count) for count in (1, jobs))
        self._connected = None if executor == LOCAL else RayPool(connected, tell)  # has no workers: jobs have their own

    def start(self, asked: dict[str, Any], log: Path, threads: int) -> LocalJob | RayJob:
        """A job for the trial that is `asked`. Raises ExecutorError where no Ray answers."""
        if self._connected is None:
            return LocalJob(asked, log, threads)
        self._connected.connect()
        return RayJob(RayPool(self._one, deadline=math.inf), asked, log.absolute(), threads)

    def close(self) -> None:
        """Leave Ray."""
        if self._connected is not None:
            self._connected.close()

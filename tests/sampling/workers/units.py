"""Work units for the tests of worker processes: importable there, pure but for the faults that they are asked for."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def square(bench, number, *, interrupt):
    return number * number


def pid(bench, *, interrupt):
    time.sleep(0.05)
    return os.getpid()


def dies(bench, number, marker, times, *, interrupt):
    """Kills its own process the first `times` times that it is run; `marker` counts them."""
    runs = Path(marker)
    done = len(runs.read_text()) if runs.exists() else 0
    if done < times:
        with runs.open("a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def hangs(bench, marker, *, interrupt):
    """Sleeps for ever the first time."""
    if not Path(marker).exists():
        Path(marker).touch()
        time.sleep(3600)
    return "answered"


def waits(bench, *, interrupt):
    """Works until it is told to stop."""
    from trpolab.sampling.errors import Interrupted

    while not interrupt():
        time.sleep(0.01)
    raise Interrupted


def raises(bench, number, *, interrupt):
    raise KeyError(f"number {number}")


def sleeps(bench, *, interrupt):
    time.sleep(3600)


def leaves_something(bench, number, *, interrupt):
    bench["seen"] = bench.get("seen", 0) + 1
    return number, bench["seen"]


def dies_before_it_answers(marker, forgets, bench, key, make, source, width, unit, state, goes_on, row, interrupt):
    """A pool's unit whose worker is killed, once, when the work is done and not yet told; `marker` says it was.

    With `forgets`, games that go on do so from where the worker has them, not from the state that came with the unit.
    """
    import numpy as np

    from trpolab.sampling.workers.simulator_pool import _run_unit

    if forgets and (key, width) not in bench:
        bench[key, width] = make(source, width, 1)
        bench[key, width].reset(None, np.zeros(width, np.int64))
    answer = _run_unit(bench, key, make, source, width, unit, None if forgets else state, goes_on, row, interrupt)
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return answer


def large(bench, number, *, interrupt):
    """Arrays below and above the size from which they travel by themselves; one of them no piece of memory."""
    import numpy as np

    whole = np.arange(300_000, dtype=np.int64) + number
    return {"small": whole[:5], "large": whole, "strided": whole[::2], "empty": whole[:0], "text": "x" * 100_000}


def dies_while_answering(bench, marker, *, interrupt):
    """Kills its own process, the first time, when a part of its answer is under way."""
    import numpy as np

    if not Path(marker).exists():
        Path(marker).touch()
        write = os.write

        def write_some_and_die(file, view):
            write(file, view[:1000])
            os.kill(os.getpid(), signal.SIGKILL)

        os.write = write_some_and_die
    return np.full(2**20, 7, np.uint8)


def works_for_long(bench, seconds, *, interrupt):
    """Asks all the while whether it is to stop, and gives signs of life more often than usual."""
    from trpolab.sampling.workers import processes

    processes.BEAT = 0.1
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert not interrupt()
        time.sleep(0.01)
    return "done"

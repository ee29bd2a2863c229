"""Checks of worker processes that both their tests and the planted faults use."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.sampling.workers import units
from trpolab.sampling.errors import WorkerLost
from trpolab.sampling.workers.processes import ProcessPool

SOON = 5.0  # seconds within which a worker must be gone
PARENT = """
from tests.sampling.workers import units
from trpolab.sampling.workers import processes
pool = processes.ProcessPool(2)
print(*set(pool.map(units.pid, [()] * 6)), flush=True)
pool.map(units.sleeps, [()] * 2)
"""


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone_within(pids: list[int], seconds: float) -> bool:
    """Whether all of them end in that time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def end(pids: list[int]) -> None:
    """Kill those that a fault has left."""
    for pid in filter(alive, pids):
        os.kill(pid, signal.SIGKILL)


def makes_a_death_good(pool: ProcessPool, folder: Path) -> None:
    """The second of four units kills its worker once: all four answer, and an event tells it."""
    rows = [(number, str(folder / f"{number}"), 1 if number == 1 else 0) for number in range(4)]
    assert pool.map(units.dies, rows) == [0, 1, 2, 3]
    assert [event["event"] for event in pool.events] == ["worker_restarted"]
    assert "code -9" in pool.events[0]["message"] and pool.events[0]["unit"] == 1


def gives_a_unit_up(pool: ProcessPool, folder: Path) -> None:
    """One that kills two workers is not given to a third."""
    with pytest.raises(WorkerLost, match="two worker processes were lost on the same work unit"):
        pool.map(units.dies, [(0, str(folder / "runs"), 2)])


def answers_in_spite_of_a_hang(folder: Path, patience: float = 60.0) -> None:
    """A unit that hangs once is answered by another worker, and the first is gone; after `patience`, Interrupted."""
    with contextlib.closing(ProcessPool(1)) as pool:
        pool.map(units.square, [(1,)])  # the worker is up
        pool.deadline = 0.5
        until, pids = time.monotonic() + patience, pool.pids()
        answers = pool.map(units.hangs, [(str(folder / "ran"),)], lambda: time.monotonic() > until)
        assert answers == ["answered"]
        assert "no answer within 0.5 s" in pool.events[0]["message"]
        assert gone_within(pids, SOON)


def closes_busy_and_dead() -> None:
    """Closing, twice, a pool of one busy worker and one that was killed raises nothing and leaves none."""
    pool = ProcessPool(2)
    pids = pool.map(units.pid, [()] * 4)
    thread = threading.Thread(target=busy_until_closed, args=(pool,))
    thread.start()
    time.sleep(0.3)
    os.kill(pids[0], signal.SIGKILL)
    try:
        pool.close()
        pool.close()
        assert gone_within(pids, SOON) and not pool.pids()
    finally:
        end(pids)
        thread.join(10)
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="closed"):
        pool.map(units.square, [(1,)])


def busy_until_closed(pool: ProcessPool) -> None:
    """What a thread does with a pool that another one closes."""
    with contextlib.suppress(Exception):
        pool.map(units.sleeps, [()] * 2)


def workers_go_with_their_parent(checkout: Path, script: str = PARENT) -> None:
    """A parent is killed while its two workers are in a unit that never looks up."""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=checkout)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    try:
        assert len(pids) == 2
        time.sleep(0.3)
        parent.kill()
        parent.wait()
        assert gone_within(pids, SOON)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
        end(pids)

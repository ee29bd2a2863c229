"""Worker processes: results in order; deaths, hangs and errors; nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.sampling import units
from trpolab.sampling.outcomes import Interrupted, UnitFailed, WorkerLost
from trpolab.sampling.processes import ProcessPool


@pytest.fixture
def pool() -> Iterator[ProcessPool]:
    pool = ProcessPool(2)
    yield pool
    pool.close()


def busy_until_closed(pool: ProcessPool) -> None:
    with contextlib.suppress(Exception):
        pool.map(units.sleeps, [()] * 2)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone_within(pids: list[int], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_results_come_in_the_order_of_the_units(pool: ProcessPool) -> None:
    assert pool.map(units.square, [(number,) for number in range(9)]) == [number**2 for number in range(9)]
    assert len(set(pool.map(units.pid, [()] * 6))) == 2 == len(pool.pids())
    assert pool.map(units.square, []) == []
    numbers, seen = zip(*pool.map(units.leaves_something, [(number,) for number in range(6)]), strict=True)
    assert numbers == tuple(range(6)) and sum(count == 1 for count in seen) <= 2


@pytest.mark.reliability("R20")
def test_a_killed_worker_costs_one_more_run_of_its_unit(pool: ProcessPool, tmp_path) -> None:
    rows = [(number, str(tmp_path / f"{number}"), 1 if number == 1 else 0) for number in range(4)]
    assert pool.map(units.dies, rows) == [0, 1, 2, 3]
    assert [event["event"] for event in pool.events] == ["worker_restarted"]
    assert "code -9" in pool.events[0]["message"] and pool.events[0]["unit"] == 1


@pytest.mark.reliability("R20")
def test_a_second_death_on_the_same_unit_ends_the_batch(pool: ProcessPool, tmp_path) -> None:
    with pytest.raises(WorkerLost, match="two worker processes were lost on the same work unit"):
        pool.map(units.dies, [(0, str(tmp_path / "runs"), 2)])
    assert pool.map(units.square, [(3,)]) == [9], "and the pool goes on"


@pytest.mark.reliability("R21")
def test_a_unit_that_hangs_is_run_again_elsewhere(tmp_path) -> None:
    with contextlib.closing(ProcessPool(1)) as pool:
        pool.map(units.square, [(1,)])  # the worker is up
        pool.deadline = 0.5
        began = time.monotonic()
        pids = pool.pids()
        assert pool.map(units.hangs, [(str(tmp_path / "ran"),)]) == ["answered"]
        assert time.monotonic() - began < 60
        assert "no answer within 0.5 s" in pool.events[0]["message"]
        assert gone_within(pids, 5)


@pytest.mark.reliability("R21")
def test_closing_ends_workers_that_are_busy_or_dead() -> None:
    pool = ProcessPool(2)
    pids = pool.map(units.pid, [()] * 4)
    thread = threading.Thread(target=lambda: busy_until_closed(pool))
    thread.start()
    time.sleep(0.3)
    os.kill(pids[0], signal.SIGKILL)
    pool.close()
    pool.close()
    assert gone_within(pids, 5) and not pool.pids()
    thread.join(10)
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="closed"):
        pool.map(units.square, [(1,)])


@pytest.mark.reliability("R22")
def test_an_error_comes_with_the_unit_and_the_original_traceback(pool: ProcessPool) -> None:
    with pytest.raises(UnitFailed, match=r"work unit \d raised KeyError") as caught:
        pool.map(units.raises, [(7,), (8,)])
    assert "units.py" in str(caught.value) and "number" in str(caught.value)
    assert pool.map(units.square, [(3,)]) == [9]


def test_an_interrupt_stops_every_busy_worker(pool: ProcessPool) -> None:
    pool.map(units.pid, [()] * 4)
    pids, began = set(pool.pids()), time.monotonic()
    with pytest.raises(Interrupted):
        pool.map(units.waits, [()] * 4, lambda: time.monotonic() > began + 0.5)
    assert set(pool.pids()) == pids, "workers that obeyed live on"
    assert pool.map(units.square, [(3,)]) == [9]


PARENT = """
import sys, threading, time
from tests.sampling import units
from trpolab.sampling.processes import ProcessPool
pool = ProcessPool(2)
print(*set(pool.map(units.pid, [()] * 6)), flush=True)
pool.map(units.sleeps, [()] * 2)
"""


@pytest.mark.reliability("R23")
def test_workers_end_with_a_killed_parent(checkout) -> None:
    """Even in the middle of a unit that never looks up."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd=checkout)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    assert gone_within(pids, 5)


def test_workers_ignore_ctrl_c(pool: ProcessPool) -> None:
    pids = pool.map(units.pid, [()] * 4)
    for pid in set(pids):
        os.kill(pid, signal.SIGINT)
    assert set(pool.map(units.pid, [()] * 4)) <= set(pids)


def test_a_script_without_a_main_guard_is_not_run_again_by_workers(tmp_path, checkout) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from tests.sampling import units\nfrom trpolab.sampling.processes import ProcessPool\n"
        "print('once')\npool = ProcessPool(1)\nprint(pool.map(units.square, [(5,)]))\npool.close()\n"
    )
    env = {**os.environ, "PYTHONPATH": str(checkout)}
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=env, check=True)
    assert ran.stdout.split() == ["once", "[25]"]

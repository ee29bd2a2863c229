"""Worker processes: results in order; deaths, hangs and errors; nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.sampling.workers import checks, units
from trpolab.sampling.errors import Interrupted, UnitFailed
from trpolab.sampling.workers.processes import ProcessPool


@pytest.fixture
def pool() -> Iterator[ProcessPool]:
    pool = ProcessPool(2)
    yield pool
    pool.close()


def test_results_come_in_the_order_of_the_units(pool: ProcessPool) -> None:
    assert pool.map(units.square, [(number,) for number in range(9)]) == [number**2 for number in range(9)]
    assert len(set(pool.map(units.pid, [()] * 6))) == 2 == len(pool.pids())
    assert pool.map(units.square, []) == []
    numbers, seen = zip(*pool.map(units.leaves_something, [(number,) for number in range(6)]), strict=True)
    assert numbers == tuple(range(6)) and sum(count == 1 for count in seen) <= 2


def test_arrays_of_any_size_arrive_as_they_were(pool: ProcessPool) -> None:
    for number, found in enumerate(pool.map(units.large, [(number,) for number in range(4)])):
        whole = np.arange(300_000) + number
        expected = {"small": whole[:5], "large": whole, "strided": whole[::2], "empty": whole[:0]}
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)
        assert found["text"] == "x" * 100_000
        found["large"] += 1  # a result is the caller's own


@pytest.mark.reliability("R20")
def test_a_worker_that_dies_in_mid_answer_is_made_good(pool: ProcessPool, tmp_path) -> None:
    (answer,) = pool.map(units.dies_while_answering, [(str(tmp_path / "marker"),)])
    assert len(answer) == 2**20 and (answer == 7).all()
    assert [event["event"] for event in pool.events] == ["worker_restarted"]


@pytest.mark.reliability("R20")
def test_a_killed_worker_costs_one_more_run_of_its_unit(pool: ProcessPool, tmp_path) -> None:
    checks.makes_a_death_good(pool, tmp_path)


@pytest.mark.reliability("R20")
def test_a_second_death_on_the_same_unit_ends_the_batch(pool: ProcessPool, tmp_path) -> None:
    checks.gives_a_unit_up(pool, tmp_path)
    assert pool.map(units.square, [(3,)]) == [9], "and the pool goes on"


@pytest.mark.reliability("R21")
def test_a_unit_that_hangs_is_run_again_elsewhere(tmp_path) -> None:
    checks.answers_in_spite_of_a_hang(tmp_path)


@pytest.mark.reliability("R21")
def test_a_unit_that_gives_signs_of_life_may_take_longer_than_the_deadline() -> None:
    pool = ProcessPool(1, deadline=1.0)
    try:
        pool.map(units.square, [(2,)])  # the worker has started
        assert pool.map(units.works_for_long, [(3.0,)]) == ["done"]
        assert pool.events == []
    finally:
        pool.close()


@pytest.mark.reliability("R20")
def test_an_interrupt_in_mid_answer_leaves_a_pool_that_works(pool: ProcessPool, monkeypatch) -> None:
    """What is left of the answer in the pipe must not be taken for another one."""
    pool.map(units.square, [(1,), (2,)])
    read, presses = os.readv, iter([KeyboardInterrupt])

    def read_some_and_stop(file, views):
        for press in presses:
            read(file, [views[0][:1000]])
            raise press
        return read(file, views)

    monkeypatch.setattr(os, "readv", read_some_and_stop)
    with pytest.raises(KeyboardInterrupt):
        pool.map(units.large, [(1,), (2,)])
    monkeypatch.undo()
    assert pool.map(units.square, [(number,) for number in range(5)]) == [0, 1, 4, 9, 16]
    assert pool.events == []


@pytest.mark.reliability("R21")
def test_closing_ends_workers_that_are_busy_or_dead() -> None:
    checks.closes_busy_and_dead()


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


@pytest.mark.reliability("R23")
def test_workers_end_with_a_killed_parent(checkout) -> None:
    """Even in the middle of a unit that never looks up."""
    checks.workers_go_with_their_parent(checkout)


def test_workers_ignore_ctrl_c(pool: ProcessPool) -> None:
    pids = pool.map(units.pid, [()] * 4)
    for pid in set(pids):
        os.kill(pid, signal.SIGINT)
    assert set(pool.map(units.pid, [()] * 4)) <= set(pids)


def test_a_script_without_a_main_guard_is_not_run_again_by_workers(tmp_path, checkout) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from tests.sampling.workers import units\nfrom trpolab.sampling.workers.processes import ProcessPool\n"
        "print('once')\npool = ProcessPool(1)\nprint(pool.map(units.square, [(5,)]))\npool.close()\n"
    )
    env = {**os.environ, "PYTHONPATH": str(checkout)}
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=env, check=True)
    assert ran.stdout.split() == ["once", "[25]"]

"""Long runs and many runs: memory, files and threads stay where they were. Measured in a process of its own."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.faults.points import plant
from tests.reliability.runs import session
from trpolab.selftest.children import CARTPOLE, child

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")

TINY = {"steps_per_iteration": 32, "slots": 4, "hidden": (4,), "value.hidden": (4,)}
SLOPE = 1.0  # MB of resident memory for 1,000 iterations
PATIENCE = 1800.0


@dataclass(frozen=True)
class Grown:
    """What a process has more of at the end than after its warm-up."""

    slope: float  # MB of resident memory for 1,000 iterations, or for one run
    files: int
    threads: int
    children: int
    widgets: int = 0


def resident() -> float:
    """MB of this process's memory that is resident."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def open_things() -> tuple[int, int]:
    """Open files and threads of this process."""
    return len(os.listdir("/proc/self/fd")), threading.active_count()


def slope(points: list[tuple[int, float]]) -> float:
    """MB for 1,000 iterations, by least squares."""
    at, used = np.array(points).T
    return float(np.polyfit(at, used, 1)[0] * 1000)


def long_run(answer: Any, out: Path, iterations: int, warm: int, fault: str) -> None:
    """In a child: one run on disk, sampled as it goes."""
    if fault:
        plant(fault, pytest.MonkeyPatch())
    points, start = [], (0, 0)
    for iteration in session(out=out, iterations=iterations, **TINY).iterate():
        if iteration.index == warm:
            gc.collect()
            start = open_things()
        if iteration.index >= warm and iteration.index % 50 == 0:
            points.append((iteration.index, resident()))
            now = open_things()
    answer.send(Grown(slope(points), now[0] - start[0], now[1] - start[1], len(multiprocessing.active_children())))


def long_lab(answer: Any, iterations: int, updates: int) -> None:
    """In a child: a lab that is drawn again and again while it trains."""
    from ipywidgets import Widget

    from trpolab.lab import Lab

    made: list[Any] = []
    settings = {name: value for name, value in {**CARTPOLE, **TINY}.items() if name != "task"}
    lab = Lab("CartPole-v1", out=None, **settings)
    lab.view.stroke()  # make the widgets: a lab that is never shown has none
    points, start = [], (0, 0)
    for done in range(1, updates + 1):
        lab.run(block=True, iterations=iterations // updates)
        lab.refresh()
        if done == updates // 2:
            gc.collect()
            start = open_things()
            Widget.on_widget_constructed(made.append)
        if done >= updates // 2 and done % 10 == 0:
            points.append((len(lab.history), resident()))
    now = open_things()
    _, (added, *_) = lab.view.charts.answer("rows", {"run": 0, "rows": len(lab.history) - 1})
    lab.close()
    answer.send((Grown(slope(points), now[0] - start[0], now[1] - start[1], 0, len(made)), len(added)))


def many_runs(answer: Any, out: Path, runs: int, leak: bool) -> None:
    """In a child: runs one after another, of every kind of task, each on disk and stopped half-way."""
    kept: list[Any] = []
    names = ("cart-pole", "Swimmer", "vine", "Gymnasium")
    start, before = (0, 0), 0.0
    for number in range(runs):
        run = session(names[number % len(names)], out=out, iterations=3)
        loop = run.iterate()
        next(loop)
        if leak:
            kept += [loop, bytearray(2_000_000)]
        else:
            loop.close()
        del run, loop
        if number == max(len(names) * 2, runs // 5):
            gc.collect()
            start, before = open_things(), resident()
    gc.collect()
    now = open_things()
    grown = Grown(resident() - before, now[0] - start[0], now[1] - start[1], len(multiprocessing.active_children()))
    answer.send(grown)


@contextlib.contextmanager
def answer_of(work: Callable[..., None], *given: Any) -> Iterator[Any]:
    """What a child sends back."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = child(work, there, *given)
    there.close()
    assert here.poll(PATIENCE), "no answer"
    yield here.recv()
    process.join(60)


def stays_flat(out: Path, iterations: int, warm: int, most: float = SLOPE, fault: str = "") -> None:
    """R30: memory grows by less than `most` MB for 1,000 iterations; nothing else grows at all."""
    with answer_of(long_run, out, iterations, warm, fault) as grown:
        print(f"{iterations} iterations: {grown}")
        assert grown.slope < most
        assert (grown.files, grown.threads, grown.children) == (0, 0, 0)


def gives_back(out: Path, runs: int, leak: bool = False) -> None:
    """R31: after many runs memory is back within 30 MB, and no file, thread or child is left."""
    with answer_of(many_runs, out, runs, leak) as grown:
        print(f"{runs} runs: {grown}")
        assert grown.slope < 30
        assert (grown.files, grown.threads, grown.children) == (0, 0, 0)


@pytest.mark.reliability("R30")
def test_a_few_hundred_iterations(tmp_path: Path) -> None:
    stays_flat(tmp_path, 300, 100, most=8.0)  # short: the heap still settles


@pytest.mark.soak
@pytest.mark.reliability("R30")
def test_two_thousand_iterations(tmp_path: Path) -> None:
    stays_flat(tmp_path, 4000, 2000)


@pytest.mark.soak
@pytest.mark.reliability("R30")
def test_two_thousand_iterations_drawn_five_hundred_times() -> None:
    pytest.importorskip("ipywidgets")

    with answer_of(long_lab, 2000, 500) as (grown, sent):
        print(f"drawn: {grown}, {sent} bytes for a new iteration")
        assert (grown.files, grown.threads, grown.widgets) == (0, 0, 0)
        assert sent < 200  # however long the history is
        assert grown.slope < 4.0  # measured: none; pictures come and go


@pytest.mark.reliability("R31")
def test_a_dozen_runs(tmp_path: Path) -> None:
    gives_back(tmp_path, 14)


@pytest.mark.soak
@pytest.mark.reliability("R31")
def test_fifty_runs(tmp_path: Path) -> None:
    gives_back(tmp_path, 50)

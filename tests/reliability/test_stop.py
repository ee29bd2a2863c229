"""Stop, once and twice, in each phase of an iteration; and the kernel's interrupt."""

from __future__ import annotations

import _thread
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.points import replace
from tests.reliability.runs import session, whole
from trpolab.cli import train as command
from trpolab.cli.exits import Exit
from trpolab.runs.reader import read_status
from trpolab.selftest.children import CARTPOLE, until
from trpolab.selftest.expect import expect_same, fingerprint
from trpolab.training.session import Session

SECONDS = 2.0  # until Stop has been obeyed, on a quiet machine
PHASES = {
    "rollout": "single path: rollout",
    "GAE": "single path: advantages",
    "CG": "TRPO: conjugate gradient",
    "line search": "TRPO: line search",
    "value fit": "loop: value fit",
    "checkpoint": "checkpoint: write",
}
AT = 3  # the iteration in which it is stopped


def in_phase(phase: str, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have `act` called when the phase begins in iteration `AT`; the result is to be told of every iteration."""
    now = [1]

    def hooked(honest: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            if now[0] == AT:
                now[0] = -1
                act()
            return honest(*given, **named)

        return call

    replace(PHASES[phase], hooked, monkeypatch)

    def tell(done: int) -> None:
        # writing a checkpoint is the end of an iteration, the other phases belong to the next one
        now[0] = done + 1 if now[0] > 0 else -1

    return tell


def stops(phase: str, times: int, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R5 and R6: stop in a phase, once or twice; whatever was whole stays, the rest never was."""
    reference = session(iterations=6, checkpoint_every=1)
    prints = {iteration.index: fingerprint(reference) for iteration in reference.iterate()}
    run = session(out=out, iterations=6, checkpoint_every=1)
    began: list[float] = []

    def stop() -> None:
        began.append(time.monotonic())
        for _ in range(times):
            run.controls.stop()

    tell = in_phase(phase, stop, monkeypatch)
    for iteration in run.iterate():
        tell(iteration.index)
    assert time.monotonic() - began[0] < 10 * SECONDS
    given_up = times == 2 and phase not in ("checkpoint",)
    assert run.progress.iteration == (AT - 1 if given_up else AT)
    assert fingerprint(run) == prints[run.progress.iteration]
    assert run.state == "stopped" and run.path is not None
    assert read_status(run.path).state == "stopped"
    assert whole(run.path).iteration == run.progress.iteration
    assert multiprocessing.active_children() == []
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("trpolab-heart")] == []
    expect_same(run.run(), reference)  # in this process


@pytest.mark.reliability("R5", "R6")
@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("phase", sorted(PHASES))
def test_stop_in_each_phase(phase: str, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    multiprocessing.active_children()  # those of other tests
    stops(phase, times, tmp_path, monkeypatch)


@pytest.mark.reliability("R5")
@pytest.mark.parametrize("phase", sorted(PHASES))
def test_the_kernels_interrupt_in_each_phase(phase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a notebook's stop button does to `trpolab.train`: KeyboardInterrupt, anywhere."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    reference = session(iterations=5, checkpoint_every=1).run()
    run = session(out=tmp_path, iterations=5, checkpoint_every=1)
    tell = in_phase(phase, interrupt, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        for iteration in run.iterate():
            tell(iteration.index)
    assert run.state == "stopped" and run.path is not None
    assert whole(run.path).iteration == run.progress.iteration == (AT if phase == "checkpoint" else AT - 1)
    expect_same(Session(resume=run.path).run(), reference)


@pytest.mark.reliability("R5")
def test_the_kernels_interrupt_pauses_a_blocking_lab(tmp_path: Path) -> None:
    lab_module = pytest.importorskip("trpolab.lab")
    reference = session(iterations=10_000)
    lab = lab_module.Lab(out=tmp_path, checkpoint_every=1, **CARTPOLE)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where tests run in the background
    try:
        timer = threading.Timer(0.3, _thread.interrupt_main)
        timer.start()
        lab.run(block=True)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    until(lambda: lab.state == "paused")
    done = lab.session.progress.iteration
    assert whole(lab.session.path).iteration == done > 0
    for iteration in reference.iterate():
        if iteration.index == done:
            break
    assert fingerprint(lab.session) == fingerprint(reference)
    lab.view.page.buttons["stop"].click()
    until(lambda: lab.state == "stopped")
    lab.close()


@pytest.mark.reliability("R5")
def test_stop_while_the_lab_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab_module = pytest.importorskip("trpolab.lab")
    lab = lab_module.Lab(out=tmp_path, **CARTPOLE)
    charts, pressed = lab.view.charts, []
    honest = charts.update

    def update(*given: Any) -> None:
        if not pressed:
            pressed.append(lab.view.page.buttons["stop"].click())
        honest(*given)

    monkeypatch.setattr(charts, "update", update)
    lab.run()
    until(lambda: lab.state == "stopped")
    assert pressed and whole(lab.session.path).iteration == lab.session.progress.iteration
    lab.run(block=True, iterations=2)
    lab.close()


@pytest.mark.reliability("R6")
def test_two_quick_ctrl_c_in_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the middle of an iteration that would take a minute."""
    run = session(out=tmp_path, iterations=5, checkpoint_every=1)
    steps, began = [256], [0.0]

    def press() -> None:
        time.sleep(0.3)
        began[0] = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    honest = run.iterate

    def iterate() -> Any:
        for iteration in honest():
            if iteration.index == 2:
                run.controls.replace(steps_per_iteration=4_000_000)
                presser.start()
            yield iteration

    run.iterate = iterate  # type: ignore[method-assign]
    assert command.run(run) is Exit.INTERRUPTED
    assert time.monotonic() - began[0] < 10 * SECONDS
    presser.join()
    assert "stopping after this iteration" in capsys.readouterr().out
    assert run.path is not None and read_status(run.path).state == "stopped"
    assert whole(run.path).iteration == 2
    again = Session(resume=run.path, iterations=4, steps_per_iteration=steps[0]).run()
    same_but_asked(again)


def same_but_asked(run: Session) -> None:
    """The run whose iterations were never long."""
    reference = session(iterations=4).run()
    assert fingerprint(run) == fingerprint(reference)

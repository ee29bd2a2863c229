"""Ctrl-C in the middle of a write to the terminal."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

from trpolab.cli.train import _interrupts
from trpolab.training.controls import Controls
from trpolab.training.progress import ProgressLine


class Touchy:
    """A stream that must not be written to while it is being written to, as Python's own buffers."""

    def __init__(self) -> None:
        self.text, self.writing, self.during = "", False, lambda: None

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        assert not self.writing, "written to from inside a write"
        self.writing = True
        during, self.during = self.during, lambda: None
        during()
        self.text += text
        self.writing = False

    def flush(self) -> None:
        pass


METRICS = {"iteration": 1, "sim_steps": 10, "return_mean": 1.0, "kl_mean": 0.01, "outcome": "accepted"}


def test_a_signal_during_a_write_is_told_after_it(monkeypatch) -> None:
    from trpolab.simulators import find_task
    from trpolab.training.config import resolve

    task = find_task("CartPole-v1")
    session = SimpleNamespace(controls=Controls(resolve(task), task), path="here")
    stream = Touchy()
    progress = ProgressLine(stream, 5)
    stream.during = lambda: os.kill(os.getpid(), signal.SIGINT)
    with _interrupts(session, progress):
        progress.show(METRICS)
    assert session.controls.stopping
    line, _, note = stream.text.partition("stopping after this iteration")
    assert "iteration 1/5" in line and "the run lies in here" in note

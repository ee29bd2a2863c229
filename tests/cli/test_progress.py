"""ProgressLine in a terminal and in a log."""

from __future__ import annotations

import io
from typing import Any

import pytest

from trpolab.cli.progress import ProgressLine, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def metrics(iteration: int, **changes: Any) -> dict[str, Any]:
    about = {"iteration": iteration, "sim_steps": 1000 * iteration, "return_mean": 12.34, "kl_mean": 0.0098}
    return {**about, "outcome": "accepted", **changes}


def test_a_terminal_gets_one_line_that_is_redrawn() -> None:
    stream, clock = Terminal(), Clock()
    progress = ProgressLine(stream, 4, clock=clock)
    for iteration in (1, 2):
        clock.now += 0.5
        progress.show(metrics(iteration))
    assert "\n" not in stream.getvalue()
    last = stream.getvalue().split("\r")[-1]
    assert last == "iteration 2/4  return 12.3  KL 0.0098  2,000 steps/s  0:01 left\x1b[K"
    progress.close()
    assert stream.getvalue().endswith("left\x1b[K\n")


def test_a_line_never_reaches_the_edge_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    stream = Terminal()
    ProgressLine(stream, 4, clock=Clock()).show(metrics(1))
    assert len(stream.getvalue().removeprefix("\r").removesuffix("\x1b[K")) == 29


def test_a_note_stays_above_the_line() -> None:
    stream = Terminal()
    progress = ProgressLine(stream, 4, clock=Clock())
    progress.show(metrics(1))
    line = stream.getvalue()
    progress.note("look")
    assert stream.getvalue() == f"{line}\r\x1b[Klook\n{line}"


def test_a_log_gets_whole_lines_now_and_then_and_the_last() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = ProgressLine(stream, 100, every=5.0, clock=clock)
    for iteration in range(1, 101):
        clock.now += 0.125
        progress.show(metrics(iteration))
    progress.close()
    shown = [line.split()[1] for line in stream.getvalue().splitlines()]
    assert shown == ["1/100", "41/100", "81/100", "100/100"]
    assert "\r" not in stream.getvalue() and "\x1b" not in stream.getvalue()


def test_what_does_not_apply_is_a_dash_and_a_bad_outcome_is_named() -> None:
    stream = io.StringIO()
    ProgressLine(stream, 1, clock=Clock()).show(
        metrics(1, return_mean=None, kl_mean=None, outcome="rejected_line_search")
    )
    assert "return -  KL -" in stream.getvalue()
    assert stream.getvalue().endswith("rejected_line_search\n")


def test_a_batch_without_a_finished_episode_shows_the_recent_return() -> None:
    stream = io.StringIO()
    ProgressLine(stream, 1, clock=Clock()).show(metrics(1, return_mean=None, return_recent=7.0))
    assert "return 7.0" in stream.getvalue()


def test_a_resumed_run_counts_its_own_speed_only() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = ProgressLine(stream, 20, done=10, sim_steps=10_000, clock=clock)
    clock.now += 1
    progress.show(metrics(11))
    assert stream.getvalue().startswith("iteration 11/20")
    assert "1,000 steps/s  0:09 left" in stream.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text

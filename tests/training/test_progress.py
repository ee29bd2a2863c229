"""Lines of progress in a terminal, in a log, and below a notebook's cell."""

from __future__ import annotations

import io
import re
import sys
from typing import Any

import pytest

import trpolab
from trpolab.training.progress import ProgressLine, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """What a person sees: each line as it was last drawn, without the bar."""
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.getvalue())
        return [line.rsplit("\r", 1)[-1].rstrip(" ━╸╺") for line in re.split(r"\r?\n", plain)]


@pytest.fixture(autouse=True)
def a_usual_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


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
    assert stream.lines() == ["iteration 0/4"]
    for iteration in (1, 2):
        clock.now += 0.5
        progress.show(metrics(iteration))
    assert stream.lines() == ["iteration 2/4  return 12.3  KL 0.0098  2,000 steps/s  0:01 left"]
    assert stream.getvalue().count("━") > 20
    progress.close()
    assert stream.lines() == ["iteration 2/4  return 12.3  KL 0.0098  2,000 steps/s  0:01 left", ""]


def test_a_run_of_so_many_steps_counts_those() -> None:
    stream, clock = Terminal(), Clock()
    progress = ProgressLine(stream, 10**6, 8000, clock=clock)
    assert stream.lines() == ["iteration 0  0/8,000 steps"]
    for iteration in (1, 2):
        clock.now += 0.5
        progress.show(metrics(iteration))
    assert stream.lines()[-1].startswith("iteration 2  2,000/8,000 steps  return 12.3")
    assert stream.lines()[-1].endswith("0:03 left")


def test_a_long_iteration_is_said_to_be_under_way_less_and_less_often() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = ProgressLine(stream, 4, clock=clock)
    for _ in range(70):
        progress.wait()
        clock.now += 1
    told = stream.getvalue().splitlines()
    assert told[0] == "iteration 1/4 has been under way for 0:05"
    assert [line.split()[-1] for line in told] == ["0:05", "0:10", "0:20", "0:40"]
    progress.show(metrics(1))
    clock.now += 6
    progress.wait()
    assert stream.getvalue().splitlines()[-1] == "iteration 2/4 has been under way for 0:06"


@pytest.mark.parametrize("columns", [10, 30, 64, 100])
def test_a_line_never_grows_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    progress = ProgressLine(stream, 4, clock=Clock())
    progress.show(metrics(1))
    progress.close()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "\n" not in plain.rstrip("\n") and max(map(len, re.split(r"[\r\n]", plain))) == columns


def test_what_is_printed_meanwhile_stays_above_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    progress = ProgressLine(stream, 4, clock=Clock())
    progress.show(metrics(1))
    (line,) = stream.lines()
    progress.note("look [bold]")
    print("a task's own words")
    progress.note("w" * 150)
    assert stream.lines() == ["look [bold]", "a task's own words", "w" * 150, line]
    progress.close()
    assert sys.stdout is stream


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("TTY_INTERACTIVE", "0")])
def test_a_terminal_that_redraws_nothing_gets_whole_lines(name: str, value: str, monkeypatch) -> None:
    monkeypatch.setenv(name, value)
    stream = Terminal()
    progress = ProgressLine(stream, 1, clock=Clock())
    progress.show(metrics(1))
    progress.close()
    assert stream.getvalue().startswith("iteration 1/1  return 12.3") and stream.getvalue().count("\n") == 1
    assert "\r" not in stream.getvalue() and "\x1b" not in stream.getvalue()


def test_no_color_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    progress = ProgressLine(stream, 1, clock=Clock())
    progress.show(metrics(1))
    progress.close()
    assert not re.search(r"\x1b\[[0-9;]*m", stream.getvalue())


@pytest.mark.parametrize("colours", ["", "1"])
def test_a_log_gets_whole_lines_now_and_then_and_the_last(colours: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if colours:  # asked for where programs write into a log of which a browser shows the colours
        monkeypatch.setenv("FORCE_COLOR", colours)
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
    assert "return —  KL —" in stream.getvalue()
    assert stream.getvalue().endswith("rejected_line_search\n")


def test_a_batch_without_a_finished_episode_shows_no_return_of_earlier_ones() -> None:
    stream = io.StringIO()
    ProgressLine(stream, 1, clock=Clock()).show(metrics(1, return_mean=None, return_recent=7.0))
    assert "return —  KL 0.0098" in stream.getvalue()


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


class OutStream(io.StringIO):
    """What a notebook's kernel puts in the place of standard output."""

    __module__ = "ipykernel.iostream"


SMALL: dict[str, Any] = {"iterations": 3, "steps_per_iteration": 64, "slots": 2, "hidden": (4,), "out": None}


@pytest.mark.parametrize(
    ("stream", "progress", "shown"),
    [
        *((Terminal, None, True), (OutStream, None, True), (io.StringIO, None, False)),
        *((Terminal, False, False), (OutStream, False, False), (io.StringIO, True, True)),
    ],
)
def test_training_in_python_shows_its_progress_where_somebody_looks(
    stream: type[io.StringIO], progress: bool | None, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = trpolab.Session("CartPole-v1", **SMALL).run()
    monkeypatch.setattr(sys, "stdout", stream())
    session = trpolab.train("CartPole-v1", progress=progress, **SMALL)
    told = sys.stdout.getvalue()
    assert ("iteration 3/3  return " in told) is shown and bool(told) is shown
    assert session.policy.theta.equal(silent.policy.theta) and session.state == "finished"


def test_a_session_itself_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    trpolab.Session("CartPole-v1", **SMALL).run()
    assert sys.stdout.getvalue() == ""


def test_without_standard_output_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert trpolab.train("CartPole-v1", **SMALL).state == "finished"

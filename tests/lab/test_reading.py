"""Metrics rows and phases in words."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from trpolab.lab.reading import marks_of, phase_of

LAST = {"seconds_sampling": 10.0, "seconds_update": 2.0, "seconds_value": 0.5, "batch_steps": 1000}


def doing(phase: str, seconds: float) -> SimpleNamespace:
    return SimpleNamespace(phase=phase, phase_began=time.perf_counter() - seconds)


def test_a_long_iteration_says_what_it_does_how_long_and_how_far_it_is() -> None:
    assert phase_of(doing("sampling", 23.2), 1, None, 1.0) == ("iteration 1: playing episodes, 23 s", None)
    text, done = phase_of(doing("sampling", 5.0), 8, LAST, 1.0)
    assert text == "iteration 8: playing episodes, 5 s of about 10 s" and done == pytest.approx(0.5, abs=0.02)
    text, done = phase_of(doing("sampling", 5.0), 8, LAST, 4.0)  # four times as many steps were asked for
    assert "of about 40 s" in text and done == pytest.approx(0.125, abs=0.01)
    assert phase_of(doing("update", 1.1), 8, LAST, 1.0)[0] == "iteration 8: updating the policy, 1 s of about 2.0 s"


def test_a_long_iteration_that_is_the_last_says_that_it_is() -> None:
    text, done = phase_of(doing("sampling", 5.0), 8, LAST, 1.0, "stopping")
    assert text == "iteration 8: stops after it; Stop again: at once" and done == pytest.approx(0.5, abs=0.02)
    assert phase_of(doing("update", 1.1), 8, LAST, 1.0, "pausing")[0] == "iteration 8: pauses after it"


def test_a_short_iteration_and_one_that_is_over_say_nothing() -> None:
    quick = {**LAST, "seconds_sampling": 0.2, "seconds_update": 0.1}
    assert phase_of(doing("sampling", 0.1), 8, quick, 1.0) == ("", None)
    assert phase_of(doing("", 30.0), 8, LAST, 1.0) == ("", None)


def test_a_mark_tells_what_was_before_and_is_now() -> None:
    rows = [
        {"iteration": 1},
        {"iteration": 2, "changed": {"delta": 0.05, "iterations": 9}},
        {"iteration": 3, "changed": {"delta": 0.02, "vine.states": 100, "line_search": False}},
        {"iteration": 4, "changed": {"seconds_per_iteration": 1.0}},
    ]
    before = {"delta": 0.01, "vine.states": 50, "line_search": True}
    assert marks_of(rows, before) == [
        (2, "δ 0.01 → 0.05"),
        (3, "δ 0.05 → 0.02, N 50 → 100, line search on → off"),
    ]
    assert before["delta"] == 0.02 and before["seconds_per_iteration"] == 1.0

"""The history gives back what it was given, in little room."""

from __future__ import annotations

import math
import tracemalloc

import pytest

from trpolab.runs.history import History

ROWS = [
    {"iteration": 1, "x": 0.1, "none": None, "flag": True, "text": "accepted", "changed": {"delta": 0.5}},
    {"iteration": 2, "x": math.inf, "none": 3.0, "flag": False, "text": "rejected", "big": 2**70, "small": -(2**63)},
    {"iteration": 3},
]


def test_rows_come_back_as_they_were() -> None:
    history = History(ROWS)
    assert list(history) == ROWS and history == ROWS and len(history) == 3
    assert history[-1] == ROWS[-1] and history[1:] == ROWS[1:] and history[::-1] == ROWS[::-1]
    assert [type(value) for value in history[0].values()] == [type(value) for value in ROWS[0].values()]
    with pytest.raises(IndexError):
        history[3]


def test_a_row_taken_out_is_a_copy() -> None:
    history = History(ROWS)
    history[0]["x"] = 5.0
    assert history[0]["x"] == 0.1


def test_later_iterations_can_be_dropped() -> None:
    history = History(ROWS)
    history.keep_until(1)
    assert history == ROWS[:1]
    history.keep_until(0)
    assert not history


def test_a_thousand_rows_of_forty_numbers_take_half_a_megabyte() -> None:
    def row(index: int) -> dict[str, object]:
        return {"iteration": index, **{f"metric_{k}": index / (k + 1) for k in range(40)}, "outcome": "accepted"}

    tracemalloc.start()
    history = History(row(index) for index in range(1000))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(history) == 1000 and kept < 6e5

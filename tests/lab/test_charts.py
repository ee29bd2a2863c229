"""The charts as data: what a view is sent, and what the table of charts promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trpolab.lab import charts
from trpolab.lab.charts import CHARTS, HISTORY, Charts
from trpolab.lab.reading import Mark


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], list[np.ndarray]]]:
    """(content, buffers as float32) of every message to a view."""
    kept: list[tuple[dict[str, Any], list[np.ndarray]]] = []

    def send(_: Charts, content: dict[str, Any], buffers: list[bytes]) -> None:
        kept.append((content, [np.frombuffer(part, np.float32) for part in buffers]))

    monkeypatch.setattr(Charts, "send", send)
    return kept


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [{"iteration": k, "return_mean": None if k == 3 else k / 2, "delta": 0.01} for k in range(first, last + 1)]


def ask(widget: Charts, view: str, run: int, count: int) -> None:
    have = {"run": run, "rows": count}
    widget._handle_custom_msg({"type": "ask", "view": view, "topic": "rows", "have": have}, [])


def table(content: dict[str, Any], block: np.ndarray) -> dict[str, list[float]]:
    return dict(zip(HISTORY, block.reshape(len(HISTORY), content["rows"]).tolist(), strict=True))


def test_a_view_that_appears_gets_all_and_then_what_is_new(sent: list) -> None:
    widget = Charts()
    widget.update(rows(1, 4), [1.0, 0.5], [Mark(2, "δ 0.02 → 0.01")])
    ask(widget, "a", -1, 0)
    content, (block, residuals) = sent[-1]
    assert (content["run"], content["rows"]) == (0, 4) and content["marks"] == [{"at": 2, "text": "δ 0.02 → 0.01"}]
    drawn = table(content, block)
    assert drawn["iteration"] == [1, 2, 3, 4] and residuals.tolist() == [1.0, 0.5]
    np.testing.assert_array_equal(drawn["return_mean"], [0.5, 1.0, np.nan, 2.0])  # a gap, never a zero
    assert np.all(np.isnan(drawn["kl_mean"]))

    ask(widget, "a", 0, 4)
    widget.update(rows(5, 5), [0.25])
    content, (block, residuals) = sent[-1]
    assert table(content, block)["iteration"] == [5] and content["marks"] == [] and residuals.tolist() == [0.25]


def test_a_view_that_has_not_drawn_is_sent_nothing(sent: list) -> None:
    widget = Charts()
    ask(widget, "slow", 0, 0)
    for k in range(1, 6):
        widget.update(rows(k, k))
    assert [content["rows"] for content, _ in sent] == [1]
    ask(widget, "slow", 0, 1)
    assert [content["rows"] for content, _ in sent] == [1, 4]


def test_a_new_run_makes_ghosts_of_those_before_it(sent: list) -> None:
    widget = Charts()
    for run in range(5):
        widget.update(rows(1, run + 1))
        widget.restart()
    widget.restart()  # nothing was drawn: no ghost
    widget.update(rows(1, 1))
    ask(widget, "a", 4, 5)
    content, (block, _, *ghosts) = sent[-1]
    assert content["run"] == 6 and content["rows"] == 1 and content["ghosts"] == charts.GHOSTS
    assert [len(iterations) for iterations in ghosts[::2]] == [5, 4, 3]
    assert table(content, block)["iteration"] == [1]


def test_a_long_history_comes_in_parts(sent: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "MOST_ROWS", 40)
    widget = Charts()
    widget.update(rows(1, 100), marks=[Mark(k, str(k)) for k in (1, 40, 41, 100)])
    have = 0
    for _ in range(3):
        ask(widget, "a", 0 if have else -1, have)
        have += sent[-1][0]["rows"]
    assert have == 100
    assert [[mark["at"] for mark in content["marks"]] for content, _ in sent] == [[1, 40], [41], [100]]


def test_lines_of_a_chart_differ_in_more_than_colour() -> None:
    for chart in CHARTS:
        looks = [(line.dash, line.mode) for line in chart.lines]
        assert len(set(looks)) == len(looks), chart.title


def test_the_limit_is_drawn_with_the_mean_and_never_with_the_max() -> None:
    drawn = {chart.key: {line.metric for line in chart.lines} for chart in CHARTS}
    assert drawn["kl"] == {"kl_mean", "delta"} and drawn["kl-max"] == {"kl_max"}
    assert "no limit" in next(line.name for chart in CHARTS for line in chart.lines if line.metric == "kl_max")

"""The charts as data."""

from __future__ import annotations

import pytest

from trpolab.lab.charts import CHARTS, Charts
from trpolab.lab.series import LIMIT


def test_the_figure_is_bounded_and_made_once() -> None:
    charts = Charts()
    traces = len(charts.figure.data)
    rows = [{"iteration": k, "return_mean": float(k), "delta": 0.01, "kl_mean": 0.009} for k in range(3000)]
    charts.update(rows, residuals=[1.0, 0.1, 0.0])
    assert len(charts.figure.data) == traces == sum(len(chart.lines) for chart in CHARTS)
    assert max(len(trace.x) for trace in charts.figure.data) <= LIMIT


def test_updates_wait_for_the_front_end_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("trpolab.lab.charts.time.monotonic", lambda: now[0])
    charts = Charts()
    answer = {"trace_edit_id": 0, "trace_deltas": []}
    assert not charts.being_drawn()  # nobody was handed it
    charts.handed_out()
    assert charts.being_drawn()
    charts.figure._js2py_traceDeltas = answer
    assert not charts.being_drawn()
    charts.update([{"iteration": 1}])
    assert charts.being_drawn()
    charts.figure._js2py_traceDeltas = answer
    assert not charts.being_drawn()
    charts.update([{"iteration": 2}])
    now[0] += 60.0  # it went away: not waited for for ever
    assert not charts.being_drawn()


def test_labels_of_marks_are_not_read_as_markup() -> None:
    charts = Charts()
    charts.update([], marks=[(3, "<a href='x'>δ</a>")])
    assert "<a" not in charts.figure.layout.annotations[0].text


def test_lines_of_a_chart_differ_in_more_than_colour() -> None:
    for chart in CHARTS:
        looks = [(line.dash, line.mode) for line in chart.lines]
        assert len(set(looks)) == len(looks), chart.title

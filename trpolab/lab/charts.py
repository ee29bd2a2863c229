"""The charts: the run's history for the views of the page, which draw it (`web/src/charts.js`).

A view is sent what it lacks, as float32: a few rows while the run goes on, all of them when it appears.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import traitlets

from trpolab.lab.reading import Mark
from trpolab.lab.series import Columns
from trpolab.lab.web import WebView

MOST_ROWS = 20_000  # in one message: a view that lacks more asks again
GHOSTS = 3  # earlier runs that are shown, in grey


@dataclass(frozen=True)
class Line:
    """One line of a chart: which metric, and how it looks."""

    metric: str
    name: str
    color: str
    dash: str = "solid"  # or dash, dot, long
    width: float = 2.0
    shape: str = "linear"  # or hv: steps
    mode: str = "lines"  # or markers, or both
    spans: bool = False  # whether the line goes on over iterations without a value
    optional: bool = False  # whether it is named only where it has values


@dataclass(frozen=True)
class Chart:
    """One small chart."""

    key: str
    title: str
    about: str  # what to look for, on hover
    lines: tuple[Line, ...]
    scale: str = "linear"  # or log
    zero: bool = True  # whether 0 is seen, on a linear scale
    least: float | None = None  # ends of the axis that lie closer to 0 than the data may
    most: float | None = None
    within: tuple[str, float] | None = None  # the axis ends at so many times another line
    whole: bool = False  # whether only whole numbers are labelled
    marked: bool = False  # whether the marks of turned knobs are numbered
    optional: bool = False  # whether it is shown only where it has values
    empty: str = ""  # what is said where no iteration had a value yet


def _chart(lines: list[dict[str, Any]], **about: Any) -> Chart:
    """A chart as `charts.toml` has it."""
    return Chart(**about, lines=tuple(Line(**line) for line in lines))


_TABLE = tomllib.loads(Path(__file__).with_name("charts.toml").read_text(encoding="utf-8"))
CHARTS = tuple(_chart(**about) for about in _TABLE["chart"])
_DRAWN = {line.metric for chart in CHARTS for line in chart.lines}
HISTORY = ("iteration", *sorted(name for name in _DRAWN if name != "residual" and not name.startswith("ghost")))


class Charts(WebView):
    """The history of a run, and what its views are told of it. Rows are only ever added, until `restart`."""

    charts: Any = traitlets.List().tag(sync=True)
    columns: Any = traitlets.List(list(HISTORY)).tag(sync=True)

    def __init__(self) -> None:
        self.run = 0
        self.rows = Columns(HISTORY)
        self.marks: list[Mark] = []
        self.ghosts: list[tuple[np.ndarray, np.ndarray]] = []  # iterations and returns, those of the last run first
        self._residuals: Sequence[float] = ()
        super().__init__("charts")
        self.charts = [asdict(chart) for chart in CHARTS]

    def update(
        self, rows: Sequence[Mapping[str, Any]], residuals: Sequence[float] | None = None, marks: Sequence[Mark] = ()
    ) -> None:
        """Add metrics rows and marks, replace the CG residuals of the newest update, and tell the views."""
        with self._lock:
            self.rows.extend(rows)
            self.marks.extend(marks)
            if residuals is not None:
                self._residuals = residuals
        self.offer()

    def leave_out(self, key: str) -> None:
        """Show no chart of this key, from before the first view on."""
        self.charts = [chart for chart in self.charts if chart["key"] != key]

    def restart(self) -> None:
        """A new run: what was drawn becomes a ghost."""
        with self._lock:
            if len(self.rows):
                drawn = (self.rows.get("iteration"), self.rows.get("return_mean"))
                self.ghosts = [drawn, *self.ghosts][:GHOSTS]
            self.run += 1
            self.rows, self.marks, self._residuals = Columns(HISTORY), [], ()
        self.offer()

    def answer(self, topic: str, have: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]] | None:
        """The rows and marks that a view lacks; of a run that it has not met, the ghosts too."""
        known = have["run"] == self.run
        start = have["rows"] if known else 0
        end = min(len(self.rows), start + MOST_ROWS)
        if known and end == start:
            return None
        before, after = (self.rows.last("iteration", count) for count in (start, end))
        marks = [mark for mark in self.marks if before < mark.iteration <= after]
        content = {
            "have": {"run": self.run, "rows": end},
            "run": self.run,
            "whole": not known,
            "rows": end - start,
            "marks": [{"at": mark.iteration, "text": mark.text} for mark in marks],
            "ghosts": 0 if known else len(self.ghosts),
        }
        ghosts = [] if known else [part for pair in self.ghosts for part in pair]
        return content, [_packed(part) for part in (self.rows.block(start, end), self._residuals, *ghosts)]


def _packed(values: Any) -> bytes:
    return np.ascontiguousarray(values, np.float32).tobytes()

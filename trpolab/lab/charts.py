"""The charts: one figure widget a lab, every trace made at the start, updated in place.

A FigureWidget weighs 5 MB and cannot extend a trace, hence one figure and at most `series.LIMIT` points a trace. The
cards under the charts, their titles and legends are HTML (`page.py`), so that they follow the theme; the figure is
transparent and lies on top of them.
"""

from __future__ import annotations

import html
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from trpolab.lab.series import Columns, thin
from trpolab.lab.style import COLOURS, GREY, HEIGHT, ROW_HEIGHTS

SECONDS_TO_DRAW, SECONDS_TO_UPDATE = 8.0, 1.0  # a front end's time to answer, at first and later
MARKS = 8  # the newest changes of a knob that keep a label
AXIS = {"color": GREY, "automargin": False, "zeroline": False}
X_AXIS = {**AXIS, "showgrid": False, "nticks": 5, "rangemode": "tozero", "ticks": "", "tickformat": ",d"}
Y_AXIS = {**AXIS, "gridcolor": "rgba(128,128,128,0.22)"}
LEFT = {"linear": {"nticks": 5, "rangemode": "tozero"}, "log": {"nticks": 5, "type": "log", "exponentformat": "power"}}
RIGHT = {  # the range of a linear one until more than that is counted
    "linear": {"showgrid": False, "tickmode": "array", "range": (0, 1.05), "tickvals": (0, 0.5, 1)},
    "log": {"showgrid": False, "type": "log", "exponentformat": "power", "dtick": 1},
}


@dataclass(frozen=True)
class Line:
    """One trace: which metric, on which side, and how it looks."""

    metric: str
    name: str
    color: str
    dash: str = "solid"
    right: bool = False
    width: float = 2.0
    shape: str = "linear"
    mode: str = "lines"


@dataclass(frozen=True)
class Chart:
    """One small chart in a cell of the grid."""

    title: str
    row: int
    column: int
    lines: tuple[Line, ...]
    about: str  # what to look for, on hover
    left: str = "linear"  # the scale of the axis; or "log"
    right: str = ""  # the same of a second axis; "": there is none


def _chart(lines: list[dict[str, Any]], **about: Any) -> Chart:
    """A chart as `charts.toml` has it."""
    return Chart(**about, lines=tuple(Line(**{**line, "color": COLOURS[line["color"]]}) for line in lines))


_TABLE = tomllib.loads(Path(__file__).with_name("charts.toml").read_text(encoding="utf-8"))
CHARTS = tuple(_chart(**about) for about in _TABLE["chart"])
LINES = tuple(line for chart in CHARTS for line in chart.lines)  # each is a trace, in this order
HISTORY = ("iteration", *sorted({line.metric for line in LINES} - {"previous", "residual"}))


class Charts:
    """The figure and what it has drawn. `update` is called by the refresh thread alone.

    Plotly sends to the browser only what is another value than before.
    """

    def __init__(self) -> None:
        self.columns = Columns(HISTORY)
        self._other = {"previous": (np.array([]), np.array([])), "residual": _residual_points([])}
        self._due = 0.0
        self._answers = False  # whether a front end was ever heard of
        self.figure = _empty_figure()
        self.figure.observe(self._answered, names="_js2py_traceDeltas")  # sent after each drawing
        self.figure._config = {"displayModeBar": False, "responsive": True, "displaylogo": False}

    def handed_out(self) -> None:
        """A front end was given the figure, and has yet to draw it."""
        self._due = time.monotonic() + SECONDS_TO_DRAW

    def being_drawn(self) -> bool:
        """Whether the front end has yet to answer: an update sent now would be lost with an error, or pile up.

        One that never answers (none is there when tests run a notebook; the kernel is busy) is not waited for long.
        """
        return time.monotonic() < self._due

    def _answered(self, _: Any) -> None:
        self._answers, self._due = True, 0.0

    def update(
        self,
        rows: Sequence[Mapping[str, Any]],
        residuals: Sequence[float] | None = None,
        marks: Sequence[tuple[int, str]] = (),
    ) -> None:
        """Add metrics rows, replace the CG residuals of the newest update, mark changed knobs (iteration, text)."""
        self.columns.extend(rows)
        if residuals is not None:
            self._other["residual"] = _residual_points(residuals)
        x = self.columns.get("iteration")
        with self.figure.batch_update():
            for trace, line in zip(self.figure.data, LINES, strict=True):
                trace.x, trace.y = self._other.get(line.metric) or thin(x, self.columns.get(line.metric))
            self._limit_kl()
            self._count_tries()
            self.figure.layout.shapes, self.figure.layout.annotations = drawn_marks(marks[-MARKS:])
        if self._answers:
            self._due = time.monotonic() + SECONDS_TO_UPDATE

    def restart(self) -> None:
        """A new run: what was drawn becomes the dashed grey last run."""
        self._other["previous"] = thin(self.columns.get("iteration"), self.columns.get("return_mean"))
        self.columns = Columns(HISTORY)
        self.update([], residuals=[])

    def _limit_kl(self) -> None:
        """δ sets the scale of the mean KL; the max has its own, which spans decades."""
        delta = self.columns.get("delta")
        if np.any(np.isfinite(delta)):
            _axis(self.figure, "KL(old‖new)").range = (0, 1.6 * float(np.nanmax(delta)))

    def _count_tries(self) -> None:
        """Whole numbers on the axis of the line search's tries."""
        tries = self.columns.get("line_search_trials")
        most = max(2, int(np.nanmax(tries))) if np.any(np.isfinite(tries)) else 2
        axis = _axis(self.figure, "Line search", right=True)
        axis.range, axis.tickvals = (0, most * 1.05), tuple(range(0, most + 1, max(1, most // 4)))


def drawn_marks(marks: Sequence[tuple[int, str]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Vertical lines on the return chart and their labels, stepped down so that neighbours can both be read.

    Plotly interprets some HTML in labels, so values are escaped.
    """
    place = {"xref": "x", "yref": "y domain"}
    shape = {**place, "type": "line", "y0": 0, "y1": 1, "line": {"color": GREY, "width": 1}}
    note = {**place, "showarrow": False, "xanchor": "left", "yanchor": "top", "xshift": 2}
    note["font"] = {"size": 10, "color": GREY}
    shapes = [{**shape, "x0": iteration, "x1": iteration} for iteration, _ in marks]
    notes = [
        {**note, "x": iteration, "y": 1 - 0.13 * (order % 3), "text": html.escape(text, quote=False)}
        for order, (iteration, text) in enumerate(marks)
    ]
    return shapes, notes


def _residual_points(residuals: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    y = np.asarray(residuals, dtype=np.float64)
    return thin(np.arange(len(y), dtype=np.float64), np.where(y > 0, y, np.nan))


def _axis(figure: go.Figure, title: str, right: bool = False) -> Any:
    """The vertical axis of a chart."""
    chart = next(chart for chart in CHARTS if chart.title == title)
    return figure.get_subplot(chart.row + 1, chart.column + 1, secondary_y=right).yaxis


def _empty_figure() -> go.FigureWidget:
    """Every axis and every trace, without points: what a chart draws lies inside its card of the page's grid."""
    cells: list[list[dict[str, Any] | None]] = [[None] * 3 for _ in ROW_HEIGHTS]
    for chart in CHARTS:
        cells[chart.row][chart.column] = {"t": 40 / HEIGHT, "b": 30 / HEIGHT, "secondary_y": bool(chart.right)}
    figure = make_subplots(len(ROW_HEIGHTS), 3, specs=cells, row_heights=ROW_HEIGHTS, vertical_spacing=0)
    for chart in CHARTS:
        cell = {"row": chart.row + 1, "col": chart.column + 1}
        for line in chart.lines:
            figure.add_trace(_trace(line), secondary_y=line.right, **cell)
        left, right = chart.column / 3 + 0.055, (chart.column + 1) / 3 - (0.045 if chart.right else 0.022)
        figure.update_xaxes(X_AXIS, domain=(left, right), **cell)
        figure.update_yaxes(LEFT[chart.left], secondary_y=False, **cell)
        figure.update_yaxes(RIGHT.get(chart.right, {}), secondary_y=True, **cell)
    figure.update_yaxes(Y_AXIS)
    figure.update_layout(height=HEIGHT, autosize=True, margin={"l": 0, "r": 0, "t": 0, "b": 0}, showlegend=False)
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font={"color": GREY, "size": 10.5}
    )
    figure.update_layout(hovermode="closest", dragmode=False)
    return go.FigureWidget(figure)


def _trace(line: Line) -> go.Scatter:
    return go.Scatter(
        x=[],
        y=[],
        name=line.name,
        mode=line.mode,
        line={"color": line.color, "dash": line.dash, "width": line.width, "shape": line.shape},
        marker={"color": line.color, "size": 4},
        connectgaps=line.metric in ("return_mean", "previous"),
        hovertemplate=f"%{{x}}: %{{y:.4g}}<extra>{line.name}</extra>",
    )

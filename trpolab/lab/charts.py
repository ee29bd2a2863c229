"""The charts: one figure widget a lab, every trace made at the start, updated in place.

A FigureWidget weighs 5 MB and cannot extend a trace, hence one figure and at most `series.LIMIT` points a trace. The
cards under the charts, their titles and legends are HTML (`page.py`), so that they follow the theme; the figure is
transparent and lies on top of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from trpolab.lab.series import Columns, thin

# Okabe and Ito's colours; each line also has its own dash, so that colour is never alone in telling two apart.
BLUE, SKY, GREEN, ORANGE, VERMILION, PURPLE = "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7"
GREY = "#8c8c8c"
ROW_HEIGHTS = (204, 204, 312)  # pixels; the page's grid has the same rows
HEIGHT = sum(ROW_HEIGHTS)
RIGHT_RANGE, RIGHT_TICKS = (0, 1.05), (0, 0.5, 1)  # of second axes, until more than that is counted
SECONDS_TO_DRAW, SECONDS_TO_UPDATE = 8.0, 1.0  # a front end's time to answer, at first and later
MARKS = 8  # the newest changes of a knob that keep a label


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
    log: bool = False
    right: bool = False  # it has a second axis
    log_right: bool = False


CHARTS = (
    Chart(
        "Return",
        0,
        0,
        (Line("previous", "last run", GREY, "dot", width=1.5), Line("return_mean", "training episodes", BLUE)),
        "Mean raw return of the episodes that ended in the iteration. Vertical lines: a knob was turned.",
    ),
    Chart(
        "KL(old‖new)",
        0,
        1,
        (
            Line("kl_max", "max", SKY, "dot", width=1.2, right=True),
            Line("kl_mean", "mean", BLUE),
            Line("delta", "δ", VERMILION, "dash", shape="hv", width=1.8),
        ),
        "The trust region: the mean KL must stay under δ. The largest KL of a single state (right) may lie far above.",
        right=True,
        log_right=True,
    ),
    Chart(
        "Surrogate gain",
        0,
        2,
        (Line("expected_gain", "predicted", GREY, "dash", width=1.5), Line("surrogate_gain", "real", GREEN)),
        "What the linear model promised for the step taken, and what the surrogate objective gave.",
    ),
    Chart(
        "CG residual",
        1,
        0,
        (Line("residual", "this iteration", PURPLE, mode="lines+markers"),),
        "Norm of the residual of A s = g after each conjugate-gradient iteration of the newest update.",
        log=True,
    ),
    Chart(
        "Line search",
        1,
        1,
        (
            Line("line_search_trials", "tries", GREY, mode="markers", right=True),
            Line("step_fraction", "fraction taken", ORANGE, shape="hv"),
        ),
        "How much of the full step was taken (0: rejected, the policy stays), and how many trials that took.",
        right=True,
    ),
    Chart(
        "Entropy",
        1,
        2,
        (
            Line("explained_variance", "expl. var.", GREEN, "dash", right=True),
            Line("spread", "search σ", PURPLE, "dot"),
            Line("entropy", "entropy", BLUE),
        ),
        "How random the policy still is, or how wide a search over θ still looks; and how much of the returns' "
        "variance the value function explains (1: all).",
        right=True,
    ),
    Chart(
        "Steps per second",
        2,
        2,
        (Line("steps_per_second", "simulator steps", ORANGE),),
        "Simulator steps over the time of the whole iteration, update included; the wait to be watched is left out.",
    ),
)
METRICS = {line.metric for chart in CHARTS for line in chart.lines} - {"previous", "residual"}
HISTORY = ("iteration", *sorted(METRICS))


class Charts:
    """The figure and what it has drawn. `update` is called by the pump alone."""

    def __init__(self) -> None:
        self.columns = Columns(HISTORY)
        self.previous: tuple[np.ndarray, np.ndarray] = (np.array([]), np.array([]))
        self._marks_drawn: tuple[Any, ...] = ()
        self._ceiling = self._due = 0.0
        self._most_tries = 0
        self._answers = False  # whether a front end was ever heard of
        self._lines = [(number, line) for number, chart in enumerate(CHARTS) for line in chart.lines]
        self.figure = go.FigureWidget([_trace(number, line) for number, line in self._lines], layout=_layout())
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
        figure = self.figure
        with figure.batch_update():
            for trace, (x, y) in zip(figure.data, self._points(residuals), strict=True):
                if x is not None:
                    trace.x, trace.y = x, y
            self._limit_kl()
            self._count_tries()
            newest = tuple(marks[-MARKS:])
            if newest != self._marks_drawn:
                self._marks_drawn = newest
                figure.layout.shapes, figure.layout.annotations = drawn_marks(newest)
        if self._answers:
            self._due = time.monotonic() + SECONDS_TO_UPDATE

    def restart(self) -> None:
        """A new run: what was drawn becomes the dashed grey last run."""
        self.previous = thin(self.columns.get("iteration"), self.columns.get("return_mean"))
        self.columns = Columns(HISTORY)
        self.update([], residuals=[])

    def _points(self, residuals: Sequence[float] | None) -> list[tuple[Any, Any]]:
        """(x, y) of every trace in order; (None, None) leaves a trace as it is."""
        x = self.columns.get("iteration")
        found: list[tuple[Any, Any]] = []
        for _, line in self._lines:
            if line.metric == "previous":
                found.append(self.previous)
            elif line.metric == "residual":
                found.append((None, None) if residuals is None else _residual_points(residuals))
            else:
                found.append(thin(x, self.columns.get(line.metric)))
        return found

    def _limit_kl(self) -> None:
        """δ sets the scale of the mean KL; the max has its own, which spans decades."""
        delta = self.columns.get("delta")
        ceiling = 1.6 * float(np.nanmax(delta)) if np.any(np.isfinite(delta)) else 0.0
        if ceiling and ceiling != self._ceiling:
            self._ceiling = ceiling
            self.figure.layout.yaxis2.range = (0, ceiling)

    def _count_tries(self) -> None:
        """Whole numbers on the axis of the line search's tries."""
        tries = self.columns.get("line_search_trials")
        most = max(2, int(np.nanmax(tries))) if np.any(np.isfinite(tries)) else 2
        if most != self._most_tries:
            self._most_tries = most
            number = next(k for k, chart in enumerate(CHARTS) if chart.title == "Line search")
            axis = self.figure.layout[f"yaxis{_axis(number, right=True)}"]
            axis.range, axis.tickvals = (0, most * 1.05), tuple(range(0, most + 1, max(1, most // 4)))


def drawn_marks(marks: Sequence[tuple[int, str]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Vertical lines on the return chart and their labels, stepped down so that neighbours can both be read."""
    shapes, notes = [], []
    for place, (iteration, text) in enumerate(marks):
        shapes.append(
            {"type": "line", "xref": "x", "yref": "y domain", "x0": iteration, "x1": iteration, "y0": 0, "y1": 1,
             "line": {"color": GREY, "width": 1}}
        )  # fmt: skip
        notes.append(
            {"xref": "x", "yref": "y domain", "x": iteration, "y": 1 - 0.13 * (place % 3), "text": _plain(text),
             "showarrow": False, "xanchor": "left", "yanchor": "top", "xshift": 2, "font": {"size": 10, "color": GREY}}
        )  # fmt: skip
    return shapes, notes


def _plain(text: str) -> str:
    """Plotly reads a little HTML in annotations; a knob's value is never meant as such."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _residual_points(residuals: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    y = np.asarray(residuals, dtype=np.float64)
    return thin(np.arange(len(y), dtype=np.float64), np.where(y > 0, y, np.nan))


def _axis(number: int, right: bool = False) -> str:
    """Plotly's name of a chart's axis: "", "2", ...; second axes are numbered after all first ones."""
    place = len(CHARTS) + number if right else number
    return "" if place == 0 else str(place + 1)


def _trace(number: int, line: Line) -> go.Scatter:
    return go.Scatter(
        x=[],
        y=[],
        name=line.name,
        mode=line.mode,
        xaxis=f"x{_axis(number)}",
        yaxis=f"y{_axis(number, line.right)}",
        line={"color": line.color, "dash": line.dash, "width": line.width, "shape": line.shape},
        marker={"color": line.color, "size": 4},
        connectgaps=line.metric in ("return_mean", "previous"),
        hovertemplate=f"%{{x}}: %{{y:.4g}}<extra>{line.name}</extra>",
    )


def _layout() -> go.Layout:
    layout: dict[str, Any] = {
        "height": HEIGHT,
        "autosize": True,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
        "font": {"color": GREY, "size": 10.5},
    }
    for number, chart in enumerate(CHARTS):
        top = sum(ROW_HEIGHTS[: chart.row]) + 40
        bottom = sum(ROW_HEIGHTS[: chart.row + 1]) - 30
        left, right = chart.column / 3 + 0.055, (chart.column + 1) / 3 - (0.045 if chart.right else 0.022)
        grid = {"gridcolor": "rgba(128,128,128,0.22)", "zeroline": False, "color": GREY, "automargin": False}
        layout[f"xaxis{_axis(number)}"] = {
            "domain": (left, right), "anchor": f"y{_axis(number)}", "showgrid": False, "nticks": 5, "color": GREY,
            "rangemode": "tozero", "zeroline": False, "ticks": "", "automargin": False, "tickformat": ",d",
        }  # fmt: skip
        layout[f"yaxis{_axis(number)}"] = {
            "domain": (1 - bottom / HEIGHT, 1 - top / HEIGHT), "anchor": f"x{_axis(number)}", "nticks": 5, **grid,
            **({"type": "log", "exponentformat": "power"} if chart.log else {"rangemode": "tozero"}),
        }  # fmt: skip
        if chart.right:
            layout[f"yaxis{_axis(number, right=True)}"] = {
                "overlaying": f"y{_axis(number)}", "side": "right", "anchor": f"x{_axis(number)}",
                **grid, "showgrid": False,
                **({"type": "log", "exponentformat": "power", "dtick": 1} if chart.log_right else
                   {"tickmode": "array", "range": RIGHT_RANGE, "tickvals": RIGHT_TICKS}),
            }  # fmt: skip
    return go.Layout(layout)

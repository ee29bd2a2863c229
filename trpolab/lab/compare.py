"""Runs side by side: curves over steps, iterations or time, their last scores, and the settings that differ.

trpolab.compare(["runs/...-9f3a11", lab, session])
trpolab.compare({"small δ": "runs/...", "large δ": "runs/..."}, by="time")
"""

from __future__ import annotations

import html
import json
from base64 import b64encode
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.text import Text
from plotly.subplots import make_subplots

from trpolab.lab.knobs import in_words, symbol_of
from trpolab.lab.pictures.explorer import dress, legend, panels, to_png
from trpolab.lab.reading import UNMARKED
from trpolab.lab.series import Columns, thin
from trpolab.lab.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from trpolab.runs.follower import printable
from trpolab.runs.reader import each_metrics, parent_of, read_run
from trpolab.settings import PlainError, as_setting
from trpolab.training.config import settings

AXES = {"steps": "simulator steps", "iterations": "iteration", "time": "training time in seconds"}
CURVES = {"return_mean": "Return", "kl_mean": "Length of a step: mean KL(old‖new)"}
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}  # as Plotly and as Matplotlib call them
POINTS = 400  # of a curve
BOTH = "#767676"  # what is written in a picture, to be read on white and on black
DOTS = 86  # per inch of the picture: it fits beside a list of files on a screen of 1,280 pixels
FITTED = "<style>.jp-RenderedPlotly .plot-img { max-width: 100%; }</style>"  # a picture that a wider window has left
BESIDE = {"task", *UNMARKED}  # settings that are not compared
SOURCES = "must be run folders, runs of trpolab.runs(), sessions or labs"


@dataclass(frozen=True)
class ComparedRun:
    """One run as it is compared; columns hold a float64 for each of R iterations."""

    label: str
    name: str  # of its folder; "" for a run that is only in memory
    task: str
    columns: Mapping[str, np.ndarray]  # the axes, and CURVES
    score: float | None  # mean return of the last 100 training episodes
    settings: Mapping[str, str]  # in words; "0.01 → 0.05" where it was turned
    parent: str  # the name of the run that it was rewound from; "" for none
    at: int  # the iteration where that was


class Comparison:
    """Several runs. In a notebook: a table, and a figure to explore, which a saved file shows as a picture.

    `figure` is a Plotly figure; `table` the rows of the table, `warning` a sentence where tasks differ.
    """

    def __init__(self, runs: Sequence[ComparedRun], by: str):
        self.runs, self.by = list(runs), by
        tasks = sorted({run.task for run in runs})
        self.warning = f"these are runs of different tasks ({', '.join(tasks)}): their returns can't be compared"
        if len(tasks) == 1:
            self.warning = ""
        self.table = _table(self.runs)

    @property
    def figure(self) -> go.Figure:
        """Return and KL of each run; buttons change what they are drawn over."""
        figure = make_subplots(rows=1, cols=2, subplot_titles=list(CURVES.values()), horizontal_spacing=0.08)
        over: dict[str, list[np.ndarray]] = {axis: [] for axis in AXES}
        for place, run in enumerate(self.runs):
            for column, metric in enumerate(CURVES):
                rows = self._rows(run, metric)
                line = {"color": COLOURS[place % len(COLOURS)], "dash": list(DASHES)[place % len(DASHES)]}
                name = {"name": html.escape(run.label, quote=False), "legendgroup": str(place)}
                y = run.columns[metric][rows]
                trace = go.Scatter(y=y, line=line, mode="lines", showlegend=column == 0, **name)
                figure.add_trace(trace, row=1, col=column + 1)
                for axis, values in over.items():
                    values.append(run.columns[axis][rows])
        for trace, x in zip(figure.data, over[self.by], strict=True):
            trace.x = x
        buttons = [
            {
                "label": axis,
                "method": "update",
                "args": [{"x": over[axis]}, {"xaxis.title.text": words, "xaxis2.title.text": words}],
            }
            for axis, words in AXES.items()
        ]
        menu = {"type": "buttons", "direction": "left", "active": list(AXES).index(self.by), "buttons": buttons}
        menu |= {"x": 1, "y": 1.12, "xanchor": "right", "yanchor": "bottom", "font": {"size": 11}}
        look: dict[str, Any] = {"color": GREY, "gridcolor": "rgba(128,128,128,0.22)", "zeroline": False}
        figure.update_xaxes(title_text=AXES[self.by], **look)
        figure.update_yaxes(**look)
        figure.update_layout(
            height=400, margin={"l": 50, "r": 10, "t": 76, "b": 80}, font={"color": GREY}, updatemenus=[menu],
            paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", legend={"orientation": "h", "y": -0.2},
        )  # fmt: skip
        return figure

    def png(self) -> bytes:
        """The figure as a picture whose ground is transparent, for light pages and dark ones."""
        figure, axes = panels(*CURVES.values(), height=3.4)
        for place, run in enumerate(self.runs):
            dash = list(DASHES.values())[place % len(DASHES)]
            for ax, metric in zip(axes, CURVES, strict=True):
                rows = self._rows(run, metric)
                x, y = run.columns[self.by][rows], run.columns[metric][rows]
                ax.plot(x, y, color=COLOURS[place % len(COLOURS)], linestyle=dash, label=f"\u200b{run.label}")
        for ax in axes:
            ax.set_xlabel(AXES[self.by])
            dress(ax, BOTH)
        legend(axes[0])
        for text in figure.findobj(Text):
            text.set(parse_math=False, color=BOTH)
        return to_png(figure, dpi=DOTS)

    def __repr__(self) -> str:
        rows = [list(self.table[0]), *([str(value) for value in row.values()] for row in self.table)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([*lines, *([self.warning] if self.warning else [])])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.table[0])
        rows = ("".join(f"<td>{html.escape(value)}</td>" for value in row.values()) for row in self.table)
        said = f"<div role='alert'>{html.escape(self.warning)}</div>" if self.warning else ""
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>{said}"

    def bundles(self) -> list[dict[str, Any]]:
        """The MIME bundles of the table and of the figure, which a front end without Plotly shows as a picture."""
        explorable = {**json.loads(self.figure.to_json()), "config": {"displayModeBar": False, "responsive": True}}
        picture = {"application/vnd.plotly.v1+json": explorable, "image/png": b64encode(self.png()).decode()}
        table = {"text/plain": repr(self), "text/html": FITTED + self._repr_html_()}
        return [table, {**picture, "text/plain": "the runs' curves"}]

    def _ipython_display_(self) -> None:
        from IPython.display import display

        for bundle in self.bundles():
            display(bundle, raw=True)

    def _rows(self, run: ComparedRun, metric: str) -> np.ndarray:
        """The iterations of a curve that are drawn: not those that the run has in common with its parent here."""
        y = run.columns[metric]
        begins = run.at if any(run.parent == other.name for other in self.runs) else 0
        found = np.flatnonzero(np.isfinite(y) & (run.columns["iterations"] >= begins))
        return thin(found.astype(np.float64), y[found], POINTS)[0].astype(int)


def compare(runs: Any, by: str = "steps") -> Comparison:
    """Lay runs over each other: folders, runs of `trpolab.runs()`, sessions or labs, or a table {label: one of these}.

    `by` is "steps" (of the simulator), "iterations" or "time". Raises PlainError for what is none of these, and
    RunFolderError for a folder that is no run.
    """
    if by not in AXES:
        raise PlainError(f"by = {by!r}: must be one of {', '.join(AXES)}")
    given = list(runs.items()) if isinstance(runs, Mapping) else None
    if given is None:
        single = isinstance(runs, str | Path) or not isinstance(runs, Iterable)
        given = [("", run) for run in ([runs] if single else runs)]
    if not given:
        raise PlainError("runs: there are none to compare")
    found: list[ComparedRun] = []
    for label, source in given:
        found.append(_run_of(source, str(label), [run.label for run in found]))
    return Comparison(found, by)


def _run_of(source: Any, label: str, taken: Sequence[str]) -> ComparedRun:
    """A run from whatever stands for it, under a label that is not taken yet."""
    session = getattr(source, "session", source)
    if isinstance(source, str | Path) or hasattr(source, "__fspath__"):
        about = read_run(source)
        name, task, given, parent = about["id"], about["task"], about["settings"], parent_of(about)
        rows: Iterable[Any] = each_metrics(source, bad=False)
        own = str(about.get("label") or "")
    elif hasattr(session, "history") and hasattr(session, "controls"):
        name, task = session.path.name if session.path else "", session.task.name
        given, parent, rows = session.first.settings(), session.parent, session.history
        own = str(read_run(session.path).get("label") or "") if session.path else ""
    else:
        raise PlainError(f"runs: {type(source).__name__} {source!r}; {SOURCES}")
    columns, last, used = _columns(rows)
    named = printable(label or own or (f"{task} {name[-6:]}" if name else f"{task} in memory"))
    same = sum(other == named or other.startswith(f"{named} (") for other in taken)
    return ComparedRun(
        f"{named} ({same + 1})" if same else named,
        name,
        printable(task),
        columns,
        score if isinstance(score := last.get("return_recent"), int | float) else None,
        {key: _in_use(value, used.get(key, value)) for key, value in given.items() if key not in BESIDE},
        parent["run"] if parent else "",
        parent["iteration"] if parent else 0,
    )


def _columns(rows: Iterable[Mapping[str, Any]]) -> tuple[dict[str, np.ndarray], Mapping[str, Any], dict[str, Any]]:
    """The columns of a run, its last row, and the settings that were turned."""
    kept = Columns(["sim_steps", "iteration", "seconds_total", *CURVES])
    last: Mapping[str, Any] = {}
    used: dict[str, Any] = {}
    for row in rows:
        kept.extend([row])
        last = row
        used |= row["changed"] if isinstance(row.get("changed"), dict) else {}
    seconds = np.cumsum(np.nan_to_num(kept.get("seconds_total")))
    axes = {"steps": kept.get("sim_steps"), "iterations": kept.get("iteration"), "time": seconds}
    return {**axes, **{metric: kept.get(metric) for metric in CURVES}}, last, used


def _in_use(first: Any, last: Any) -> str:
    words = [printable(in_words(value)) if isinstance(value, Hashable) else printable(value)
             for value in map(as_setting, (first, last))]  # fmt: skip
    return words[0] if words[0] == words[1] else " → ".join(words)


def _table(runs: Sequence[ComparedRun]) -> list[dict[str, str]]:
    """A row for each run: how it ended, where it comes from, and the settings in which not all are alike."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    differ = [name for name in names if len({run.settings.get(name) for run in runs}) > 1]
    known = settings()
    labels = {run.name: run.label for run in runs if run.name}
    family = any(run.parent for run in runs)
    rows = []
    for run in runs:
        row = {"run": run.label, "task": run.task, "mean of the last 100 episodes": _number(run.score, ",.1f")}
        row |= {"iterations": f"{len(run.columns['iterations']):,}"}
        row |= {"simulator steps": _number(next(iter(run.columns["steps"][-1:]), None), ",.0f")}
        if family:
            parent = printable(labels.get(run.parent, run.parent))
            row["goes back to"] = f"{parent}, iteration {run.at:,}" if run.parent else "-"
        for name in differ:
            label = symbol_of(known[name]) if name in known else printable(name)
            row[name if label in row else label] = run.settings.get(name, "-")
        rows.append(row)
    return rows


def _number(value: Any, how: str) -> str:
    return "-" if value is None or not np.isfinite(value) else format(value, how)

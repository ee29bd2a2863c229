"""Drawing: learning curves of several tasks side by side, and bars, as SVG and PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from trpolab.experiments.results import Curve
from trpolab.experiments.statistics import curve

# Okabe and Ito's colours, with dashes as the second sign.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8c8c8c", "#000000")
DASHES = ("-", "--", "-.", ":")


def draw_curves(curves: Sequence[Curve], over: str, names: dict[str, str]) -> Figure:
    """A panel for each task: each method's mean return with its interval, or its runs as thin lines where they are few.

    `over` is "steps", "seconds" or "iterations"; `names` are those of the methods for people, in their order.
    """
    tasks = list(dict.fromkeys(one.task for one in curves))
    figure = Figure(figsize=(4.2 * len(tasks), 3.8), layout="constrained")
    for task, ax in zip(tasks, figure.subplots(1, len(tasks), squeeze=False)[0], strict=True):
        for place, method in enumerate(names):
            mine = [one for one in curves if (one.task, one.method) == (task, method)]
            whole = [one for one in mine if len(one.returns) > 1 and not math.isnan(one.final)]
            runs = [(getattr(one, over), one.returns) for one in whole]
            if not runs:
                continue
            look = {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place % len(DASHES)]}
            found = curve(runs)
            ax.plot(found.x, found.value, linewidth=1.8, label=names[method], **look)
            if found.low is not None:
                ax.fill_between(found.x, found.low, found.high, color=look["color"], alpha=0.15, linewidth=0)
            else:
                for x, y in runs:
                    ax.plot(x, y, linewidth=0.6, alpha=0.5, **look)
        ax.set(title=task, xlabel={"steps": "simulator steps"}.get(over, over))
        ax.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("return of training episodes")
    handles = {text: line for ax in figure.axes for line, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
    return figure


@dataclass(frozen=True)
class Bars:
    """Bars one below the other."""

    labels: Sequence[str]
    values: Sequence[float]
    texts: Sequence[str]  # in the bars
    due: Sequence[float | None]  # where a bar must end, if anywhere


def draw_bars(bars: Bars, title: str, unit: str) -> Figure:
    """A chart of bars, with marks where they must end."""
    figure = Figure(figsize=(8, 0.7 + 0.32 * len(bars.labels)), layout="constrained")
    ax = figure.subplots()
    ax.barh(range(len(bars.values)), bars.values, color=COLOURS[5])
    for place, (text, due) in enumerate(zip(bars.texts, bars.due, strict=True)):
        ax.text(0, place, f" {text}", va="center", fontsize=8)
        if due is not None:
            ax.plot([due, due], [place - 0.45, place + 0.45], color=COLOURS[1], linewidth=2)
    ax.set_yticks(range(len(bars.labels)), bars.labels, fontsize=8)
    ax.invert_yaxis()
    ax.set_title(title, fontsize=9, loc="left")
    ax.set_xlabel(unit)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def save(figure: Figure, path: Path) -> list[Path]:
    """The figure as `<path>.svg` and `<path>.png`; the same curves give the same bytes."""
    files = [path.with_name(f"{path.name}.{kind}") for kind in ("svg", "png")]
    with matplotlib.rc_context({"svg.hashsalt": path.name, "svg.fonttype": "none"}):
        figure.savefig(files[0], metadata={"Date": None})
        figure.savefig(files[1], dpi=110)
    return files

"""Figure 1 of the paper from a vine's record: trunks, the rollout set, and branches with their Q̂ as colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from trpolab.lab.pictures.explorer import INK, dress
from trpolab.lab.style import BLUE, ORANGE
from trpolab.sampling.vine.record import TRACED_STATES, VineRecord

WORSE_BETTER = LinearSegmentedColormap.from_list("worse-better", [BLUE, "#9a9a9a", ORANGE])
TRUNK_POINTS = 150  # most points of a trunk's line, so that a picture stays small
PERCENTILES = (2, 98)  # of Q̂: the ends of the colours, so that one outlier does not take them all
PLACE_FIRST = ("paper/Swimmer", "paper/Hopper", "paper/Walker")  # observe all coordinates, the position first


@dataclass(frozen=True)
class Projection:
    """Two dimensions of a task's states."""

    points: Callable[[np.ndarray, np.ndarray], np.ndarray]  # (obs [P, *O], episode times [P]) -> [P, 2]
    labels: tuple[str, str]


def principal_plane(record: VineRecord) -> Projection:
    """The two directions in which the trunk states vary most, every coordinate in units of its standard deviation.

    Signs are fixed by each direction's largest coefficient, so that the plane does not flip between iterations. The
    labels tell each direction's share of the variance.
    """
    states = _flat(record.trunk_obs)
    mean, deviation = states.mean(0), states.std(0)
    scale = np.where(deviation > 0, deviation, 1.0)
    covariance = np.cov((states - mean) / scale, rowvar=False).reshape(states.shape[1], -1)
    variances, directions = np.linalg.eigh(covariance)
    plane = directions[:, ::-1][:, :2]
    if plane.shape[1] < 2:
        plane = np.pad(plane, ((0, 0), (0, 1)))
    largest = np.abs(plane).round(6).argmax(0)  # of equal ones the first
    plane = plane * np.where(plane[largest, [0, 1]] < 0, -1.0, 1.0)
    shares = [*(variances[::-1] / max(float(variances.sum()), 1e-12)), 0.0][:2]
    labels = tuple(f"principal direction {place} ({share:.0%})" for place, share in enumerate(shares, 1))
    return Projection(lambda obs, t: ((_flat(obs) - mean) / scale) @ plane, (labels[0], labels[1]))


def position_in_time(column: int = 0, unit: str = "m") -> Projection:
    """One observed coordinate, by default the position that `paper/*` tasks observe first, against episode time."""
    return Projection(
        lambda obs, t: np.column_stack([t, _flat(obs)[:, column]]), ("step of the episode", f"position, {unit}")
    )


def view_of(task: str, record: VineRecord) -> Projection:
    """Position against time where the task observes its position; else the principal plane."""
    return position_in_time() if task in PLACE_FIRST else principal_plane(record)


def figure_one(
    record: VineRecord,
    view: Projection | None = None,
    *,
    centred: bool = False,
    states: int = TRACED_STATES,
    size: tuple[float, float] = (9.6, 4.2),
    ink: str = INK,
) -> Figure:
    """Trunks as lines, the rollout set as rings, branches coloured by Q̂: orange is better, blue worse.

    `centred` subtracts from Q̂ the mean over the branches of the same state. At most `states` states show their
    branches (a record keeps those of 24); the others are dots. `size` in inches; `ink` is the colour of text, trunks
    and states. The ground is transparent.
    """
    view = view or principal_plane(record)
    figure = Figure(figsize=size)
    figure.patch.set_alpha(0)
    width, height = size
    bottom, top = 0.48 / height, 1 - 0.12 / height  # fixed margins: a layout that measures text takes twice as long
    ax = figure.add_axes((0.62 / width, bottom, 1 - 1.42 / width, top - bottom))
    _draw_trunks(ax, record, view, ink)
    drawn = _spread(np.unique(record.branch_state), states)
    colours = _draw_branches(ax, record, view, centred, np.isin(record.branch_state, drawn))
    others = np.setdiff1d(np.arange(len(record.roots)), drawn)
    roots = view.points(record.roots, record.root_t)
    ax.scatter(roots[others, 0], roots[others, 1], s=5, color=ink, alpha=0.45, linewidth=0, zorder=2, rasterized=True)
    ax.scatter(roots[drawn, 0], roots[drawn, 1], s=20, facecolor="none", edgecolor=ink, linewidth=1.0, zorder=4)
    ax.autoscale_view()
    ax.set(xlabel=view.labels[0], ylabel=view.labels[1])
    dress(ax, ink)
    bar = figure.colorbar(colours, cax=figure.add_axes((1 - 0.7 / width, bottom, 0.1 / width, top - bottom)))
    bar.set_label("Q̂ minus the state's mean" if centred else "Q̂", color=ink, fontsize=8.5)
    bar.ax.tick_params(colors=ink, labelsize=8, width=0.6, length=3)
    bar.ax.locator_params(nbins=5)
    bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def branch_pieces(record: VineRecord) -> list[slice]:
    """The rows of `branch_obs` that belong to each drawn branch."""
    return [slice(int(a), int(b)) for a, b in zip(record.start[:-1], record.start[1:], strict=True)]


def shown_q(record: VineRecord, centred: bool) -> np.ndarray:
    """Q̂ [B] of the drawn branches, minus the mean over those of the same state if `centred`."""
    if not centred:
        return record.branch_q
    _, state = np.unique(record.branch_state, return_inverse=True)
    means = np.bincount(state, record.branch_q) / np.bincount(state)
    return record.branch_q - means[state]


def _draw_trunks(ax: Axes, record: VineRecord, view: Projection, ink: str) -> None:
    points = view.points(record.trunk_obs, record.trunk_t)
    lines = []
    for a, b in zip(record.trunk_start[:-1], record.trunk_start[1:], strict=True):
        every = max(1, -(-int(b - a) // TRUNK_POINTS))
        lines.append(points[np.unique([*range(a, b, every), b - 1])])
    ax.add_collection(LineCollection(lines, colors=ink, linewidths=0.8, alpha=0.3, zorder=1))


def _draw_branches(ax: Axes, record: VineRecord, view: Projection, centred: bool, drawn: np.ndarray) -> LineCollection:
    t = record.branch_age + np.repeat(record.root_t[record.branch_state], np.diff(record.start))
    points = view.points(record.branch_obs, t)
    q = shown_q(record, centred)[drawn]
    low, high = np.percentile(q, PERCENTILES)
    if centred:
        high = max(abs(low), abs(high))
        low = -high
    branches = LineCollection(
        [points[piece] for piece, shown in zip(branch_pieces(record), drawn, strict=True) if shown],
        array=q, cmap=WORSE_BETTER, norm=Normalize(low, high if high > low else low + 1), linewidths=1.1, zorder=3,
    )  # fmt: skip
    ax.add_collection(branches)
    return branches


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the rows, evenly spread."""
    return rows if len(rows) <= most else rows[np.unique(np.linspace(0, len(rows) - 1, most).astype(int))]


def _flat(obs: np.ndarray) -> np.ndarray:
    """[P, *O] as [P, F] float64."""
    return np.asarray(obs, np.float64).reshape(len(obs), -1)

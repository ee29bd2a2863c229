"""A run as a static table and picture, which a saved notebook shows without widgets."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trpolab.lab.pictures.explorer import legend, panels, to_png
from trpolab.lab.reading import Mark, marks_of
from trpolab.lab.series import Columns
from trpolab.lab.style import BLUE, GREEN, GREY, VERMILION


@dataclass(frozen=True)
class Summary:
    """Rows of (what, value), and PNGs of the charts and of a rollout. Each is an output of its own, so that each viewer
    shows what it can.
    """

    title: str
    rows: tuple[tuple[str, str], ...]
    png: bytes
    poster: bytes = b""

    def __str__(self) -> str:
        width = max((len(name) for name, _ in self.rows), default=0)
        return "\n".join([self.title, *(f"  {name:<{width}}  {value}" for name, value in self.rows)])

    def _repr_html_(self) -> str:
        rows = ((html.escape(name), html.escape(value)) for name, value in self.rows)
        body = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in rows)
        return f"<table><caption>{html.escape(self.title)}</caption>{body}</table>"

    def _ipython_display_(self) -> None:
        from IPython.display import Image, display

        display({"text/plain": str(self), "text/html": self._repr_html_()}, raw=True)
        for image in (self.png, self.poster):
            if image:
                display(Image(image))


def summarize(session: Any, poster: bytes = b"") -> Summary:
    """The run so far; `poster` is an animated PNG of its newest policy."""
    history, config = session.history, session.config
    title = f"{session.task.name}, {len(history)} iterations"
    if not history:
        return Summary(title, (("state", "nothing trained yet"),), b"")
    marks = marks_of(history, session.first.settings())
    returns = [row["return_mean"] for row in history if row["return_mean"] is not None]
    outcomes = [row["outcome"] for row in history]
    accepted = sum(outcome.startswith("accepted") for outcome in outcomes)
    delta = history[-1].get("delta")  # of the last update: it may have fallen
    rows = [
        ("simulator steps", f"{history[-1]['sim_steps']:,}"),
        ("return, last iterations", f"{np.mean(returns[-5:]):,.1f}" if returns else "no episode ended"),
        ("best iteration's return", f"{max(returns):,.1f}" if returns else "no episode ended"),
        ("steps accepted", f"{accepted} of {len(outcomes)}"),
        ("δ in use", "none" if delta is None else f"{delta:.3g}"),
        ("seed", f"{config.get('seed')}"),
        ("knobs turned", "; ".join(f"{text} at {iteration}" for iteration, text in marks) or "none"),
        ("run folder", str(session.path) if session.path else "none"),
    ]
    return Summary(title, tuple(rows), draw(history, marks), poster)


def draw(history: Sequence[dict[str, Any]], marks: Sequence[Mark]) -> bytes:
    """Return, KL against δ, and surrogate gain over the iterations: a PNG with a white ground."""
    columns = Columns(["iteration", "return_mean", "kl_mean", "delta", "expected_gain", "surrogate_gain"])
    columns.extend(history)
    x = columns.get("iteration")
    figure, (scores, kl, gain) = panels("Return", "Mean KL(old‖new)", "Surrogate gain")
    ended = np.isfinite(columns.get("return_mean"))
    scores.plot(x[ended], columns.get("return_mean")[ended], color=BLUE)
    for iteration, text in marks:
        scores.axvline(iteration, color=GREY, linewidth=0.8)
        scores.annotate(text, (iteration, 1), xycoords=("data", "axes fraction"), fontsize=7, color="#555", va="top")
    kl.plot(x, columns.get("kl_mean"), color=BLUE, label="mean")
    kl.step(x, columns.get("delta"), color=VERMILION, linestyle="--", where="mid", label="δ")
    kl.set_ylim(bottom=0)
    gain.plot(x, columns.get("surrogate_gain"), color=GREEN, label="real")
    gain.plot(x, columns.get("expected_gain"), color=GREY, linestyle="--", label="predicted")
    for axes in (scores, kl, gain):
        axes.set_xlabel("iteration")
    for axes in (kl, gain):
        legend(axes)
    figure.patch.set(alpha=1, facecolor="white")
    return to_png(figure)

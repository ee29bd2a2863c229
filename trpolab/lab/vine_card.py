"""Keeps Figure 1 of the newest vine iteration on the page, redrawn seldom enough not to slow the training."""

from __future__ import annotations

import io
import time
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg

from trpolab.lab.page import Page
from trpolab.lab.player import MOST_OVERHEAD
from trpolab.lab.vine_view import figure_one, view_of
from trpolab.sampling.vine_record import VineRecord

LEAST_GAP = 3.0  # seconds between two pictures
SHARE = 0.01  # of the time that pictures may take while the run goes on
STATES = 10  # whose branches are drawn: all that are kept would hide one another in so small a picture
SIZE = (4.5, 2.62)  # inches
DOTS = 170  # per inch
INK = "#808080"  # legible on a light and on a dark ground: a PNG can't follow the theme


class VineCard:
    """Used by the pump's thread alone."""

    def __init__(self, task: str, page: Page):
        self._task, self._page = task, page
        self._shown: VineRecord | None = None
        self._next = 0.0

    def consider(self, latest: Any, *, busy: bool, overhead: float) -> None:
        """Show the newest iteration's vine if there is time; put the card away after a single-path iteration."""
        batch = latest.batch if latest is not None else None
        if batch is None:  # nothing sampled, or sampling failed: the last picture stays
            return
        record, now, began = batch.paths, time.monotonic(), time.thread_time()
        if not isinstance(record, VineRecord):
            self.forget()
            return
        first = self._shown is None
        if record is self._shown or (not first and (now < self._next or (busy and overhead > MOST_OVERHEAD))):
            return
        self._shown = record
        self._page.show_vine(draw_card(record, self._task), caption(record, latest.index))
        cost = time.thread_time() - began
        self._next = time.monotonic() + max(LEAST_GAP, cost / SHARE if busy else 0.0)

    def forget(self) -> None:
        """No vine to show: the rollout gets the whole width."""
        if self._shown is not None:
            self._shown, self._next = None, 0.0
            self._page.hide_vine()


def draw_card(record: VineRecord, task: str) -> bytes:
    """A PNG for the card, on a transparent ground."""
    figure = figure_one(record, view_of(task, record), states=STATES, size=SIZE, ink=INK)
    FigureCanvasAgg(figure)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DOTS, transparent=True)
    return out.getvalue()


def caption(record: VineRecord, iteration: int) -> str:
    """What the vine was, in a line."""
    states = len(record.roots)
    return (
        f"iteration {iteration:,} · {states:,} states, {record.branches:,} branches of {record.branch_length:.0f} steps"
    )

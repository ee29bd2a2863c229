"""Figure 1 of the newest vine iteration on the page, redrawn so rarely that training is not slowed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from trpolab.lab.page import Page
from trpolab.lab.pictures.explorer import to_png
from trpolab.lab.pictures.vine_figure import figure_one, view_of
from trpolab.lab.player import MOST_OVERHEAD
from trpolab.sampling.vine.record import VineRecord

LEAST_GAP = 3.0  # seconds between two pictures
SHARE = 0.01  # of the time that pictures may take while the run goes on
STATES = 10  # whose branches are drawn: all that are kept would hide one another in so small a picture
SIZE = (3.2, 2.55)  # inches: as wide as a card on a laptop, so that its text can be read there
DOTS = 220  # per inch
INK = "#808080"  # legible on a light and on a dark ground: a PNG can't follow the theme


class VineCard:
    """Used by the refresh thread alone, except for the slider's callback, which only stores a number."""

    def __init__(self, task: str, page: Page):
        self._task, self._page = task, page
        self._shown: VineRecord | None = None
        self._next = 0.0
        self._asked: int | None = None  # steps back that the slider was moved to, until they are looked up
        self._held: tuple[int, VineRecord] | None = None  # the earlier vine that was asked for
        page.vine_back.observe(self._look_back, "value")

    def consider(self, latest: Any, kept: Sequence[tuple[int, VineRecord]], *, busy: bool, overhead: float) -> None:
        """Show the newest vine, or the one asked for, if there is time; hide the card after a single path.

        `kept` holds the last vine iterations, the newest last.
        """
        batch = latest.batch if latest is not None else None
        if batch is None:  # nothing sampled, or sampling failed: the last picture stays
            return
        if not isinstance(batch.paths, VineRecord) or not batch.paths.drawable:
            self.forget()
            return
        if len(kept) > 1:
            self._page.vine_back.min = 1 - len(kept)
            self._page.vine_back.layout.display = None
        now, began = time.monotonic(), time.thread_time()
        asked = self._asked is not None
        if self._asked is not None:
            back, self._asked = self._asked, None
            self._held = kept[max(len(kept) - 1 + back, 0)] if back else None
        index, record = self._held or (latest.index, batch.paths)
        at_once = asked or self._shown is None
        if record is self._shown or (not at_once and (now < self._next or (busy and overhead > MOST_OVERHEAD))):
            return
        self._shown = record
        self._page.show_vine(draw_card(record, self._task), caption(record, index))
        cost = time.thread_time() - began
        self._next = time.monotonic() + max(LEAST_GAP, cost / SHARE if busy else 0.0)

    def forget(self) -> None:
        """No vine to show: the rollout gets the whole width."""
        if self._shown is not None:
            self._shown, self._next = None, 0.0
            self._page.hide_vine()
        self._page.vine_back.value, self._held, self._asked = 0, None, None

    def _look_back(self, change: dict[str, Any]) -> None:
        self._asked = change["new"]


def draw_card(record: VineRecord, task: str) -> bytes:
    """A PNG for the card, on a transparent ground."""
    figure = figure_one(record, view_of(task, record), states=STATES, size=SIZE, ink=INK)
    return to_png(figure, dpi=DOTS, transparent=True)


def caption(record: VineRecord, iteration: int) -> str:
    """One line about the vine."""
    return f"iteration {iteration:,} · {record.branches:,} branches of {record.branch_length:.0f} steps"

"""The cards with pictures: a rollout of the newest policy, and the newest vine.

Both are drawn so rarely that training is not slowed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from trpolab.lab.page import Page
from trpolab.lab.pictures.explorer import to_png
from trpolab.lab.pictures.vine_figure import figure_one, view_of
from trpolab.lab.played_runs import PlayedRun
from trpolab.lab.player import PlayedVine, Player
from trpolab.lab.refresh import RefreshTimer
from trpolab.runs.reader import RunFolderError
from trpolab.sampling.vine.record import VineRecord

MOST_OVERHEAD = 0.04  # above it there is no time to spare for pictures of vines
SHARE = 0.02  # of the training's time that recordings may take,
LONGEST = 0.1  # seconds of a processor that one takes at most, so that the next is not far,
FEWEST_STEPS = 50  # but not fewer
PATIENCE = 4.0  # seconds that a recording takes at most, which tasks that draw slowly need
STATES = 10  # whose branches are drawn: all that are kept would hide one another in so small a picture
SIZE = (3.2, 3.0)  # inches: as wide as a card on a laptop, so that its text can be read there
DOTS = 220  # per inch
INK = "#808080"  # legible on a light and on a dark ground: a PNG can't follow the theme


class Pace:
    """Spaces pictures: at least `gap` seconds apart, and while the run goes on for at most a `share` of the time."""

    def __init__(self, gap: float, share: float):
        self._gap, self._share = gap, share
        self._drawn, self._cost = -math.inf, 0.0

    def allows(self, busy: bool = False, overhead: float = 0.0) -> bool:
        """Whether it is time for a picture. `busy`: training goes on; `overhead`: the lab's share of its time."""
        wait = max(self._gap, self._cost / self._share if busy else 0.0)
        return time.monotonic() >= self._drawn + wait and not (busy and overhead > MOST_OVERHEAD)

    def drawn(self, began: float) -> None:
        """A picture was drawn; `began` is the thread's processor time before."""
        self._drawn, self._cost = time.monotonic(), time.thread_time() - began


class RolloutCard:
    """The rollout card: the newest policy plays, at a bounded share of the training's time.

    It is recorded on a thread of its own, so that the charts go on meanwhile.
    """

    def __init__(self, lab: Any):
        self._lab = lab
        self._pace = Pace(gap=1.0, share=SHARE)
        self._steps: int | None = None  # recorded at most while training goes on
        self.player = Player([self._run()], patience=PATIENCE, vine=self._vine, wake=lambda: None)
        self._timer = RefreshTimer(self.stroke, self.player.complain)

    def start(self) -> None:
        """Show policies from now on."""
        self._timer.start()

    @property
    def seconds(self) -> float:
        """Processor time that the card has taken."""
        return self._timer.seconds

    def stroke(self) -> None:
        """Show the newest policy if it is new and there is time, or what a person asked for."""
        busy, began = self._lab.state in ("running", "watching"), time.thread_time()
        follow = bool(self._lab.history) and self._pace.allows(busy)
        self.player.max_steps = self._steps if busy else None
        if self.player.stroke(follow):
            cost = time.thread_time() - began
            self._pace.drawn(began)
            length = len(self.player.rollouts[-1].rewards) if self.player.rollouts else 0
            self._steps = max(FEWEST_STEPS, int(length * LONGEST / cost)) if cost > LONGEST and length else None

    def restart(self) -> None:
        """Another session began."""
        self._steps = None
        self.player.replace_runs([self._run()])

    def close(self) -> None:
        """End the thread; what was recorded stays on show."""
        self._timer.close()
        self.player.close()

    def _run(self) -> PlayedRun:
        return PlayedRun(self._lab.session.task.name, self._lab.session.source, self._lab.trainer.policies)

    def _vine(self) -> PlayedVine | None:
        """The newest iteration's vine, if it was one that can be played."""
        latest = self._lab.trainer.latest
        record = latest.batch.paths if latest is not None and latest.batch is not None else None
        if not isinstance(record, VineRecord) or not record.drawable:
            return None
        try:
            before = self._lab.trainer.policies.policy(latest.index - 1)
        except RunFolderError:  # a session that goes on has not kept it
            return None
        return PlayedVine(latest, before, self._lab.session.config.get("seed"))


class VineCard:
    """Figure 1 of the newest vine iteration, or of an earlier one that the slider asks for."""

    def __init__(self, task: str, page: Page):
        self._task, self._page = task, page
        self._shown: VineRecord | None = None
        self._pace = Pace(gap=3.0, share=0.01)
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
        at_once = self._asked is not None or self._shown is None
        if self._asked is not None:
            back, self._asked = self._asked, None
            self._held = kept[max(len(kept) - 1 + back, 0)] if back else None
        index, record = self._held or (latest.index, batch.paths)
        if record is self._shown or not (at_once or self._pace.allows(busy, overhead)):
            return
        self._shown, began = record, time.thread_time()
        figure = figure_one(record, view_of(self._task, record), states=STATES, size=SIZE, ink=INK)
        about = f"iteration {index:,} · {record.branches:,} branches of {record.branch_length:.0f} steps"
        self._page.show_vine(to_png(figure, dpi=DOTS, transparent=True), about)
        self._pace.drawn(began)

    def forget(self) -> None:
        """No vine to show: the rollout gets the whole width."""
        if self._shown is not None:
            self._shown = None
            self._page.hide_vine()
        self._page.vine_back.value, self._held, self._asked = 0, None, None

    def _look_back(self, change: dict[str, Any]) -> None:
        """Called on another thread: it only stores the number."""
        self._asked = change["new"]

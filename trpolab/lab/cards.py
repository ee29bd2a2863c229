"""The cards with pictures: a rollout of the newest policy, and the newest vine.

Both are drawn by the refresh thread, so rarely that training is not slowed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from trpolab.lab.page import Page
from trpolab.lab.pictures.explorer import to_png
from trpolab.lab.pictures.game_poster import GamePoster, draw_game
from trpolab.lab.pictures.poster import MOST_SECONDS, draw_poster
from trpolab.lab.pictures.rollout import ScreenRollout, Rollout, Screened, record
from trpolab.lab.pictures.vine_figure import figure_one, view_of
from trpolab.policies import Policy
from trpolab.sampling.vine.record import VineRecord
from trpolab.simulators import Source, make

MOST_OVERHEAD = 0.04  # above it there is no time to spare for pictures
STATES = 10  # whose branches are drawn: all that are kept would hide one another in so small a picture
SIZE = (3.2, 2.55)  # inches: as wide as a card on a laptop, so that its text can be read there
DOTS = 220  # per inch
INK = "#808080"  # legible on a light and on a dark ground: a PNG can't follow the theme


class Pace:
    """Spaces pictures: at least `gap` seconds apart, and while the run goes on for at most a `share` of the time."""

    def __init__(self, gap: float, share: float):
        self._gap, self._share = gap, share
        self._next = 0.0

    def allows(self, busy: bool, overhead: float) -> bool:
        """Whether it is time for a picture. `busy`: training goes on; `overhead`: the lab's share of its time."""
        return time.monotonic() >= self._next and not (busy and overhead > MOST_OVERHEAD)

    def drawn(self, began: float, busy: bool) -> None:
        """A picture was drawn; `began` is the thread's processor time before."""
        cost = time.thread_time() - began
        self._next = time.monotonic() + max(self._gap, cost / self._share if busy else 0.0)


class Player:
    """The rollout card; it has a simulator of its own."""

    def __init__(self, task: Source, page: Page):
        self._task, self._page = task, page
        self._simulator: Any = None
        self._shown: Policy | None = None
        self._pace = Pace(gap=2.0, share=0.02)
        self._possible = True
        page.show_no_rollout("the policy plays here after the first iteration")

    def consider(self, policy: Policy, iteration: int, *, busy: bool, overhead: float) -> None:
        """Show the policy if it is new and there is time; `busy` says that it is being trained meanwhile."""
        if not self._possible or iteration == 0 or policy is self._shown:
            return
        if self._shown is not None and not self._pace.allows(busy, overhead):
            return
        self._shown, began = policy, time.thread_time()
        try:
            self._show(policy, iteration)
            self._pace.drawn(began, busy)
        except Exception as error:  # noqa: BLE001 - a task that can't be drawn is still trained and charted
            self._possible = False
            self._page.show_no_rollout(f"no picture: {type(error).__name__}: {error}")

    def forget(self, task: Source) -> None:
        """A new run begins: its first policy is shown at once. Its settings may show a game in another way."""
        self._shown = None
        if task is not self._task:
            self.close()
            self._task, self._possible = task, True

    def close(self) -> None:
        """Close the simulator."""
        if self._simulator is not None:
            self._simulator.close()
            self._simulator = None

    def _show(self, policy: Policy, iteration: int) -> None:
        if self._simulator is None:
            self._simulator = make(self._task, 1, 1)
        if self._simulator.scene is None and not isinstance(self._simulator, Screened):
            self._possible = False
            self._page.show_no_rollout("this task tells no geometry to draw")
            return
        rollout = record(policy, self._simulator)
        if isinstance(rollout, ScreenRollout):
            poster = draw_game(rollout)
            self._page.show_rollout(poster.png, game_caption(rollout, poster, iteration), of_a_game=True)
        else:
            self._page.show_rollout(draw_poster(rollout), caption(rollout, iteration))


def caption(rollout: Rollout, iteration: int) -> str:
    """One line about the rollout."""
    length = f"{rollout.seconds:.3g} s"
    shown = f"first {MOST_SECONDS:g} of {length}" if rollout.seconds > MOST_SECONDS else length
    return f"iteration {iteration:,} · mean action · return {rollout.total:,.0f} · {shown}"


def game_caption(rollout: ScreenRollout, poster: GamePoster, iteration: int) -> str:
    """The score so far or of the whole game, and how much of it the picture shows."""
    score, length = f"{rollout.total:,.0f}".replace("-", "−"), f"{rollout.seconds:.3g} s"
    how = f"score {score}, game over after {length}" if rollout.terminated else f"score {score} after {length}"
    cut = rollout.seconds - poster.seconds > rollout.seconds_per_frame
    shown = f" · first {poster.seconds:.2g} s shown" if cut else ""
    return f"iteration {iteration:,} · sampled actions · {how}{shown}"


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
        self._pace.drawn(began, busy)

    def forget(self) -> None:
        """No vine to show: the rollout gets the whole width."""
        if self._shown is not None:
            self._shown = None
            self._page.hide_vine()
        self._page.vine_back.value, self._held, self._asked = 0, None, None

    def _look_back(self, change: dict[str, Any]) -> None:
        """Called on another thread: it only stores the number."""
        self._asked = change["new"]

"""The rollout card: it records and draws the newest policy, so rarely that training is not slowed."""

from __future__ import annotations

import time
from typing import Any

from trpolab.lab.page import Page
from trpolab.lab.pictures.game_poster import GamePoster, draw_game
from trpolab.lab.pictures.poster import MOST_SECONDS, draw_poster
from trpolab.lab.pictures.rollout import GameRollout, Rollout, Screened, record
from trpolab.policies import Policy
from trpolab.simulators import Source, make

LEAST_GAP = 2.0  # seconds between two pictures
SHARE = 0.02  # of the time that pictures may take while the run goes on
MOST_OVERHEAD = 0.04  # above it the refresh thread has no time for pictures


class Player:
    """Used by the refresh thread alone; it has a simulator of its own."""

    def __init__(self, task: Source, page: Page):
        self._task, self._page = task, page
        self._simulator: Any = None
        self._shown: Policy | None = None
        self._next = 0.0
        self._possible = True
        page.show_no_rollout("the policy plays here after the first iteration")

    def consider(self, policy: Policy, iteration: int, *, busy: bool, overhead: float) -> None:
        """Show the policy if it is new and there is time; `busy` says that it is being trained meanwhile."""
        now, began = time.monotonic(), time.thread_time()
        if not self._possible or iteration == 0 or policy is self._shown or now < self._next:
            return
        if busy and self._shown is not None and overhead > MOST_OVERHEAD:
            return
        self._shown = policy
        try:
            self._show(policy, iteration)
        except Exception as error:  # noqa: BLE001 - a task that can't be drawn is still trained and charted
            self._possible = False
            self._page.show_no_rollout(f"no picture: {type(error).__name__}: {error}")
            return
        cost = time.thread_time() - began
        self._next = time.monotonic() + max(LEAST_GAP, cost / SHARE if busy else 0.0)

    def forget(self, task: Source) -> None:
        """A new run begins: its first policy is shown at once. Its settings may show a game in another way."""
        self._shown, self._next = None, 0.0
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
        if isinstance(rollout, GameRollout):
            poster = draw_game(rollout)
            self._page.show_rollout(poster.png, game_caption(rollout, poster, iteration), of_a_game=True)
        else:
            self._page.show_rollout(draw_poster(rollout), caption(rollout, iteration))


def caption(rollout: Rollout, iteration: int) -> str:
    """One line about the rollout."""
    length = f"{rollout.seconds:.3g} s"
    shown = f"first {MOST_SECONDS:g} of {length}" if rollout.seconds > MOST_SECONDS else length
    return f"iteration {iteration:,} · mean action · return {rollout.total:,.0f} · {shown}"


def game_caption(rollout: GameRollout, poster: GamePoster, iteration: int) -> str:
    """The score so far or of the whole game, and how much of it the picture shows."""
    score, length = f"{rollout.total:,.0f}".replace("-", "−"), f"{rollout.seconds:.3g} s"
    how = f"score {score}, game over after {length}" if rollout.terminated else f"score {score} after {length}"
    cut = rollout.seconds - poster.seconds > rollout.seconds_per_frame
    shown = f" · first {poster.seconds:.2g} s shown" if cut else ""
    return f"iteration {iteration:,} · sampled actions · {how}{shown}"

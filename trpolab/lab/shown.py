"""What has a lab's page: a run that is trained here, or one that is watched."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from trpolab.lab.series import Columns
from trpolab.lab.summary import Summary, summarize
from trpolab.lab.view import View

Ghost = tuple[np.ndarray, np.ndarray]  # an earlier run in the charts: iterations, returns


class Shown:
    """Shows `session` with `trainer`; the last line of a cell displays it. A subclass has both, `state` and `panel`."""

    session: Any
    trainer: Any
    steerable = True  # whether a person may press its buttons

    def __init__(self) -> None:
        self._making_view = threading.Lock()
        self._view: View | None = None
        self._closed = False
        self.ghosts: list[Ghost] = []  # runs that the same cell showed before, the newest first

    @property
    def history(self) -> Sequence[dict[str, Any]]:
        """One dict of metrics per iteration of the run under way."""
        return self.session.history

    def as_ghosts(self) -> list[Ghost]:
        """This run, and those before it, for the charts of the next one."""
        drawn = Columns(["iteration", "return_mean"])
        drawn.extend(self.history)
        own = [(drawn.get("iteration"), drawn.get("return_mean"))] if self.history else []
        return own + (self._view.charts.ghosts if self._view is not None else self.ghosts)

    @property
    def view(self) -> View:
        """The widgets, made when first asked for."""
        with self._making_view:
            if self._view is None:
                self._view = View(self)
                self._view.start()
            return self._view

    def close(self, keep_view: bool = True) -> None:
        """End the threads; the view is closed as well unless `keep_view`."""
        if self._closed:
            return
        self._closed = True
        self.close_run()
        if self._view is not None:
            self._view.close(keep_view)

    def close_run(self) -> None:
        """End the run, if it is one of this process."""

    def refresh(self) -> None:
        """Show new values now, not only at the refresh thread's next call."""
        if self._view is not None:
            self._view.stroke()
            self._view.rollout.stroke()

    def overhead(self) -> float:
        """The view's processor time as a share of the time spent training; 0 while it was never shown."""
        seconds = self.trainer.elapsed()
        spent = self._view.pump.seconds + self._view.rollout.seconds if self._view is not None else 0.0
        return spent / seconds if seconds > 0 else 0.0

    def summary(self) -> Summary:
        """A static table and picture of the run so far, for a saved notebook: display it as the last line of a cell."""
        return summarize(self.session, self._view.poster if self._view is not None else b"")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        text = f"{'Lab' if self.steerable else 'Watch'}({self.session.task.name})"
        return {**self.view.bundle(include=include, exclude=exclude), "text/plain": text}

"""What stays of a lab in the notebook's file: table, charts and rollout, as outputs beside the live one.

A live view needs its kernel; GitHub, nbconvert and a notebook that is opened again show these instead. While the live
view is on the page, its style sheet hides them.
"""

from __future__ import annotations

import time
import uuid
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from trpolab.lab.cells import current_shell
from trpolab.lab.pictures.poster import SHOWN
from trpolab.lab.summary import Summary

OUTPUTS = ("table", "charts", "rollout")
HOLDING = ("paused", "stopped", "finished", "error")
GAP, SHARE = 120.0, 0.005  # seconds between two updates while the run goes on, and the share of the time they may take


class StaticOutput:
    """Three outputs of the cell that shows the lab, updated when the run holds, and now and then while it goes on.

    Without a kernel there are none.
    """

    def __init__(self, summary: Callable[[], Summary]):
        self._summary = summary
        self._names: dict[str, str] = {}
        self._told: Any = None
        self._next = 0.0

    def place(self) -> None:
        """Make the outputs in the cell that runs now; what there is to tell comes with the next update."""
        if current_shell() is None:
            return
        self._told = None
        self._names = self._names or {name: f"trpolab-{name}-{uuid.uuid4().hex}" for name in OUTPUTS}
        self._send(bundles(self._summary()), update=False)

    def consider(self, state: str, iteration: int, rollout: object) -> None:
        """Update the outputs if they tell something old; `rollout` tells one rollout on show from the next."""
        told = (state in HOLDING, iteration, rollout)
        if not self._names or told == self._told or iteration == 0:
            return
        if state not in HOLDING and time.monotonic() < self._next:
            return
        began = time.thread_time()
        self._send(bundles(self._summary()), update=True)
        self._told = told
        self._next = time.monotonic() + max(GAP, (time.thread_time() - began) / SHARE)

    def _send(self, found: dict[str, dict[str, str]], update: bool) -> None:
        from IPython.display import display

        for name, bundle in found.items():
            shown = SHOWN if name == "rollout" else None
            display(bundle, raw=True, metadata=shown, display_id=self._names[name], update=update)


def bundles(summary: Summary) -> dict[str, dict[str, str]]:
    """A summary as MIME bundles; an image that isn't there yet is an empty text."""
    table = f"<div class='trpolab-stays trpolab-stays-3'>{summary._repr_html_()}</div>"
    images = {"charts": summary.png, "rollout": summary.poster}
    found = {"table": {"text/plain": str(summary), "text/html": table}}
    for name, image in images.items():
        found[name] = {"text/plain": f"{summary.title}: {name}" if image else ""}
        if image:
            found[name]["image/png"] = b64encode(image).decode()
    return found

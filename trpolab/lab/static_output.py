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
from trpolab.lab.web import WebView

OUTPUTS = ("table", "charts", "rollout")
HOLDING = ("paused", "stopped", "finished", "error")
GAP, SHARE = 120.0, 0.005  # seconds between two updates while the run goes on, and the share of the time they may take


class StaticOutput(WebView):
    """Three outputs of the cell that shows the lab, updated when the run holds, and now and then while it goes on.

    Without a kernel there are none. A kernel's update of an output reaches only the page that ran the cell: to a page
    that was loaded again this widget, which is not to be seen, tells what is new.
    """

    def __init__(self, summary: Callable[[], Summary]):
        self._summary = summary
        self._names: dict[str, str] = {}
        self._told: Any = None
        self._next = 0.0
        self._newest: tuple[int, list[dict[str, Any]]] = 0, []  # how many updates there were, and the last one
        super().__init__("static_output")

    def place(self) -> None:
        """Make the outputs in the cell that runs now; what there is to tell comes with the next update."""
        if current_shell() is None:
            return
        self._told = None
        self._names = self._names or {name: f"trpolab-{name}-{uuid.uuid4().hex}" for name in OUTPUTS}
        self._tell(update=False)

    def answer(self, topic: str, have: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]] | None:
        """The outputs, or ("newest") which there are, where a page's notebook has older ones."""
        number, outputs = self._newest
        if have.get("number", 0) >= number:
            return None
        told = outputs if topic == "outputs" else list(self._names.values())
        return {"number": number, "outputs": told}, []

    def consider(self, state: str, iteration: int, rollout: object) -> None:
        """Update the outputs if they tell something old; `rollout` tells one rollout on show from the next."""
        told = (state in HOLDING, iteration, rollout)
        if not self._names or told == self._told or iteration == 0:
            return
        if state not in HOLDING and time.monotonic() < self._next:
            return
        began = time.thread_time()
        self._tell(update=True)
        self._told = told
        self._next = time.monotonic() + max(GAP, (time.thread_time() - began) / SHARE)

    def _tell(self, update: bool) -> None:
        from IPython.display import display

        number = self._newest[0] + 1
        outputs = []
        for name, bundle in bundles(self._summary()).items():
            shown = SHOWN if name == "rollout" else {}
            outputs.append(
                {"data": bundle, "metadata": {**shown, "trpolab": {"output": self._names[name], "number": number}}}
            )
        for name, output in zip(self._names.values(), outputs, strict=True):
            display(output["data"], raw=True, metadata=output["metadata"], display_id=name, update=update)
        self._newest = number, outputs
        self.offer()


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

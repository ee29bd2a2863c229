"""Views that the browser draws: one bundle of three.js, uPlot and our own code, and the widget that talks with it.

The bundle, `dist/trpolab.js`, is built from `src/` by `npm ci && npm run build` and committed. It reaches a page once,
as a message: a widget's own module is the small `loader.js`.
"""

from __future__ import annotations

import hashlib
import threading
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets

HERE = Path(__file__).parent
LOADER = (HERE / "loader.js").read_text(encoding="utf-8")


@cache
def bundle() -> tuple[str, bytes]:
    """The built JavaScript and the name that a page keeps it by."""
    code = (HERE / "dist" / "trpolab.js").read_bytes()
    return hashlib.sha256(code).hexdigest()[:16], code


class WebView(anywidget.AnyWidget):
    """A widget drawn by the bundle's function of this `kind` (`src/index.js`), in as many views as the page has.

    A view asks for a topic, naming what it has and how many answers it takes (`credit`, 1 unless it says so); `answer`
    says what it lacks, at once or when `offer` is called and there is something new. For more answers it asks again,
    or, keeping what it was sent, for `more`: the front end shows the kernel as busy for a moment with each message to
    it. So a page that can't keep up, is hidden or gone soon costs nothing, and one that appears gets the whole state.
    Buttons and sliders of a view end in `told`.
    """

    _esm = LOADER
    kind = traitlets.Unicode().tag(sync=True)
    bundle = traitlets.Unicode().tag(sync=True)

    def __init__(self, kind: str):
        self._views: dict[tuple[str, str], tuple[dict[str, Any], int]] = {}  # by view and topic: has, credit
        self._lock = threading.RLock()
        super().__init__(kind=kind, bundle=bundle()[0])
        self.on_msg(self._receive)

    def answer(self, topic: str, have: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]] | None:
        """What a view lacks, as (content, buffers); None if it has all there is. Called on any thread.

        A topic of which views take more than one answer says in `content["have"]` what a view has after this one.
        """
        raise NotImplementedError

    def told(self, topic: str, said: dict[str, Any]) -> None:
        """A person did something in a view. Called on a thread of the kernel: it only stores or sets a flag."""

    def offer(self) -> None:
        """Answer the views that wait, if there is something new for them."""
        with self._lock:
            for view, topic in self._views:
                self._answer(view, topic)

    def _answer(self, view: str, topic: str) -> None:
        have, credit = self._views[view, topic]
        while credit and (found := self.answer(topic, have)) is not None:
            content, buffers = found
            have, credit = content.get("have", have), credit - 1
            self._views[view, topic] = have, credit
            self.send({"type": "answer", "view": view, "topic": topic, **content}, buffers)

    def _receive(self, _: Any, content: dict[str, Any], buffers: list[Any]) -> None:
        if content["type"] == "bundle":
            self.send({"type": "bundle"}, [bundle()[1]])
        elif content["type"] in ("ask", "more"):
            asked = content["view"], content["topic"]
            with self._lock:
                known, _ = self._views.get(asked, ({}, 0))
                self._views[asked] = content.get("have", known), content.get("credit", 1)
                self._answer(*asked)
        elif content["type"] == "tell":
            self.told(content["topic"], content["said"])

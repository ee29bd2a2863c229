"""The row under a lab: files to be saved, the clipboard, and stepping back to an iteration that the run keeps."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import ipywidgets as w

from trpolab.lab.export import ALL, FORMATS, exported, kinds, names
from trpolab.lab.hand_over import HandOver
from trpolab.settings import PlainError

NO_FOLDER = "Going back needs a run folder; this lab has none (out=None)"
NOTHING_KEPT = "Going back needs a checkpoint; the run has kept none yet"
WHOLE = {"description_width": "initial"}  # labels are not cut
REWIND = "Go back to this iteration, and on from there with the knobs as they stand, as a new run"


class TakeAlong:
    """`poster()` is the newest rollout as an animated PNG."""

    def __init__(self, lab: Any, poster: Callable[[], bytes]):
        self._lab, self._poster = lab, poster
        self._seen: Any = None
        self.hand = HandOver(self._copied)
        self.what = w.Dropdown(options=names(), value=ALL, description="save", style=WHOLE)
        self.kind = w.Dropdown(options=kinds(ALL), description="as", style=WHOLE)
        self.save = w.Button(description="Save file", tooltip="Save it where the browser saves files")
        self.at = w.Dropdown(description="back to iteration", disabled=True, style=WHOLE)
        self.back = w.Button(description="Rewind", disabled=True)
        self.said = w.HTML()
        self.what.observe(self._choose, "value")
        self.save.on_click(lambda _: self._try(self._save))
        self.back.on_click(lambda _: self._try(lambda: lab.ask_for_reset(self.at.value)))
        rewind = [self.at, self.back] if lab.steerable else []
        self.widget = w.HBox([self.what, self.kind, self.save, *rewind, self.said, self.hand])
        self.widget.add_class("trpolab-foot").add_class("trpolab-along")

    def copy(self, text: str) -> None:
        """Put a text on the clipboard of the page that asked for it."""
        self.say("")
        self.hand.copy(text)

    def say(self, text: str) -> None:
        """A line at the right of the row."""
        self.said.value = f"<span role='status'>{html.escape(text)}</span>"

    def refresh(self) -> None:
        """Offer the iterations that are kept now; called by the refresh thread."""
        seen = (self._lab.session, len(self._lab.history))
        if not self._lab.steerable or seen == self._seen:
            return
        self._seen, kept = seen, self._lab.kept()
        if kept != list(self.at.options):
            chosen = self.at.value
            self.at.options = kept
            self.at.value = chosen if chosen in kept else (kept[-1] if kept else None)
        self.at.disabled = self.back.disabled = not kept
        why = NO_FOLDER if self._lab.session.path is None and self._lab.history else NOTHING_KEPT
        self.back.tooltip = self.at.tooltip = REWIND if kept else why

    def _choose(self, change: dict[str, Any]) -> None:
        if self.kind.options != kinds(change["new"]):
            self.kind.options = kinds(change["new"])

    def _save(self) -> None:
        what, kind = self.what.value, self.kind.value
        self.say(f"making {what} as {kind} ...")
        content = exported(what, kind, self._lab.history, self._poster())
        name = f"{self._lab.session.task.name} {what} {len(self._lab.history)}.{kind}"
        self.hand.save(
            "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name), FORMATS[kind], content
        )
        self.say("")

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except (PlainError, OSError) as error:
            self.say(str(error))

    def _copied(self, ok: bool) -> None:
        self.say(
            "copied to the clipboard" if ok else "the browser keeps its clipboard closed: click the text, then copy"
        )

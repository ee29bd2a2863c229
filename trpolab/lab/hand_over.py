"""Handing something to the person at the page: a text for the clipboard, a file to be saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trpolab.lab.web import WebView


class HandOver(WebView):
    """An invisible widget of the page. `copied` is called with whether a text has reached the clipboard."""

    def __init__(self, copied: Callable[[bool], None]):
        self._copied = copied
        self._number, self._item, self._content = 0, dict[str, Any](), b""
        super().__init__("hand_over")

    def copy(self, text: str) -> None:
        """Put a text on the clipboard."""
        self._put({"copy": text}, b"")

    def save(self, name: str, mime: str, content: bytes) -> None:
        """Save a file where the browser saves files."""
        self._put({"name": name, "mime": mime}, content)

    def answer(self, topic: str, have: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]] | None:
        """What a view has not been handed yet; nothing that was handed over before the view was there."""
        number = have.get("number", 0)
        if number < 0:
            return {"number": self._number, "name": None}, [b""]
        if number >= self._number:
            return None
        return {**self._item, "number": self._number}, [self._content]

    def told(self, topic: str, said: dict[str, Any]) -> None:
        """Whether the text is on the clipboard."""
        self._copied(bool(said.get("ok")))

    def _put(self, item: dict[str, Any], content: bytes) -> None:
        self._number, self._item, self._content = self._number + 1, item, content
        self.offer()

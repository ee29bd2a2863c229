"""The player's widget: what its views in the browser show, and what a person wishes in one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from trpolab.lab.pictures.ghosts import Ghosts
from trpolab.lab.pictures.packed import pack
from trpolab.lab.pictures.rollout import AnyRollout
from trpolab.lab.web import WebView


@dataclass(frozen=True)
class Panel:
    """One picture of the player."""

    title: str
    caption: str
    rollout: AnyRollout
    ghosts: Ghosts | None = None


class PlayerView(WebView):
    """The widget. It shows what it was handed last, in every view."""

    def __init__(self, told: Callable[[dict[str, Any]], None]):
        self._told = told
        self._states: dict[str, tuple[int, dict[str, Any], list[bytes]]] = {}
        super().__init__("player")

    def put(self, topic: str, about: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """What the views show from now on: "panels" or "choices"."""
        version, known, _ = self._states.get(topic, (0, None, []))
        if about != known or buffers:
            self._states[topic] = version + 1, about, list(buffers)
            self.offer()

    def show(self, panels: Sequence[Panel]) -> None:
        """Show these, side by side."""
        abouts, buffers = [], list[bytes]()
        for panel in panels:
            about, own = pack(panel.rollout, panel.ghosts)
            abouts.append({"title": panel.title, "caption": panel.caption, "first": len(buffers), **about})
            buffers += own
        self.put("panels", {"panels": abouts}, buffers)

    def answer(self, topic: str, have: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]] | None:
        """All of it, where a view has an older version."""
        version, about, buffers = self._states.get(topic, (0, {}, []))
        return None if have.get("version", 0) == version else ({**about, "version": version}, buffers)

    def told(self, topic: str, said: dict[str, Any]) -> None:
        """A person wishes to see something else."""
        self._told(said)

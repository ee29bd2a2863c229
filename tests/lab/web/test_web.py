"""The bundle, and what passes between a view and its widget, without a browser."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from trpolab.lab import web
from trpolab.lab.web import WebView


def built_from(folder: Path) -> str:
    """The name of the sources, computed as build.mjs does."""
    digest = hashlib.sha256()
    own = sorted(f"src/{path.name}" for path in (folder / "src").iterdir())
    for name in ("build.mjs", "package-lock.json", *own):
        digest.update(f"{name}\0".encode() + (folder / name).read_bytes())
    return digest.hexdigest()


def test_the_bundle_is_built_from_the_sources_beside_it() -> None:
    first = (web.HERE / "dist" / "trpolab.js").read_text(encoding="utf-8").splitlines()[0]
    assert built_from(web.HERE) in first, "run `npm ci && npm run build` in trpolab/lab/web"


def test_the_bundle_comes_with_its_licences() -> None:
    licences = (web.HERE / "dist" / "LICENSES.txt").read_text(encoding="utf-8")
    locked = json.loads((web.HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for name in ("three", "uplot"):
        assert f"{name} {locked[f'node_modules/{name}']['version']}" in licences
    assert licences.count("Permission is hereby granted, free of charge") == 2


class Counting(WebView):
    """Tells views how far it has counted."""

    def __init__(self) -> None:
        self.count, self.heard = 0, []
        self.sent: list[tuple[dict[str, Any], list[bytes]]] = []
        super().__init__("charts")

    def answer(self, topic: str, have: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]] | None:
        return None if have.get("count", 0) >= self.count else ({"count": self.count}, [b"x" * self.count])

    def told(self, topic: str, said: dict[str, Any]) -> None:
        self.heard.append((topic, said))

    def send(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        self.sent.append((content, buffers or []))


@pytest.fixture
def counting() -> Counting:
    return Counting()


def ask(widget: WebView, view: str, **have: Any) -> None:
    widget._handle_custom_msg({"type": "ask", "view": view, "topic": "rows", "have": have}, [])


def test_the_module_of_a_widget_is_small_and_the_bundle_comes_as_a_message(counting: Counting) -> None:
    assert len(counting._esm) < 15_000
    counting._handle_custom_msg({"type": "bundle"}, [])
    ((content, buffers),) = counting.sent
    assert content == {"type": "bundle"} and hashlib.sha256(buffers[0]).hexdigest().startswith(counting.bundle)


def test_a_view_waits_for_news_and_is_answered_once(counting: Counting) -> None:
    ask(counting, "a")
    counting.offer()
    assert counting.sent == []
    counting.count = 1
    counting.offer()
    counting.count = 2
    counting.offer()  # the view has not drawn the first answer yet
    assert [content["count"] for content, _ in counting.sent] == [1]
    ask(counting, "a", count=1)
    content, buffers = counting.sent[-1]
    assert content == {"type": "answer", "view": "a", "topic": "rows", "count": 2} and buffers == [b"xx"]


def test_each_view_is_answered_by_what_it_has(counting: Counting) -> None:
    counting.count = 3
    ask(counting, "old", count=3)
    ask(counting, "new")
    assert [content["view"] for content, _ in counting.sent] == ["new"]
    counting.count = 4
    counting.offer()
    assert [content["view"] for content, _ in counting.sent] == ["new", "old"]


def test_a_view_with_credit_is_answered_so_many_times_and_then_no_more_until_it_asks(counting: Counting) -> None:
    counting.answer = lambda topic, have: (  # type: ignore[method-assign]
        None if have["count"] == counting.count else ({"have": {"count": have["count"] + 1}}, [])
    )
    counting._handle_custom_msg({"type": "ask", "view": "a", "topic": "rows", "have": {"count": 0}, "credit": 3}, [])
    for counting.count in (1, 2):
        counting.offer()
        counting.offer()  # there is nothing new
    assert [content["have"]["count"] for content, _ in counting.sent] == [1, 2]
    counting.count = 7
    counting.offer()
    assert [content["have"]["count"] for content, _ in counting.sent] == [1, 2, 3], "the third was the last"
    counting._handle_custom_msg({"type": "more", "view": "a", "topic": "rows", "credit": 2}, [])
    assert [content["have"]["count"] for content, _ in counting.sent] == [1, 2, 3, 4, 5], "it goes on where it was"


def test_what_a_person_did_in_a_view_is_told(counting: Counting) -> None:
    counting._handle_custom_msg({"type": "tell", "view": "a", "topic": "fraction", "said": {"value": 0.5}}, [])
    assert counting.heard == [("fraction", {"value": 0.5})] and counting.sent == []

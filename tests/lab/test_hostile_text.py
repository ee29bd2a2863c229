"""R27: whatever a task, a run folder or an error calls itself, the lab shows it as text."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import ipywidgets as w
import pytest

from trpolab.lab import Lab
from trpolab.lab.page import card_title
from trpolab.lab.summary import Summary
from trpolab.selftest.physics import LineWalk

EVIL = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script><b onclick=alert(3)>"
ALLOWED = {
    *("b", "br", "circle", "code", "details", "div", "i", "line", "p", "pre", "small", "span", "style", "sub"),
    *("summary", "sup", "svg", "table", "caption", "td", "th", "tr"),
}


class Tags(HTMLParser):
    """Every tag and attribute of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attributes]
        if tag not in ALLOWED or any(name.startswith("on") or name in ("src", "href") for name in names):
            self.bad.append(f"<{tag} {' '.join(names)}>")


def bad_tags(text: str) -> list[str]:
    parser = Tags()
    parser.feed(text)
    parser.close()
    return parser.bad


def widgets(widget: Any) -> Iterator[Any]:
    """A widget and all below it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from widgets(child)


def problems(widget: Any) -> list[str]:
    found = []
    for one in widgets(widget):
        if isinstance(one, w.HTML | w.HTMLMath):
            found += bad_tags(one.value)
        if getattr(one, "description_allow_html", False):
            found.append(f"{type(one).__name__}: its description is read as HTML")
    return found


def shown(widget: Any) -> str:
    return "".join(one.value for one in widgets(widget) if isinstance(one, w.HTML))


def hostile_task(fails_at: int = 10**9) -> type[LineWalk]:
    """An environment that is called EVIL, and says so when it fails."""
    steps = [0]

    def step(self: LineWalk, action: Any) -> Any:
        steps[0] += 1
        if steps[0] > fails_at:
            raise RuntimeError(EVIL)
        return LineWalk.step(self, action)

    return type(EVIL, (LineWalk,), {"step": step})


@pytest.mark.reliability("R27")
def test_a_hostile_task_label_folder_and_exception_are_text_in_the_lab(tmp_path: Path) -> None:
    lab = Lab(
        hostile_task(2000), out=tmp_path / "<img src=x onerror=alert(4)>", label=EVIL, slots=2, steps_per_iteration=64
    )
    try:
        page = lab.view.page.widget
        lab.run(block=True, iterations=1)
        lab.controls.replace(delta=0.015)
        lab.refresh()
        assert problems(page) == []
        assert "&lt;img src=x onerror=alert(1)&gt;" in shown(page) and "alert(4)" in shown(page)
        with pytest.raises(RuntimeError):
            lab.run(block=True, iterations=100)
        lab.refresh()
        assert lab.state == "error" and "alert(2)" in lab.view.page.error.value
        for name in ("python", "command"):
            lab.view.press(name)
        assert problems(page) == []
        assert bad_tags(lab.summary()._repr_html_()) == []
        assert "alert(1)" in lab.summary()._repr_html_()
    finally:
        lab.close()


@pytest.mark.reliability("R27")
def test_every_place_that_takes_a_text_escapes_it() -> None:
    lab = Lab(LineWalk, out=None)
    try:
        page, knobs = lab.view.page, lab.view.knobs
        page.show_status(EVIL, EVIL, EVIL)
        page.show_error(EVIL, EVIL)
        page.show_vine(b"", EVIL)
        page.show_folder(Path(EVIL))
        page.show_code("python", EVIL)
        for knob in knobs.knobs.values():
            knob.tell(EVIL) if hasattr(knob, "tell") else None
        assert problems(page.widget) == []
        assert shown(page.widget).count("alert(2)") >= 5
        assert bad_tags(card_title(EVIL, EVIL)) == []
        assert bad_tags(Summary(EVIL, ((EVIL, EVIL),), b"")._repr_html_()) == []
    finally:
        lab.close()


@pytest.mark.reliability("R27")
def test_what_is_not_escaped_would_be_seen() -> None:
    assert bad_tags(EVIL) == ["<img src onerror>", "<script >", "<b onclick>"]
    assert problems(w.VBox([w.HTML(EVIL)])) != []
    assert problems(w.VBox([w.Text(description="x", description_allow_html=True)])) != []

"""The page: header, controls, charts, rollout and foot, as widgets. It holds no logic of the run.

An assignment to a widget reaches the browser only if the value changed.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as w

from trpolab.lab.charts import Charts
from trpolab.lab.style import CSS

BUTTONS = (
    ("run", "Run", "play", "Train until paused or stopped"),
    ("pause", "Pause", "pause", "Wait after this iteration; Run goes on"),
    ("step", "Step", "step-forward", "One iteration, then wait"),
    ("stop", "Stop", "stop", "End the run and write its last state (the kernel's ■ can't reach the training thread)"),
    ("reset", "Reset", "undo", "Start afresh with the knobs as they stand; this run becomes the dotted grey line"),
)
TEXTS = (
    ("python", "copy as Python", "", "The call that does this run again, every turn of a knob included"),
    ("command", "copy as command", "", "The same for a terminal"),
)
INTERRUPT = "<span class='trpolab-where'>The toolbar's ■ can't reach the training thread: use Stop.</span>"
SIZES = (("compact", "more in sight"), ("normal", "for a laptop"), ("projector", "large, for a room"))


class Page:
    """The widget tree. `press(name)` is called for buttons; `controls`, a box, is the left column: it gets sizes."""

    def __init__(self, task: str, controls: Any, charts: Charts, press: Callable[[str], None]):
        self.task, self.charts = task, charts
        self._code_shown = self._state = ""
        self.buttons = {about[0]: _button(press, *about) for about in BUTTONS}
        self.texts = {about[0]: _button(press, *about) for about in TEXTS}
        self.status = w.HTML().add_class("trpolab-statusline")
        self.progress = w.HTML().add_class("trpolab-progress")
        self.said = w.HTML().add_class("trpolab-said")
        self.error = w.HTML().add_class("trpolab-error")
        self.where = w.HTML().add_class("trpolab-where")
        self.code = w.HTML().add_class("trpolab-code")
        self.vine_image = w.Image(format="png")
        self.vine_title = w.HTML(card_title("Vine", ""))
        self.vine_back = w.IntSlider(0, -1, 0, readout=False, continuous_update=False).add_class("trpolab-back")
        self.vine_back.tooltip = "Look back at the vines of earlier iterations; at the right end: the newest"
        # The cards that others fill: `cards[name].children = [...]`, `show_card(name, True)`.
        self.cards = {
            "rollout": w.VBox(),
            "trust_region": w.VBox(layout=w.Layout(display="none")),
            "vine": w.VBox([self.vine_title, self.vine_back, self.vine_image]),
        }
        self.hide_vine()
        for name, card in self.cards.items():
            card.add_class("trpolab-picture-card").add_class(f"trpolab-{name.replace('_', '-')}")
        self.size = w.ToggleButtons(options=[name for name, _ in SIZES], value="normal", style={"button_width": "auto"})
        self.size.tooltips = [about for _, about in SIZES]
        self.size.add_class("trpolab-size").observe(self._resize, "value")
        controls.children += (self.size,)  # not below the charts, which move as they grow and shrink
        pictures = w.HBox([*self.cards.values()]).add_class("trpolab-pictures")
        grid = w.GridBox([charts, pictures]).add_class("trpolab-grid")
        buttons = w.HBox([*self.buttons.values()]).add_class("trpolab-buttons")
        head = w.GridBox([self.status, buttons, self.progress, self.said]).add_class("trpolab-head")
        body = w.HBox([controls, w.VBox([grid]).add_class("trpolab-scroll")]).add_class("trpolab-body")
        interrupt = w.HTML(INTERRUPT)
        foot = w.HBox([*self.texts.values(), self.where, interrupt]).add_class("trpolab-foot")
        self.steering = buttons, interrupt
        self.widget = w.VBox([w.HTML(CSS), head, self.error, body, foot, self.code]).add_class("trpolab")

    def _resize(self, change: dict[str, Any]) -> None:
        self.widget.remove_class(f"trpolab-{change['old']}")
        self.widget.add_class(f"trpolab-{change['new']}")

    def show_status(self, state: str, where: str, numbers: str) -> None:
        """The header: task, state and how far, and the numbers beside it. Screen readers are told a new state only."""
        title = html.escape(f"{state} · {where}" if where else state)
        told = html.escape(numbers, quote=True)
        self.status.value = (
            f"<div class='trpolab-status'><b>{html.escape(self.task)}</b>"
            f"<span class='trpolab-pill {html.escape(state, quote=True)}'>{title}</span>"
            f"<span class='trpolab-numbers' title='{told}'>{told}</span></div>"
        )
        if state != self._state:
            self._state = state
            self.said.value = f"<div role='status'>{html.escape(self.task)}: {title}</div>"

    def show_progress(self, text: str, fraction: float | None) -> None:
        """What the iteration under way does, and how much of it is done, if that is known."""
        share = 0.0 if fraction is None else min(max(fraction, 0.0), 1.0)
        bar = f"<i><i style='width:{100 * share:.0f}%'></i></i>" if fraction is not None else ""
        self.progress.value = f"<div>{bar}<span>{html.escape(text)}</span></div>"

    def hide_steering(self) -> None:
        """Take away the buttons of a run that another process trains."""
        for widget in self.steering:
            widget.layout.display = "none"

    def enable(self, allowed: set[str]) -> None:
        """Enable the buttons that can be pressed now; none changes its place."""
        for name, button in self.buttons.items():
            button.disabled = name not in allowed

    def name_run(self, text: str) -> None:
        """What the first button says: Run, or Continue where there is a run to go on with."""
        self.buttons["run"].description = text

    def show_error(self, sentence: str, trace: str) -> None:
        """What went wrong in the training thread, or nothing."""
        pre = f"<pre><span>{html.escape(trace)}</span></pre>" if trace else ""
        text = f"<summary>{html.escape(sentence)}</summary>{pre}"
        self.error.value = f"<details open role='alert'>{text}</details>" if sentence else ""

    def show_vine(self, png: bytes, caption: str) -> None:
        """Figure 1 of a vine iteration, beside the rollout."""
        self.vine_title.value = card_title("Vine", caption)
        self.vine_image.value = png
        self.show_card("vine", True)

    def hide_vine(self) -> None:
        """Take the vine away; the others share its room."""
        self.show_card("vine", False)
        self.vine_back.layout.display = "none"

    def show_card(self, name: str, shown: bool) -> None:
        """Show a card of `cards`, or take it away."""
        self.cards[name].layout.display = None if shown else "none"

    def show_folder(self, folder: Path | None) -> None:
        """Show the run folder, once it exists."""
        self.where.value = f"run folder <code>{html.escape(str(folder))}</code>" if folder else ""

    def show_code(self, name: str, text: str) -> bool:
        """Show text to be copied, and say so; one click selects all of it. The same button again hides it."""
        self._code_shown = "" if name == self._code_shown else name
        self.code.value = f"<pre title='click, then copy'>{html.escape(text)}</pre>" if self._code_shown else ""
        return bool(self._code_shown)

    def close(self) -> None:
        """Close every widget of the page."""
        close_tree(self.widget)


def close_tree(widget: w.Widget) -> None:
    """Close a widget and every one that it holds: children, layouts, styles.

    A page that is loaded again asks for all open widgets, and gives all of them up where one holds a closed one.
    """
    held = [getattr(widget, name) for name in widget.keys]
    w.Widget.close(widget)
    for value in held:
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, w.Widget) and one.comm is not None:
                close_tree(one)


def card_title(name: str, caption: str) -> str:
    """A picture card's first line: its name, and a caption at the right."""
    said = html.escape(caption, quote=True)
    return (
        f"<div class='trpolab-title'><b>{html.escape(name)}</b>"
        f"<span class='trpolab-caption' title='{said}'>{said}</span></div>"
    )


def _button(press: Callable[[str], None], name: str, text: str, icon: str, tip: str) -> w.Button:
    button = w.Button(description=text, icon=icon, tooltip=tip).add_class(f"trpolab-{name}")
    button.on_click(lambda _: press(name))
    return button

"""The page: header, controls, charts, rollout and foot, as widgets. It holds no logic of the run.

An assignment to a widget reaches the browser only if the value changed.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as w

from trpolab.lab.charts import CHARTS, Chart, Charts, Line
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
DASHES = {"solid": "", "dash": "5 3", "dot": "1.5 2.5"}


class Page:
    """The widget tree. `press(name)` is called for a button, `controls` is the finished left column."""

    def __init__(self, task: str, controls: Any, charts: Charts, press: Callable[[str], None]):
        self.task = task
        self.figure = charts.figure
        self._code_shown = ""
        self.buttons = {about[0]: _button(press, *about) for about in BUTTONS}
        self.texts = {about[0]: _button(press, *about) for about in TEXTS}
        self.status = w.HTML().add_class("trpolab-statusline")
        self.error = w.HTML().add_class("trpolab-error")
        self.where = w.HTML().add_class("trpolab-where")
        self.code = w.HTML().add_class("trpolab-code")
        self.rollout = w.VBox().add_class("trpolab-rollout")
        self.vine_image = w.Image(format="png")
        self.vine_title = w.HTML(card_title("Vine", ""))
        self.vine_back = w.IntSlider(0, -1, 0, readout=False, continuous_update=False).add_class("trpolab-back")
        self.vine_back.tooltip = "Look back at the vines of earlier iterations; at the right end: the newest"
        self.vine = w.VBox([self.vine_title, self.vine_back, self.vine_image]).add_class("trpolab-rollout")
        self.vine.add_class("trpolab-vine")
        self.hide_vine()
        # The cards that others fill: `cards[name].children = [...]`, `show_card(name, True)`.
        self.trust_region = w.VBox(layout=w.Layout(display="none")).add_class("trpolab-chart")
        self.cards = {"rollout": self.rollout, "trust_region": self.trust_region, "vine": self.vine}
        self.figure.add_class("trpolab-figure")
        pictures = [card.add_class("trpolab-chart") for card in (self.rollout, self.vine)]
        grid = w.GridBox([*map(_chart_card, CHARTS), self.figure, *pictures]).add_class("trpolab-grid")
        buttons = w.HBox([*self.buttons.values()]).add_class("trpolab-buttons")
        head = w.HBox([self.status, buttons]).add_class("trpolab-head")
        pictured = w.VBox([grid, self.trust_region]).add_class("trpolab-scroll")
        body = w.HBox([controls, pictured]).add_class("trpolab-body")
        foot = w.HBox([*self.texts.values(), self.where, w.HTML(INTERRUPT)]).add_class("trpolab-foot")
        self.widget = w.VBox([w.HTML(CSS), head, self.error, body, foot, self.code]).add_class("trpolab")

    def show_status(self, state: str, where: str, numbers: str) -> None:
        """The header: task, state and how far, and the numbers beside it."""
        title = html.escape(f"{state} · {where}" if where else state)
        self.status.value = (
            f"<div class='trpolab-status'><b>{html.escape(self.task)}</b>"
            f"<span class='trpolab-pill {html.escape(state, quote=True)}' role='status'>{title}</span>"
            f"<span class='trpolab-numbers'>{html.escape(numbers)}</span></div>"
        )

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
        self.vine.layout.display = None
        self.vine.layout.grid_area, self.rollout.layout.grid_area = "3 / 2 / 4 / 3", "3 / 1 / 4 / 2"

    def hide_vine(self) -> None:
        """The rollout takes the whole width, as the style sheet says."""
        self.vine.layout.display = self.vine_back.layout.display = "none"
        self.rollout.layout.grid_area = None

    def show_card(self, name: str, shown: bool) -> None:
        """Show a card of `cards`, or take it away."""
        self.cards[name].layout.display = None if shown else "none"

    def show_folder(self, folder: Path | None) -> None:
        """Show the run folder, once it exists."""
        self.where.value = f"run folder <code>{html.escape(str(folder))}</code>" if folder else ""

    def show_code(self, name: str, text: str) -> None:
        """Show text to be copied; one click selects all of it. The same button again hides it."""
        self._code_shown = "" if name == self._code_shown else name
        self.code.value = f"<pre title='click, then copy'>{html.escape(text)}</pre>" if self._code_shown else ""

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
    """A picture card's first line."""
    return _title(name, html.escape(caption))


def _title(name: str, legend: str, about: str = "") -> str:
    """A card's first line: its name, HTML at the right, and what is shown on hover."""
    tip, name = html.escape(about, quote=True), html.escape(name)
    return f"<div class='trpolab-title' title='{tip}'><b>{name}</b><span class='trpolab-legend'>{legend}</span></div>"


def _button(press: Callable[[str], None], name: str, text: str, icon: str, tip: str) -> w.Button:
    button = w.Button(description=text, icon=icon, tooltip=tip).add_class(f"trpolab-{name}")
    button.on_click(lambda _: press(name))
    return button


def _chart_card(chart: Chart) -> w.HTML:
    card = w.HTML(_title(chart.title, "".join(map(_legend, reversed(chart.lines))), chart.about))
    card.layout.grid_area = f"{chart.row + 1} / {chart.column + 1} / {chart.row + 2} / {chart.column + 2}"
    return card.add_class("trpolab-chart")


def _legend(line: Line) -> str:
    """A sample of the line and its name."""
    sample = f"<circle cx='7' cy='4' r='2.5' fill='{line.color}'/>"
    if line.mode != "markers":
        ends = "x1='0' y1='4' x2='15' y2='4'"
        sample = f"<line {ends} stroke='{line.color}' stroke-width='2' stroke-dasharray='{DASHES[line.dash]}'/>"
    name = html.escape(line.name + (" →" if line.right else ""))  # the arrow: on the axis at the right
    return f"<span><svg width='15' height='8' aria-hidden='true'>{sample}</svg>{name}</span>"

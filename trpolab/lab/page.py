"""The page: header, controls, charts, rollout and foot, as widgets. It shows; it decides nothing."""

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
    (
        "stop",
        "Stop",
        "stop",
        "End the run and write its last state (the kernel's own ■ can't reach the training thread)",
    ),
    ("reset", "Reset", "undo", "Start afresh with the knobs as they stand; this run becomes the dotted grey line"),
)
TEXTS = (
    ("python", "copy as Python", "The call that repeats these settings"),
    ("command", "copy as command", "The same for a terminal"),
)
INTERRUPT = "<span class='trpolab-where'>The toolbar's ■ can't reach the training thread: use Stop.</span>"
DASHES = {"solid": "", "dash": "5 3", "dot": "1.5 2.5"}


class Page:
    """The widget tree. `press(name)` is called for a button, `controls` is the finished left column."""

    def __init__(self, task: str, controls: Any, charts: Charts, press: Callable[[str], None]):
        self.task = task
        self.figure = charts.figure
        self._code_shown = ""
        self.status = _html("trpolab-statusline")
        self.buttons = {name: _button(name, text, icon, tip, press) for name, text, icon, tip in BUTTONS}
        self.error = _html("trpolab-error")
        self.image = w.Image(value=b"", format="png", layout=w.Layout(display="none"))
        self.rollout_title = w.HTML(card_title("Rollout", ""))
        self.empty = _html("trpolab-empty")
        self.vine_image = w.Image(value=b"", format="png")
        self.vine_title = w.HTML(card_title("Vine", ""))
        self.vine_back = w.IntSlider(0, -1, 0, readout=False, continuous_update=False)
        self.vine_back.tooltip = "Look back at the vines of earlier iterations; at the right end: the newest"
        self.vine_back.layout.display = "none"
        self.vine_back.add_class("trpolab-back")
        self.where = _html("trpolab-where")
        self.code = _html("trpolab-code")
        head = _box(w.HBox, "trpolab-head", [self.status, _box(w.HBox, "trpolab-buttons", list(self.buttons.values()))])
        charts.figure.add_class("trpolab-figure")
        self.rollout = _box(w.VBox, "trpolab-rollout", [self.rollout_title, self.image, self.empty])
        self.vine = _box(w.VBox, "trpolab-rollout", [self.vine_title, self.vine_back, self.vine_image])
        self.vine.add_class("trpolab-vine")
        for card in (self.rollout, self.vine):
            card.add_class("trpolab-chart")
        self.hide_vine()
        cards = [*(_chart_card(chart) for chart in CHARTS), charts.figure, self.rollout, self.vine]
        grid = _box(w.GridBox, "trpolab-grid", cards)
        body = _box(w.HBox, "trpolab-body", [controls, _box(w.VBox, "trpolab-scroll", [grid])])
        self.texts = {name: _button(name, text, "", tip, press) for name, text, tip in TEXTS}
        foot = _box(w.HBox, "trpolab-foot", [*self.texts.values(), self.where, w.HTML(INTERRUPT)])
        self.widget = _box(w.VBox, "trpolab", [w.HTML(CSS), head, self.error, body, foot, self.code])

    def show_status(self, state: str, where: str, numbers: str) -> None:
        """The header: task, state and how far, and the numbers beside it."""
        title = html.escape(f"{state} · {where}" if where else state)
        _set(
            self.status,
            f"<div class='trpolab-status'><b>{html.escape(self.task)}</b>"
            f"<span class='trpolab-pill {html.escape(state, quote=True)}' role='status'>{title}</span>"
            f"<span class='trpolab-numbers'>{html.escape(numbers)}</span></div>",
        )

    def enable(self, allowed: set[str]) -> None:
        """Which buttons can be pressed now; none of them ever moves."""
        for name, button in self.buttons.items():
            if button.disabled != (name not in allowed):
                button.disabled = name not in allowed

    def name_run(self, text: str) -> None:
        """What the first button says: Run, or Continue where there is a run to go on with."""
        if self.buttons["run"].description != text:
            self.buttons["run"].description = text

    def show_error(self, sentence: str, trace: str) -> None:
        """What went wrong in the training thread, or nothing."""
        pre = f"<pre><span>{html.escape(trace)}</span></pre>" if trace else ""
        text = f"<summary>{html.escape(sentence)}</summary>{pre}"
        _set(self.error, f"<details open role='alert'>{text}</details>" if sentence else "")

    def show_rollout(self, png: bytes, caption: str) -> None:
        """A finished poster of the newest policy."""
        self.empty.layout.display = "none"
        self.rollout_title.value = card_title("Rollout", caption)
        self.image.value = png
        self.image.layout.display = None

    def show_game(self, png: bytes, caption: str) -> None:
        """The same of a game: a console's screens, whose pixels are wide and have edges."""
        self.image.add_class("trpolab-game")
        self.show_rollout(png, caption)

    def show_no_rollout(self, why: str) -> None:
        """Why there is no picture (yet)."""
        _set(self.empty, html.escape(why))

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

    def show_folder(self, folder: Path | None) -> None:
        """Where the run lies on disk, once it does."""
        _set(self.where, f"run folder <code>{html.escape(str(folder))}</code>" if folder else "")

    def show_code(self, name: str, text: str) -> None:
        """Text to take along; one click selects all of it. The same button a second time puts it away."""
        showing, self._code_shown = self._code_shown, name
        if showing == name:
            self._code_shown, text = "", ""
        _set(self.code, f"<pre title='click, then copy'>{html.escape(text)}</pre>" if text else "")

    def close(self) -> None:
        """Take every widget of the page away, the figure's five megabytes included."""
        self.figure.close()
        self.widget.close()


def card_title(name: str, caption: str) -> str:
    """A picture card's first line."""
    legend = html.escape(caption)
    return f"<div class='trpolab-title'><b>{html.escape(name)}</b><span class='trpolab-legend'>{legend}</span></div>"


def _set(widget: Any, value: str) -> None:
    """Assign only what changed: an assignment is a message to the browser."""
    if widget.value != value:
        widget.value = value


def _html(css: str) -> w.HTML:
    widget = w.HTML("")
    widget.add_class(css)
    return widget


def _box(kind: Any, css: str, children: list[Any]) -> Any:
    box = kind(children)
    box.add_class(css)
    return box


def _button(name: str, text: str, icon: str, tip: str, press: Callable[[str], None]) -> w.Button:
    button = w.Button(description=text, icon=icon, tooltip=tip)
    button.add_class(f"trpolab-{name}")
    button.on_click(lambda _: press(name))
    return button


def _chart_card(chart: Chart) -> w.HTML:
    legend = "".join(_legend(line) for line in reversed(chart.lines))
    card = w.HTML(
        f"<div class='trpolab-title' title='{html.escape(chart.about, quote=True)}'><b>{html.escape(chart.title)}</b>"
        f"<span class='trpolab-legend'>{legend}</span></div>"
    )
    card.add_class("trpolab-chart")
    card.layout.grid_area = f"{chart.row + 1} / {chart.column + 1} / {chart.row + 2} / {chart.column + 2}"
    return card


def _legend(line: Line) -> str:
    """A sample of the line and its name."""
    if line.mode == "markers":
        sample = f"<circle cx='7' cy='4' r='2.5' fill='{line.color}'/>"
    else:
        sample = (
            f"<line x1='0' y1='4' x2='15' y2='4' stroke='{line.color}' stroke-width='2' "
            f"stroke-dasharray='{DASHES[line.dash]}'/>"
        )
    name = html.escape(line.name + (" →" if line.right else ""))  # the arrow: on the axis at the right
    return f"<span><svg width='15' height='8' aria-hidden='true'>{sample}</svg>{name}</span>"

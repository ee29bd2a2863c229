"""One knob: a setting of the registry as a widget, with its hint line underneath.

The widget's value is what a person asks for. The hint line shows what is in use.
"""

from __future__ import annotations

import html
import math
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import ipywidgets as w

from trpolab.sampling.sampler import SAMPLERS
from trpolab.settings import Setting
from trpolab.updates import METHODS

LABELS = tomllib.loads(Path(__file__).with_name("labels.toml").read_text(encoding="utf-8"))
MOST_BUTTONS = 5  # choices that are shown as buttons; more become a menu
WORDS = {
    "monte_carlo": "sums", "gae": "GAE", "all": "every action", True: "on", False: "off", None: "by rule",
}  # fmt: skip


def label_of(about: Setting) -> str:
    """The text before the knob: words, and the paper's symbol in brackets."""
    words = LABELS.get(about.name, about.name.rsplit(".", 1)[-1].replace("_", " "))
    return f"{words} ({about.symbol})" if about.symbol else words


def symbol_of(about: Setting) -> str:
    """What the marks in the charts call it: its symbol, if it has one."""
    return about.symbol or label_of(about)


def in_words(value: Any) -> str:
    """A value as text for people: 0.02, on, GAE, 64 × 64."""
    if isinstance(value, tuple):
        return " × ".join(str(item) for item in value) or "linear"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    entry = METHODS.get(value) or SAMPLERS.get(value)
    return entry.label if entry is not None else WORDS.get(value, str(value))


class Knob:
    """A setting's widget and hint. `on_change(name, value)` is called with what a person asked for."""

    def __init__(self, about: Setting, value: Any, on_change: Callable[[str, Any], None]):
        self.about = about
        self.widget = make_widget(about, value).add_class("trpolab-input")
        label = f"<span title='{html.escape(about.doc, quote=True)}'>{html.escape(label_of(about))}</span>"
        self.hint = w.HTML().add_class("trpolab-hint").add_class(f"trpolab-hint-{about.name.replace('.', '-')}")
        self.row = w.GridBox([w.HTML(label).add_class("trpolab-label"), self.widget, self.hint])
        self.row.add_class("trpolab-row")
        self._on_change = on_change
        self._rebuilding = False
        self.allow(True)
        self.widget.observe(self._changed, names="value")

    @property
    def value(self) -> Any:
        """What the widget asks for, as the setting's own type; a slider's position is rounded to three digits."""
        value = self.widget.value
        return tidy(value) if isinstance(self.widget, w.FloatLogSlider | w.FloatSlider) else value

    def stands_at(self, value: Any) -> bool:
        """Whether the widget asks for this value, up to a slider's rounding."""
        return self.value == value or (isinstance(value, float) and self.value == tidy(value))

    def show(self, value: Any) -> None:
        """Move the widget to a value, also outside the slider's range; `on_change` is not called if it is there."""
        if self.stands_at(value):
            return
        if isinstance(self.widget, w.SelectionSlider) and value not in (option[1] for option in self.widget.options):
            self._offer(labelled(sorted({option[1] for option in self.widget.options} | {value})), value)
        else:
            widen(self.widget, value)
            self.widget.value = value

    def tell(self, text: str, *, pending: bool = False) -> None:
        """Write the hint line: what is next and what is in use."""
        tone = "pending" if pending else "applied"
        self.hint.value = f"<span class='trpolab-{tone}'>{html.escape(text)}</span>" if text else ""

    def allow(self, allowed: bool, reason: str = "") -> None:
        """Enable the knob, or disable it and show the reason on hover."""
        self.widget.disabled = not allowed
        about = self.about
        source = f" ({about.source})" if about.source else ""
        tip = f"{about.name}: {about.doc}{source}" if allowed else f"{about.name}: {reason}"
        self.widget.tooltip = tip
        if isinstance(self.widget, w.ToggleButtons):
            self.widget.tooltips = [tip] * len(self.widget.options)
        put_class(self.row, "trpolab-off", not allowed)

    def refuse(self, reasons: dict[Any, str]) -> None:
        """Grey choices that can't run and show the reason on hover; pressing one shows the reason as well.

        A menu marks them with a cross.
        """
        if isinstance(self.widget, w.Dropdown):
            marked = [(f"{in_words(c)} ✕" if c in reasons else in_words(c), c) for c in self.about.choices or ()]
            if tuple(marked) != tuple(self.widget.options):
                self._offer(marked, self.widget.value)
            return
        for place, (_, option) in enumerate(self.widget.options, 1):
            put_class(self.widget, f"trpolab-no-{place}", option in reasons)
        self.widget.tooltips = [reasons.get(option, self.widget.tooltip) for _, option in self.widget.options]

    def _offer(self, options: list[tuple[str, Any]], value: Any) -> None:
        """Replace the options and choose one; the widget itself would choose the first, which nobody asked for."""
        self._rebuilding = True
        try:
            self.widget.options = options
            self.widget.value = value
        finally:
            self._rebuilding = False

    def _changed(self, _: Any) -> None:
        if not self._rebuilding:
            self._on_change(self.about.name, self.value)


def make_widget(about: Setting, value: Any) -> Any:
    """The widget that suits a setting: buttons for choices, a slider on the setting's own scale for numbers."""
    choices = (True, False) if about.kind is bool else about.choices
    if choices is not None and len(choices) > MOST_BUTTONS:
        return w.Dropdown(options=labelled(choices), value=value)
    if choices is not None:
        return w.ToggleButtons(options=labelled(choices), value=value, style={"button_width": "auto"})
    if about.shown is None or about.kind not in (int, float):
        return w.Text(value=in_words(value))
    low, high = about.shown
    if about.kind is float and about.scale == "log" and about.open_low:
        ends = {"min": math.log10(low), "max": math.log10(high)}
        slider = w.FloatLogSlider(value=value, **ends, step=0.05, readout_format=".3")
    elif about.scale == "log":
        doublings = [int(low) << k for k in range(64) if int(low) << k <= high]
        steps = doublings if about.kind is int else decades(low, high)
        options = sorted({*steps, value} | ({about.low} if about.kind is float and about.low == 0 else set()))
        return w.SelectionSlider(options=labelled(options), value=value, continuous_update=False)
    elif about.kind is int:
        slider = w.IntSlider(value=low, min=int(low), max=int(high))
    else:
        step = 10.0 ** (math.floor(math.log10(high - low)) - 2)  # 100 to 1000 positions
        slider = w.FloatSlider(value=low, min=low, max=high, step=step, readout_format=".4")
    slider.continuous_update = False
    widen(slider, value)
    slider.value = value
    return slider


def widen(widget: Any, value: Any) -> None:
    """Stretch a slider's range so that a value given in Python can be shown."""
    if isinstance(widget, w.FloatLogSlider):
        place = math.log10(value)
        widget.min, widget.max = min(widget.min, place), max(widget.max, place)
    elif isinstance(widget, w.FloatSlider | w.IntSlider):
        widget.min, widget.max = min(widget.min, value), max(widget.max, value)


def put_class(widget: Any, css: str, on: bool) -> None:
    """Give a widget a class of the style sheet, or take it away."""
    if on:
        widget.add_class(css)
    else:
        widget.remove_class(css)


def tidy(value: float) -> float:
    """A slider's position without its float noise: 0.0199526 is 0.02 (three digits; four from 0.9 up, for γ and λ)."""
    return float(f"{value:.4g}") if value >= 0.9 else float(f"{value:.3g}")


def labelled(options: Iterable[Any]) -> list[tuple[str, Any]]:
    """Options with their text."""
    return [(in_words(option), option) for option in options]


def decades(low: float, high: float) -> list[float]:
    """1, 2, 5 times the powers of ten within [low, high]."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = [float(f"{digit}e{power}") for power in range(first, last + 1) for digit in (1, 2, 5)]
    return [step for step in steps if low <= step <= high]

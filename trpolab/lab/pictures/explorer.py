"""Pictures with knobs for teaching notebooks: a function draws, knobs call it again, one picture changes in place.

Pictures are inline SVG made by matplotlib without pyplot: sharp at any size, some 30 kB, and in the colours of
JupyterLab's theme, because what is drawn in INK becomes the colour of the surrounding text.
"""

from __future__ import annotations

import dataclasses
import html
import io
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as w
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from trpolab.lab.knobs import Knob, in_words
from trpolab.lab.style import BLUE, CSS, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from trpolab.settings import Setting
from trpolab.training.config import settings

__all__ = [
    "BLUE", "GREEN", "GREY", "INK", "ORANGE", "PURPLE", "SKY", "VERMILION", "Explorer",
    "choice", "cosine", "dress", "explore", "knob", "legend", "log_scale", "panels", "signed_image", "slider", "to_png",
    "to_svg",
]  # fmt: skip

INK = "#010203"  # stands for the colour of text, which the theme sets; no picture needs this very black
WIDTH = 9.6  # inches; a page shows 100 pixels an inch
DOTS = 180  # per inch, of what is drawn `rasterized` (clouds of points) inside the SVG
TICKS = 6  # most of an axis: ticks are what takes time in a picture
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Numbers = Mapping[str, Any]
Draw = Callable[..., tuple[Figure, Numbers]]  # values of the knobs by name -> a figure, and numbers to show by name


def knob(name: str, value: Any = None, *, low: float | None = None, high: float | None = None) -> tuple[Setting, Any]:
    """A setting of the registry (`delta`, `damping` ...) with its own slider, starting at its default or at `value`.

    `low` and `high` change the range that the slider shows. Raises KeyError for an unknown setting.
    """
    about = settings()[name]
    if about.shown is not None:
        low, high = about.shown[0] if low is None else low, about.shown[1] if high is None else high
        about = dataclasses.replace(about, shown=(low, high))
    return about, about.default if value is None else value


def slider(name: str, low: float, high: float, value: float, doc: str, *, log: bool = False) -> tuple[Setting, Any]:
    """A slider that is no setting: whole numbers if `low` and `high` are, on a logarithmic scale if asked.

    Where it is called like a setting it has that one's words and symbol: discount (γ).
    """
    kind = int if isinstance(low, int) and isinstance(high, int) else float
    scale, symbol = "log" if log else "linear", settings()[name].symbol if name in settings() else ""
    return Setting(name, (name,), kind, value, doc, symbol, shown=(low, high), scale=scale, open_low=log), value


def choice(name: str, options: Sequence[Any], doc: str) -> tuple[Setting, Any]:
    """Buttons for one of a few options, the first one chosen."""
    first = options[0]
    return Setting(name, (name,), type(first), first, doc, choices=tuple(options)), first


def explore(draw: Draw, *dials: tuple[Setting, Any]) -> Explorer:
    """Show `draw(**values of the dials)` and draw again whenever a dial is turned."""
    return Explorer(draw, dials)


class Explorer(w.VBox):
    """Knobs, the numbers they lead to, and one picture. `turn(name, value)` sets a knob as a person would."""

    def __init__(self, draw: Draw, dials: Sequence[tuple[Setting, Any]]):
        self.draw_ = draw
        self.knobs = {about.name: Knob(about, value, lambda *_: self.redraw()) for about, value in dials}
        self.numbers = w.HTML()
        self.picture = w.HTML()
        self._one_at_a_time = threading.Lock()  # front ends may call back on several threads
        row = w.Box([knob.row for knob in self.knobs.values()]).add_class("trpolab-dials")
        super().__init__([w.HTML(CSS), row, self.numbers, self.picture])
        self.add_class("trpolab").add_class("trpolab-inside")
        self.redraw()

    def turn(self, name: str, value: Any) -> None:
        """Set a knob; the picture follows."""
        self.knobs[name].show(value)

    def redraw(self) -> None:
        """Draw for the knobs as they stand. An error of `draw` is shown in the picture's place, and raised."""
        with self._one_at_a_time:
            try:
                figure, numbers = self.draw_(**{name: knob.value for name, knob in self.knobs.items()})
                texts = {name: _written(value) for name, value in numbers.items()}
                spoken = "; ".join(f"{name}: {text}" for name, text in texts.items())
                self.numbers.value = _tiles(texts)
                self.picture.value = f"<div class='trpolab-picture'>{to_svg(figure, spoken)}</div>"
            except Exception as error:
                text = html.escape(f"{type(error).__name__}: {error}")
                self.numbers.value, self.picture.value = "", f"<div role='alert'><b>{text}</b></div>"
                raise


def _tiles(numbers: dict[str, str]) -> str:
    cells = (f"<span>{html.escape(name)}</span><b>{html.escape(text)}</b>" for name, text in numbers.items())
    tiles = "".join(f"<div class='trpolab-number'>{cell}</div>" for cell in cells)
    return f"<div class='trpolab-numbers-row'>{tiles}</div>"


def _written(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool | np.bool_) else in_words(value)


def panels(
    *titles: str, widths: Sequence[float] | None = None, height: float = 3.0, across: int | None = None
) -> tuple[Figure, list[Axes]]:
    """A transparent figure of axes, one a title, for a light or a dark page: side by side, or so many in a row.

    `height` is that of a row, in inches.
    """
    across = min(across or len(titles), len(titles))
    rows = -(-len(titles) // across)
    figure = Figure(figsize=(WIDTH, height * rows))
    figure.patch.set_alpha(0)
    grid = figure.add_gridspec(
        rows, across, width_ratios=widths, left=0.065, right=0.985, bottom=0.56 / height / rows,
        top=1 - 0.34 / height / rows, wspace=0.21 if across < 3 else 0.26, hspace=0.9 / (height - 0.9),
    )  # fmt: skip
    axes = [figure.add_subplot(grid[divmod(place, across)]) for place in range(len(titles))]
    for ax, title in zip(axes, titles, strict=True):
        dress(ax)
        ax.set_title(title, loc="left", y=1.02, fontsize=9.5, fontweight="bold", color=INK)
        ax.grid(color=INK, alpha=0.12, linewidth=0.6)
        ax.set_axisbelow(True)
    return figure, axes


def dress(ax: Axes, ink: str = INK) -> None:
    """The look of axes in a transparent figure: thin lines at the left and below, small text in one colour."""
    ax.patch.set_alpha(0)
    ax.locator_params(nbins=TICKS)
    ax.tick_params(colors=ink, labelsize=8, width=0.6, length=3)
    ax.xaxis.label.set(color=ink, fontsize=8.5)
    ax.yaxis.label.set(color=ink, fontsize=8.5)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(color=ink, alpha=0.45, linewidth=0.8)


def legend(ax: Axes, place: Any = "best", **more: Any) -> None:
    """A legend of the labelled lines, in the colour of text."""
    ax.legend(loc=place, frameon=False, fontsize=8, labelcolor=INK, handlelength=1.9, **more)


def log_scale(ax: Axes, which: str) -> None:
    """Make the "x" or the "y" axis logarithmic, its ticks written 10⁻³."""
    ax.set(**{f"{which}scale": "log"})
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
    axis.set_major_locator(LogLocator(numticks=TICKS))
    axis.set_minor_locator(NullLocator())


def _power(value: float) -> str:
    return "10" + str(round(np.log10(value))).translate(SUPERSCRIPTS) if value > 0 else ""


def cosine(a: Any, b: Any) -> float:
    """Cosine of the angle between two vectors [D]."""
    return float(a @ b / np.sqrt(float(a @ a) * float(b @ b)))


def signed_image(matrix: np.ndarray, softness: float = 1e-2) -> np.ndarray:
    """RGBA [R, C, 4] for `imshow`: orange above 0, blue below, transparent at 0.

    Opacity rises as asinh(|x| / (softness · max|x|)), so that small entries still show.
    """
    size = np.abs(matrix)
    largest = float(size.max()) or 1.0
    opacity = np.arcsinh(size / (softness * largest)) / np.arcsinh(1 / softness)
    colour = np.where((matrix > 0)[..., None], np.array(to_rgb(ORANGE)), np.array(to_rgb(BLUE)))
    return np.concatenate([colour, opacity[..., None]], axis=-1)


def to_png(figure: Figure, **options: Any) -> bytes:
    """A figure as PNG; `options` are those of `Figure.savefig`, which makes its own canvas for the format."""
    out = io.BytesIO()
    figure.savefig(out, format="png", **options)
    return out.getvalue()


def to_svg(figure: Figure, description: str = "") -> str:
    """A figure as SVG in a page: INK in the colour of text, the page's font, no CSS rule that affects the page.

    Text stays text, so glyphs come from the page; `description` is for those who cannot see it.
    """
    out = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(out, format="svg", dpi=DOTS, transparent=True, metadata=nothing)
    drawn = out.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<style.*?</style>", "", drawn, flags=re.DOTALL)  # it says `*`, which would style the whole page
    drawn = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--jp-ui-font-family, sans-serif)", drawn)
    drawn = drawn.replace(INK, "currentColor")
    label = html.escape(description, quote=True)
    frame = f'<svg role="img" aria-label="{label}" stroke-linejoin="round" stroke-linecap="butt" '
    return drawn.replace("<svg ", frame, 1)

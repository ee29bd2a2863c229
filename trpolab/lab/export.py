"""Files to take along: charts as SVG or PNG, their numbers as CSV, a rollout as an animated PNG or MP4."""

from __future__ import annotations

import csv
import importlib
import io
import math
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from trpolab.lab import style
from trpolab.lab.charts import CHARTS, Chart
from trpolab.lab.pictures.explorer import INK, legend, log_scale, panels, to_png
from trpolab.lab.series import Columns
from trpolab.settings import PlainError

ALL, ROLLOUT = "all charts", "rollout"
FORMATS = {"svg": "image/svg+xml", "png": "image/png", "csv": "text/csv", "mp4": "video/mp4"}
DASHES = {"solid": "-", "dash": (0, (5, 3)), "dot": (0, (1, 2)), "long": (0, (9, 4))}
ACROSS = 3  # charts in a row of a picture
NO_ENCODER = "there is no encoder for MP4: install ffmpeg, or: pip install imageio-ffmpeg"


def kinds(what: str) -> tuple[str, ...]:
    """The formats that there are for a chart, all charts, or the rollout."""
    return ("png", "mp4") if what == ROLLOUT else ("svg", "png", "csv")


def names() -> tuple[str, ...]:
    """What can be exported."""
    return (ALL, *(chart.title for chart in CHARTS), ROLLOUT)


def exported(what: str, kind: str, history: Sequence[Mapping[str, Any]], poster: bytes) -> bytes:
    """A file's content. Raises PlainError for what there isn't, or isn't yet."""
    if what not in names():
        raise PlainError(f"what = {what!r}: must be one of {', '.join(names())}")
    if kind not in kinds(what):
        raise PlainError(f"{what} as {kind!r}: must be one of {', '.join(kinds(what))}")
    if what == ROLLOUT:
        if not poster:
            raise PlainError("there is no picture of a rollout yet")
        return poster if kind == "png" else to_mp4(poster)
    charts = [chart for chart in CHARTS if what in (ALL, chart.title)]
    if not history:
        raise PlainError("there is no iteration yet")
    return to_csv(charts, history) if kind == "csv" else draw(charts, history, kind)


def draw(charts: Sequence[Chart], history: Sequence[Mapping[str, Any]], kind: str) -> bytes:
    """Those charts that have values, over the iterations, on a white ground."""
    columns = Columns(["iteration", *dict.fromkeys(line.metric for chart in charts for line in chart.lines)])
    columns.extend(history)
    drawn = [chart for chart in charts if any(np.isfinite(columns.get(line.metric)).any() for line in chart.lines)]
    charts = drawn or charts
    x = columns.get("iteration")
    figure, axes = panels(*(chart.title for chart in charts), across=ACROSS)
    for ax, chart in zip(axes, charts, strict=True):
        for line in chart.lines:
            y = columns.get(line.metric)
            seen = np.isfinite(y) & ((y > 0) if chart.scale == "log" else True)
            if seen.any():
                marker = "." if line.mode != "lines" else None
                dash = "none" if line.mode == "markers" else DASHES[line.dash]
                color = getattr(style, line.color.upper(), style.GREY)
                ax.plot(x[seen], y[seen], color=color, linestyle=dash, marker=marker, label=line.name)
        ax.set_xlabel("iteration")
        if chart.scale == "log":
            log_scale(ax, "y")
        if ax.get_legend_handles_labels()[0]:
            legend(ax)
    figure.patch.set(alpha=1, facecolor="white")
    if kind == "png":
        return to_png(figure, dpi=200)
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue().replace(INK.encode(), b"#000000")


def to_csv(charts: Sequence[Chart], history: Sequence[Mapping[str, Any]]) -> bytes:
    """The numbers of the charts, a line an iteration, in full precision; what does not apply is empty."""
    metrics = dict.fromkeys(line.metric for chart in charts for line in chart.lines)
    columns = ["iteration", "sim_steps", *(name for name in metrics if any(name in row for row in history))]
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(columns)
    table.writerows([row.get(name) for name in columns] for row in history)
    return out.getvalue().encode()


def encoder() -> str | None:
    """The program that encodes MP4, or None."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        ffmpeg = importlib.import_module("imageio_ffmpeg")
    except ImportError:
        return None
    return str(ffmpeg.get_ffmpeg_exe())


def to_mp4(poster: bytes) -> bytes:
    """An animated PNG as a film on a white ground. Raises PlainError where nothing encodes it."""
    program = encoder()
    if program is None:
        raise PlainError(NO_ENCODER)
    image = Image.open(io.BytesIO(poster))
    wide, high = (2 * math.ceil(side / 2) for side in image.size)  # H.264 has no odd sides
    times = [frame.info.get("duration", 50) for frame in ImageSequence.Iterator(image)]
    tick = max(10, math.gcd(*map(round, times)))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.mp4"
        words = [program, "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{wide}x{high}", "-r", f"1000/{tick}"]
        words += ["-i", "-", "-an", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(file)]
        frames = b"".join(_on_white(frame, (wide, high)) * max(1, round(duration / tick))
                          for frame, duration in zip(ImageSequence.Iterator(image), times, strict=True))  # fmt: skip
        done = subprocess.run(words, input=frames, capture_output=True)
        if done.returncode != 0:
            raise PlainError(f"{program} could not encode the film: {done.stderr.decode(errors='replace')[-300:]}")
        return file.read_bytes()


def _on_white(frame: Image.Image, size: tuple[int, int]) -> bytes:
    """A frame's pixels [H, W, 3] where white is behind it."""
    ground = Image.new("RGBA", size, "white")
    ground.alpha_composite(frame.convert("RGBA"))
    return ground.convert("RGB").tobytes()

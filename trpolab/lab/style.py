"""The lab's colours, and its style sheet, `lab.css`, with the charts' measures filled in."""

from __future__ import annotations

from pathlib import Path

COLOURS = {  # Okabe and Ito's, and one for what stands back
    "blue": "#0072B2",
    "sky": "#56B4E9",
    "green": "#009E73",
    "orange": "#E69F00",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "grey": "#8c8c8c",
}
BLUE, SKY, GREEN, ORANGE, VERMILION, PURPLE, GREY = COLOURS.values()
ROW_HEIGHTS = (204, 204, 312)  # pixels, of the charts' grid
HEIGHT = sum(ROW_HEIGHTS)
_ROWS = " ".join(f"{height}px" for height in ROW_HEIGHTS)
_SHEET = Path(__file__).with_name("lab.css").read_text(encoding="utf-8")
CSS = f"<style>.trpolab {{ --chart-height: {HEIGHT}px; --chart-rows: {_ROWS}; }}\n{_SHEET}</style>"

"""The lab's colours, and its style sheet, `lab.css`."""

from __future__ import annotations

from pathlib import Path

# Okabe and Ito's colours, and one for what stands back.
BLUE, SKY, GREEN, ORANGE = "#0072B2", "#56B4E9", "#009E73", "#E69F00"
VERMILION, PURPLE, GREY = "#D55E00", "#CC79A7", "#8c8c8c"
_SHEET = Path(__file__).with_name("lab.css").read_text(encoding="utf-8")
CSS = f"<style>{_SHEET}</style>"

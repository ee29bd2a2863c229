"""The lab's style sheet, `lab.css`, with the charts' measures filled in."""

from __future__ import annotations

from pathlib import Path

from trpolab.lab.charts import HEIGHT, ROW_HEIGHTS

_ROWS = " ".join(f"{height}px" for height in ROW_HEIGHTS)
_SHEET = Path(__file__).with_name("lab.css").read_text(encoding="utf-8")
CSS = f"<style>.trpolab {{ --chart-height: {HEIGHT}px; --chart-rows: {_ROWS}; }}\n{_SHEET}</style>"

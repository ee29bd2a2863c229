"""The result of a benchmark: rows for the terminal and for docs/results.md."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

from trpolab.machine import usable_cores
from trpolab.runs.reader import installed_versions


@dataclass(frozen=True)
class Table:
    """A benchmark's result: what was measured, what must be reached, and whether it was."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = field(default=())

    def markdown(self) -> str:
        """The table as Markdown, aligned so that it also reads well in a terminal."""
        cells = [self.columns, *self.rows]
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.columns))]

        def line(row: tuple[str, ...]) -> str:
            return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"

        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        body = "\n".join([line(self.columns), rule, *(line(row) for row in self.rows)])
        notes = "".join(f"\n{note}" for note in self.notes)
        return f"**{self.title}** (`trpolab bench {self.name}`)\n\n{body}\n{notes}".rstrip()


def verdict(reached: bool) -> str:
    """The last column of most tables."""
    return "yes" if reached else "no"


def machine() -> str:
    """The machine and the versions in one line."""
    versions = installed_versions()
    shown = ", ".join(
        f"{name} {versions[name]}" for name in ("torch", "mujoco", "gymnasium", "numpy") if name in versions
    )
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return f"{usable_cores()} cores of {_processor()}, Python {platform.python_version()}, {shown}; load {load:.1f}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

"""What the benchmarks share: measuring seconds and memory, and the table that each of them ends in."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from trpolab.machine import installed_versions, usable_cores
from trpolab.numerics.device import CPU, device_name

Report = Callable[[str], None]  # is told of progress, a line at a time


@dataclass(frozen=True)
class Table:
    """A benchmark's result: what was measured, what must be reached, and whether it was.

    The head and the rows are lines of text, with a bar between two cells. `summary` ends the title.
    """

    head: str
    rows: Sequence[str]
    summary: str = ""

    def markdown(self, name: str, about: str) -> str:
        """The table as Markdown, aligned so that it also reads well in a terminal.

        Its title is the first line of `about`, its note the rest.
        """
        cells = [[cell.strip() for cell in line.split("|")] for line in (self.head, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
        head, *rows = [f"| {' | '.join(row)} |" for row in padded]
        body = "\n".join([head, f"|{'|'.join('-' * (width + 2) for width in widths)}|", *rows])
        title, _, note = about.partition("\n")
        title = ": ".join(filter(None, (title.rstrip("."), self.summary)))
        note = f"{' '.join(note.split())}\n{machine()}".lstrip()
        return f"**{title}** (`trpolab bench {name}`)\n\n{body}\n\n{note}"


def verdict(reached: bool) -> str:
    """The last column of most tables."""
    return "yes" if reached else "no"


def timed(work: Callable[..., Any], *given: Any) -> tuple[float, Any]:
    """Seconds that `work(*given)` took, and what it returned."""
    began = time.perf_counter()
    result = work(*given)
    return time.perf_counter() - began, result


def resident_mib() -> float:
    """Resident memory of this process, MiB."""
    return float(psutil.Process().memory_info().rss / 2**20)


def machine() -> str:
    """The machine and the versions in one line."""
    versions = installed_versions()
    shown = [f"{name} {versions[name]}" for name in ("torch", "mujoco", "gymnasium", "numpy") if name in versions]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    python = f"Python {platform.python_version()}"
    gpu = [] if (name := device_name("auto")) == CPU else [name]
    return f"{usable_cores()} cores of {_processor()}, {', '.join([*gpu, python, *shown])}; load {load:.1f}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()

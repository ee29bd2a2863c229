"""What the benchmarks share: measuring seconds and memory, and the table that each of them ends in."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from trpolab.experiments.results import machine, markdown

Report = Callable[[str], None]  # is told of progress, a line at a time


@dataclass(frozen=True)
class Table:
    """A benchmark's result: what was measured, what must be reached, and whether it was.

    The head and the rows are lines of text, with a bar between two cells. `summary` ends the title.
    """

    head: str
    rows: Sequence[str]
    summary: str = ""

    @property
    def cells(self) -> tuple[list[str], list[list[str]]]:
        """The head's cells, and those of each row."""
        head, *rows = [[cell.strip() for cell in line.split("|")] for line in (self.head, *self.rows)]
        return head, rows

    def title(self, about: str) -> str:
        """The first line of `about`, and the summary."""
        return ": ".join(filter(None, (about.partition("\n")[0].rstrip("."), self.summary)))

    def markdown(self, name: str, about: str) -> str:
        """The table as Markdown. Its title is the first line of `about`, its note the rest."""
        _, _, note = about.partition("\n")
        note = f"{' '.join(note.split())}\n{machine()}".lstrip()
        return f"**{self.title(about)}** (`trpolab bench {name}`)\n\n{markdown(*self.cells)}\n\n{note}"


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

"""A benchmark's result as files: its table, its cells as JSON, and a chart."""

from __future__ import annotations

import re
from pathlib import Path

from trpolab.bench.table import Table
from trpolab.experiments.figures import Bars, draw_bars, save
from trpolab.experiments.results import machine
from trpolab.runs.disk import strict_json, write_atomically

TARGETS = ("must reach", "at least", "at most")  # heads of columns that follow what was measured
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?!\w)")


def write(table: Table, name: str, about: str, out: Path) -> None:
    """`<name>.md`, `<name>.json` and, where there are numbers, `<name>.svg` and `<name>.png` into the folder `out`.

    `about` is the benchmark's docstring. Raises OSError where they can't be written.
    """
    head, rows = table.cells
    told = {"benchmark": name, "title": table.title(about), "machine": machine(), "head": head, "rows": rows}
    write_atomically(out / f"{name}.md", table.markdown(name, about) + "\n")
    write_atomically(out / f"{name}.json", strict_json(told, indent=1))
    draw_chart(table, table.title(about), out / name)


def draw_chart(table: Table, title: str, path: Path) -> list[Path]:
    """A bar for each row, marked where it must be, as `<path>.svg` and `<path>.png`; nothing without numbers.

    The bars are of the column before the first target, else of the last one that has a number in every row.
    """
    head, rows = table.cells
    target = next((k for k, name in enumerate(head) if name in TARGETS and k), None)
    numbers = [[number_in(cell) for cell in row] for row in rows]
    full = [k for k in range(1, len(head)) if all(row[k] is not None for row in numbers)]
    column = target - 1 if target is not None else full[-1] if full else None
    if column is None or not rows:
        return []
    due = [None if target is None else found[target] for found in numbers]
    labels = [" · ".join(cell for cell in row[: max(1, min(column, 3))] if cell) for row in rows]
    bars = Bars(labels, [found[column] or 0.0 for found in numbers], [row[column] for row in rows], due)
    unit = head[column] if target is None else f"{head[column]}; marked: {head[target]}"
    return save(draw_bars(bars, title, unit), path)


def number_in(cell: str) -> float | None:
    """The first number of a cell."""
    found = NUMBER.search(cell)
    return float(found[0].replace(",", "")) if found else None

"""What charts draw: columns that grow with the history, and thinning that keeps extremes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


class Columns:
    """Named columns over the iterations. What does not apply (None) and what is not finite is a gap (NaN)."""

    def __init__(self, names: Sequence[str]):
        self._values: dict[str, list[float]] = {name: [] for name in names}

    def __len__(self) -> int:
        return len(next(iter(self._values.values())))

    def extend(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append one value a row to every column."""
        for row in rows:
            for name, column in self._values.items():
                column.append(number(row.get(name)))

    def get(self, name: str) -> np.ndarray:
        """A column, a float64 for each row."""
        return np.array(self._values[name])

    def last(self, name: str, count: int) -> float:
        """The last of a column's first `count` values; -1 where there is none."""
        return self._values[name][count - 1] if count else -1.0

    def block(self, start: int, end: int) -> np.ndarray:
        """Rows [start, end) of every column: [columns, end - start]."""
        return np.array([column[start:end] for column in self._values.values()])


def number(value: Any) -> float:
    """A finite number, or NaN."""
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return math.nan


def thin(x: np.ndarray, y: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `limit` of the points (x, y): the lowest and the highest of each stretch, and the ends.

    Keeping extremes instead of every k-th point shows a single iteration that went wrong.
    """
    if len(x) <= limit:
        return x, y
    stretches = np.array_split(np.arange(len(x)), (limit - 2) // 2)
    keep = {0, len(x) - 1}
    for rows in stretches:
        part = y[rows]
        if np.all(np.isnan(part)):
            keep.add(int(rows[0]))
        else:
            keep |= {int(rows[np.nanargmin(part)]), int(rows[np.nanargmax(part)])}
    chosen = np.array(sorted(keep))
    return x[chosen], y[chosen]

"""What the charts draw, as columns that grow with the history."""

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

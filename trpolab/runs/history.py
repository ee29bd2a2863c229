"""The metrics of every iteration in little memory, so that all of a hundred thousand iterations are kept."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, overload

Row = dict[str, Any]


class History(Sequence[Row]):
    """Rows (dicts of metrics) in order. It grows at its end; a row that is taken out is a copy.

    A row is kept as compressed JSON. A tuple in it comes back as a list, as it does from metrics.jsonl.
    """

    def __init__(self, rows: Iterable[Row] = ()):
        self._rows = [_packed(row) for row in rows]

    def append(self, row: Row) -> None:
        """Add one row at the end."""
        self._rows.append(_packed(row))

    def keep_until(self, iteration: int) -> None:
        """Drop rows of later iterations, which will be done again."""
        while self._rows and self[-1]["iteration"] > iteration:
            self._rows.pop()

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [_unpacked(packed) for packed in self._rows[index]]
        return _unpacked(self._rows[index])

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    def __repr__(self) -> str:
        return f"History({len(self)} iterations)"


def _packed(row: Row) -> bytes:
    return zlib.compress(json.dumps(row).encode())


def _unpacked(packed: bytes) -> Row:
    return json.loads(zlib.decompress(packed))

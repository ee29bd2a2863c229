"""The metrics of every iteration in little memory, so that all of a hundred thousand iterations are kept."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

Row = dict[str, Any]
_PACKED = {float: "d", int: "q"}
_LARGEST = 2**63


class History(Sequence[Row]):
    """Rows (dicts of metrics) in order. It grows at its end; a row that is taken out is a copy.

    Rows with the same keys and types share one layout. A row holds its layout, its numbers packed into eight bytes
    each, and its other values.
    """

    def __init__(self, rows: Iterable[Row] = ()):
        self._rows: list[tuple[tuple[tuple[str, str], ...], bytes, tuple[Any, ...]]] = []
        self._layouts: dict[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]] = {}
        for row in rows:
            self.append(row)

    def append(self, row: Row) -> None:
        """Add one row at the end."""
        layout = tuple((name, _kind(value)) for name, value in row.items())
        layout = self._layouts.setdefault(layout, layout)
        numbers = [value for value, (_, kind) in zip(row.values(), layout, strict=True) if kind in "dq"]
        others = [value for value, (_, kind) in zip(row.values(), layout, strict=True) if kind == "o"]
        shared = tuple(sys.intern(value) if type(value) is str else value for value in others)
        self._rows.append((layout, struct.pack(_format(layout), *numbers), shared))

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
            return [_row(*packed) for packed in self._rows[index]]
        return _row(*self._rows[index])

    def __iter__(self) -> Iterator[Row]:
        return (_row(*packed) for packed in self._rows)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    def __repr__(self) -> str:
        return f"History({len(self)} iterations)"


def _kind(value: Any) -> str:
    """How a value is held: d or q packed, n for None, o as an object."""
    if value is None:
        return "n"
    kind = _PACKED.get(type(value), "o")
    return "o" if kind == "q" and not -_LARGEST <= value < _LARGEST else kind


def _format(layout: tuple[tuple[str, str], ...]) -> str:
    return "=" + "".join(kind for _, kind in layout if kind in "dq")


def _row(layout: tuple[tuple[str, str], ...], packed: bytes, others: tuple[Any, ...]) -> Row:
    numbers, rest = iter(struct.unpack(_format(layout), packed)), iter(others)
    return {name: None if kind == "n" else next(rest) if kind == "o" else next(numbers) for name, kind in layout}

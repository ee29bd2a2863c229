"""TensorBoard's event files, written without TensorBoard: TFRecord frames around `Event` messages of scalars.

https://www.tensorflow.org/tutorials/load_data/tfrecord (frames), tensorboard/compat/proto/event.proto and
summary.proto (messages). TensorBoard and what it needs weigh tens of megabytes; these four fields have not changed
since 2015.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from functools import cache

VERSION = b"brain.Event:2"
VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5  # protobuf's wire types
POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), bits reversed


def event_file(steps: Iterable[tuple[float, int, Mapping[str, float]]]) -> bytes:
    """The content of an event file: for each (time in seconds since 1970, step, scalars by tag) one event."""
    steps = list(steps)
    first = steps[0][0] if steps else 0.0
    events = [_field(1, DOUBLE, struct.pack("<d", first)) + _field(3, BYTES, VERSION)]
    for time, step, scalars in steps:
        values = b"".join(_field(1, BYTES, _value(tag, number)) for tag, number in scalars.items())
        events.append(
            _field(1, DOUBLE, struct.pack("<d", time)) + _field(2, VARINT, _varint(step)) + _field(5, BYTES, values)
        )
    return b"".join(map(_frame, events))


def _value(tag: str, number: float) -> bytes:
    """Summary.Value: tag and simple_value."""
    return _field(1, BYTES, tag.encode()) + _field(2, FLOAT, struct.pack("<f", number))


def _field(number: int, kind: int, content: bytes) -> bytes:
    length = _varint(len(content)) if kind == BYTES else b""
    return _varint(number << 3 | kind) + length + content


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more come."""
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _frame(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + _masked_crc(length) + content + _masked_crc(content)


def _masked_crc(content: bytes) -> bytes:
    crc, table = 0xFFFFFFFF, _table()
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


@cache
def _table() -> tuple[int, ...]:
    entries = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ (POLYNOMIAL if entry & 1 else 0)
        entries.append(entry)
    return tuple(entries)

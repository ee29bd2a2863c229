"""Messages of worker processes: Python's own, with large arrays sent after them instead of inside."""

from __future__ import annotations

import io
import os
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

APART = 2**16  # bytes from which on an array travels by itself


def send(connection: Connection, message: Any) -> None:
    """A message, its large arrays from where they lie: copies of a batch of pixels would take longer than the rest."""
    apart: list[memoryview] = []

    def in_band(buffer: Any) -> bool:
        view = buffer.raw()
        if view.nbytes < APART:
            return True
        apart.append(view)
        return False

    head = io.BytesIO()
    ForkingPickler(head, 5, True, in_band).dump(message)
    connection.send([view.nbytes for view in apart])
    connection.send_bytes(head.getbuffer())
    for view in apart:
        while view:
            view = view[os.write(connection.fileno(), view) :]


def receive(connection: Connection) -> Any:
    """What `send` sent; raises EOFError or OSError where the other side ends before it is whole."""
    sizes = connection.recv()
    head = connection.recv_bytes()
    arrays = [np.empty(size, np.uint8) for size in sizes]
    for array in arrays:
        view = memoryview(array.data)
        while view:  # `Connection.recv_bytes_into` would copy everything twice
            if (got := os.readv(connection.fileno(), [view])) == 0:
                raise EOFError
            view = view[got:]
    return ForkingPickler.loads(head, buffers=arrays)

"""Ending what notebooks leave behind: processes that left the group of the one that ran their notebook."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import time
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux: processes below this one whose parent has ended become its children
ROUNDS, PAUSE = 100, 0.02  # a process that is ended hands on its own children


class Strays:
    """Starts processes, and ends what they leave behind. Elsewhere than on Linux nothing is found."""

    def __init__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
        self._spared, self._lock = children(), threading.Lock()

    def start(self, process: Any) -> None:
        """Start a process that is not a stray."""
        with self._lock:
            process.start()
            self._spared.add(process.pid)

    def end(self, pid: int) -> None:
        """End what is left of a process that was started here, and every other process that nobody started here."""
        with self._lock:
            self._spared.discard(pid)
            own: Any = (forkserver._forkserver, resource_tracker._resource_tracker)  # type: ignore[attr-defined]
            helpers = {own[0]._forkserver_pid, own[1]._pid}
            for _ in range(ROUNDS):
                found = children() - self._spared - helpers
                if not found:
                    return
                for stray in found:
                    with contextlib.suppress(OSError):
                        os.kill(stray, signal.SIGKILL)
                        os.waitpid(stray, os.WNOHANG)
                time.sleep(PAUSE)


def children() -> set[int]:
    """The processes whose parent is this one, as far as /proc tells."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(status.read_text(errors="replace").rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(status.parent.name))
    return found

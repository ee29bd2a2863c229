"""Which process writes a run. The system uses pids again; a pid and the start of its process name one process."""

from __future__ import annotations

import dataclasses
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import psutil

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

RECORDED = ("pid", "process_ticks", "host", "boot_id", "process_started")  # what the fields are called in a record


@dataclass(frozen=True)
class Owner:
    """A process on a machine. 0 and "" stand for what is not known."""

    pid: int
    ticks: int  # hundredths of a second, see `_ticks`
    host: str = ""
    boot: str = ""  # the kernel's id of this start of the machine
    started: str = ""  # the process's start, for people

    @staticmethod
    def this() -> Owner:
        """This process."""
        return _describe(os.getpid())

    @staticmethod
    def of(record: Any) -> Owner | None:
        """The owner that a record names, or None where it names none."""
        if not isinstance(record, dict) or not isinstance(record.get("pid"), int) or record["pid"] <= 0:
            return None
        ticks, *others = (record.get(name) for name in RECORDED[1:])
        return Owner(record["pid"], ticks if isinstance(ticks, int) else 0, *(str(text or "") for text in others))

    def record(self) -> dict[str, Any]:
        """What `of` reads."""
        return dict(zip(RECORDED, dataclasses.astuple(self), strict=True))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host or 'this machine'}, started {self.started or 'at an unknown time'}"

    @property
    def elsewhere(self) -> bool:
        """Whether it runs on another machine, where this one cannot look."""
        return self.host not in ("", socket.gethostname())

    def alive(self) -> bool:
        """Whether the process still runs on this machine: not a zombie, and not a later process with the same pid.

        Says nothing about an owner elsewhere.
        """
        if self.boot and self.boot != boot_id():
            return False
        try:
            process = psutil.Process(self.pid)
            if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                return False
            return self.ticks in (0, _ticks(process))
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:  # somebody else's process
            return True


@cache
def boot_id() -> str:
    """The kernel's id of this start of the machine; "" on systems without one."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


@cache
def _describe(pid: int) -> Owner:
    """This process. The cache is keyed by the pid, so that a fork does not take its parent's entry."""
    process = psutil.Process(pid)
    started = datetime.fromtimestamp(process.create_time(), UTC)
    return Owner(pid, _ticks(process), socket.gethostname(), boot_id(), f"{started:%Y-%m-%dT%H:%M:%SZ}")


def _ticks(process: psutil.Process) -> int:
    """Start of a process in hundredths of a second, the same number whenever it is asked for.

    Counted from the machine's start on Linux, where the kernel keeps it so and the wall clock may be set later; from
    1970 elsewhere, where the kernel keeps the time of the wall clock.
    """
    origin = psutil.boot_time() if psutil.LINUX else 0.0
    return round(100 * (process.create_time() - origin))

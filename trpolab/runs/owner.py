"""Which process writes a run, told so that it can be recognised later: a pid is given out again, its start is not."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

PROC = Path("/proc")


@dataclass(frozen=True)
class Owner:
    """A process on a machine since its last start. 0 and "" where the system does not tell."""

    pid: int
    ticks: int  # clock ticks from the machine's start to the process's
    host: str = ""
    boot: str = ""  # the kernel's id of this start of the machine
    started: str = ""  # the process's start, for people

    @staticmethod
    def this() -> Owner:
        """This process."""
        return _describe(os.getpid())

    @staticmethod
    def of(record: Any) -> Owner | None:
        """The owner that `record` tells of, or None where it tells of none."""
        if not isinstance(record, dict) or not isinstance(record.get("pid"), int):
            return None
        ticks = record.get("process_ticks")
        texts = [str(record.get(name) or "") for name in ("host", "boot_id", "process_started")]
        return Owner(record["pid"], ticks if isinstance(ticks, int) else 0, *texts)

    def record(self) -> dict[str, Any]:
        """What `of` reads."""
        return {
            "pid": self.pid,
            "host": self.host,
            "process_started": self.started,
            "process_ticks": self.ticks,
            "boot_id": self.boot,
        }

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host or 'this machine'}, started {self.started or 'at an unknown time'}"

    @property
    def elsewhere(self) -> bool:
        """Whether it ran on another machine, where this one cannot look."""
        return self.host not in ("", socket.gethostname())

    def alive(self) -> bool:
        """Whether the process still runs on this machine; a later one with its pid does not count, nor does a zombie.

        Not to be asked of an owner elsewhere.
        """
        if self.boot and self.boot != boot_id():
            return False
        if (PROC / "self").exists():
            state, ticks = _stat(self.pid)
            return state not in ("", "Z", "X") and (not self.ticks or ticks == self.ticks)
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # somebody else's process
            return True
        return True


@cache
def boot_id() -> str:
    """The kernel's id of this start of the machine, or ""."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@cache
def _describe(pid: int) -> Owner:
    """This process: keyed by its pid, so that a fork does not take its parent's."""
    _, ticks = _stat(pid)
    began = datetime.now(UTC)
    try:
        booted = next(line for line in (PROC / "stat").read_text().splitlines() if line.startswith("btime"))
        began = datetime.fromtimestamp(int(booted.split()[1]) + ticks / os.sysconf("SC_CLK_TCK"), UTC)
    except (OSError, StopIteration):
        pass  # no /proc: the first time that somebody asked is near enough for people
    return Owner(pid, ticks, socket.gethostname(), boot_id(), f"{began:%Y-%m-%dT%H:%M:%SZ}")


def _stat(pid: int) -> tuple[str, int]:
    """State and start of a process; ("", 0) where there is none."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return "", 0
    fields = text.rpartition(")")[2].split()  # the name before may hold anything
    return fields[0], int(fields[19])

"""What this machine lends to this process."""

from __future__ import annotations

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "<microseconds> <period>" or "max <period>", as a container is given it


MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")  # bytes or "max"


def usable_memory() -> int | None:
    """Bytes of memory that this process and its children may use; None where the system doesn't tell."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    try:
        limit = MEMORY_LIMIT.read_text(encoding="ascii").strip()
    except OSError:
        return physical
    return physical if limit == "max" else min(physical, int(limit))


def usable_cores() -> int:
    """Cores that this process may use: its affinity, cut by the quota of its control group; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text(encoding="ascii").split()
    except (OSError, ValueError):  # no control groups, or their older form
        return allowed
    return allowed if quota == "max" else max(1, min(allowed, int(quota) // int(period)))

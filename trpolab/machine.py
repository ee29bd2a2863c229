"""What this machine lends to this process, and what is installed on it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

# Limits of the control group that a container runs in; psutil reports the whole machine's.
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "<microseconds> <period>" or "max <period>"
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")  # bytes or "max"
RECORDED_VERSIONS = ("trpolab", "torch", "numpy", "mujoco", "gymnasium", "ale-py")


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path as people give it: `~` is the home folder."""
    return Path(os.path.expanduser(path))


def usable_memory() -> int:
    """Bytes of memory that this process and its children may use: the machine's, cut by the control group's limit."""
    physical: int = psutil.virtual_memory().total
    try:
        return min(physical, int(MEMORY_LIMIT.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no control groups, or no limit
        return physical


def usable_cores() -> int:
    """Cores that this process may use: its affinity, cut by the quota of its control group; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text(encoding="ascii").split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # no control groups, or no quota
        return allowed


def installed_versions() -> dict[str, str]:
    """Versions of what a run's numbers depend on, where installed."""
    found = {}
    for name in RECORDED_VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's model, as the system names it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()

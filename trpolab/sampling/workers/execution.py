"""Who samples: this machine's threads and processes, or workers on Ray; settings, and what is wrong with them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from importlib.util import find_spec

from trpolab.extras import install_line
from trpolab.settings import Part, setting
from trpolab.simulators.base import Task

LOCAL, OWN = "local", "ray"
ADDRESS = re.compile(r"(ray://)?(?P<host>[^:/\s]+):(?P<port>\d{1,5})")


@dataclass(frozen=True)
class Execution(Part):
    """Who samples. The numbers do not depend on it."""

    executor: str = setting(
        "local",
        "who samples: local (this machine's threads and processes), ray (a Ray of its own on this machine), or the "
        "HOST:PORT or ray://HOST:PORT of a Ray cluster",
        live=False,
        of_machine=True,
        flat=True,
    )
    workers: int | None = setting(
        None,
        "workers on Ray (none: as many as there are cores)",
        low=1,
        high=10_000,
        live=False,
        of_machine=True,
        flat=True,
    )
    allow_version_mismatch: bool = setting(
        False,
        "workers may have other versions or processors: the last bits may differ",
        live=False,
        of_machine=True,
        flat=True,
    )


def execution_problems(given: Execution) -> list[str]:
    """What is wrong with these settings, and with this machine for them."""
    if given.executor == LOCAL:
        return [] if given.workers is None else [f"workers = {given.workers}: local sampling uses `threads`"]
    if given.executor != OWN and not ADDRESS.fullmatch(given.executor):
        return [f"executor = {given.executor!r}: must be local, ray, HOST:PORT or ray://HOST:PORT"]
    if find_spec("ray") is None:
        return [f"executor = {given.executor!r}: needs ray, which is not installed: {install_line('ray')}"]
    return []


def spread(task: Task, given: Execution) -> Task:
    """The task as these settings have it sampled."""
    return task if given.executor == LOCAL else replace(task, runs_in_processes=True)

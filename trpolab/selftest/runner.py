"""Which checks there are, and how they are run: one after another, each in an empty folder of its own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trpolab.selftest import files, physics, runs

Check = Callable[[Path], str]  # works in the folder it is given; returns what it saw, raises where that is wrong

CHECKS: Mapping[str, Check] = {
    "R1": runs.survives_kills,
    "R2": runs.resumes_bit_for_bit,
    "R3": runs.finds_damage,
    "R4": runs.waits_for_a_full_disk,
    "R8": runs.has_one_writer,
    "R10": physics.skips_what_is_not_finite,
    "R16": physics.reports_resets,
    "R18": physics.restores_exactly,
    "R24": runs.repeats_itself,
    "R26": files.refuses_hostile_policies,
    "R27": files.refuses_hostile_archives,
    "R29": files.reads_torn_lines,
    "R32": runs.learns,
}


@dataclass(frozen=True)
class Verdict:
    """How one check ended."""

    row: str  # of the scoreboard
    name: str  # what was tried
    passed: bool
    detail: str  # what was seen, or what is wrong
    seconds: float


def run(checks: Mapping[str, Check] = CHECKS) -> Iterator[Verdict]:
    """Run the checks in turn; whatever one raises is its verdict."""
    for row, check in checks.items():
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="trpolab-selftest-", ignore_cleanup_errors=True) as folder:
            try:
                passed, detail = True, check(Path(folder))
            except Exception as error:  # noqa: BLE001 - a check may fail in any way, and the next ones still run
                passed, detail = False, f"{type(error).__name__}: {error}"
        name = (check.__doc__ or "").partition("\n")[0]
        yield Verdict(row, name, passed, detail, time.perf_counter() - began)

"""`trpolab doctor --selftest`: the part of the scoreboard that runs without the tests, a line each."""

from __future__ import annotations

import shutil
import textwrap
import time

from trpolab.cli.exits import Exit
from trpolab.selftest import CHECKS, Verdict, run

INDENT = 11  # columns left of what came of a check


def selftest() -> int:
    """Run every check and print its verdict. Returns 0 when all passed, else 1."""
    print(f"\nSelf-test: {len(CHECKS)} checks in temporary folders, a minute or two", flush=True)
    began, failed = time.perf_counter(), []
    for verdict in run():
        print(shown(verdict, shutil.get_terminal_size().columns), flush=True)
        if not verdict.passed:
            failed.append(verdict.row)
    took = f"{time.perf_counter() - began:.0f} s"
    print(f"\n{', '.join(failed)} failed ({took})." if failed else f"\nAll {len(CHECKS)} passed ({took}).")
    return Exit.CRASHED if failed else Exit.FINISHED


def shown(verdict: Verdict, width: int) -> str:
    """A verdict in two lines or more: what was tried, and what came of it."""
    head = f"{'ok' if verdict.passed else 'FAIL':>4}  {verdict.row:<4} {verdict.name}  ({verdict.seconds:.1f} s)"
    detail = textwrap.wrap(verdict.detail, max(40, width - INDENT))
    return "\n".join([head, *(" " * INDENT + line for line in detail)])

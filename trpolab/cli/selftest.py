"""`trpolab doctor --selftest`: the part of the scoreboard that runs without the tests, a line each."""

from __future__ import annotations

import time

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from trpolab.cli.exits import Exit
from trpolab.selftest import CHECKS, run

INDENT = 11  # columns left of what came of a check


def selftest() -> int:
    """Run every check and print its verdict. Returns 0 when all passed, else 1."""
    console = Console(markup=False, emoji=False, highlight=False)
    console.print(f"\nSelf-test: {len(CHECKS)} checks in temporary folders, a minute or two")
    began, failed = time.perf_counter(), []
    for verdict in run():
        state = ("  ok", "green") if verdict.passed else ("FAIL", "bold red")
        console.print(Text.assemble(state, f"  {verdict.row:<4} {verdict.name}  ({verdict.seconds:.1f} s)"))
        console.print(Padding.indent(verdict.detail, INDENT))
        if not verdict.passed:
            failed.append(verdict.row)
    took = f"{time.perf_counter() - began:.0f} s"
    console.print(f"\n{', '.join(failed)} failed ({took})." if failed else f"\nAll {len(CHECKS)} passed ({took}).")
    return Exit.CRASHED if failed else Exit.FINISHED

"""`python -m tests.reliability.table FILE ...`: put the scoreboard into docs/reliability.md, or print it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.reliability.rows import ROWS, order
from tests.reliability.scoreboard import SCHEMA

BEGIN, END = "<!-- scoreboard -->", "<!-- /scoreboard -->"
PAGE = Path(__file__).parent.parent.parent / "docs" / "reliability.md"


@dataclass(frozen=True)
class Score:
    """One row's tests, counted."""

    passed: int
    failed: int
    skipped: int
    planted: int  # of all of them
    seconds: float

    @classmethod
    def of(cls, results: Sequence[dict[str, Any]]) -> Score:
        """From the results of a row."""
        count = {outcome: sum(r["outcome"] == outcome for r in results) for outcome in ("passed", "failed", "skipped")}
        planted = sum(r["planted"] for r in results)
        return cls(**count, planted=planted, seconds=sum(r["seconds"] for r in results))

    @property
    def verdict(self) -> str:
        """Green only if something passed and nothing failed."""
        if self.failed:
            return f"**{self.failed} failed**"
        if not self.passed:
            return "not run"
        return "passed" + (f", {self.skipped} skipped" if self.skipped else "")


def scores(files: Sequence[Path]) -> tuple[dict[str, Score], str]:
    """Every row's score over the files together, and where the numbers come from. Raises ValueError for other files."""
    results: list[dict[str, Any]] = []
    origins = []
    for file in files:
        found = json.loads(file.read_text(encoding="utf-8"))
        if found.get("schema") != SCHEMA:
            raise ValueError(f"{file}: schema {found.get('schema')!r}, this reads {SCHEMA}")
        results += found["results"]
        origins.append(f"{found['date']}, commit {found['commit']}")
    by_row = {row: Score.of([r for r in results if row in r["rows"]]) for row in sorted(ROWS, key=order)}
    return by_row, "; ".join(dict.fromkeys(origins))


def markdown(by_row: dict[str, Score], origin: str) -> str:
    """The table for the page."""
    lines = ["| row | fault or bad input | what must happen | tests, of them planted faults | seconds | result |"]
    lines.append("|---|---|---|---|---|---|")
    for name, score in by_row.items():
        row, count = ROWS[name], score.passed + score.failed + score.skipped
        tests = f"{count}, {score.planted}"
        lines.append(f"| {name} | {row.fault} | {row.expected} | {tests} | {score.seconds:.1f} | {score.verdict} |")
    return "\n".join([*lines, "", f"{origin}."])


def put(text: str, table: str) -> str:
    """The page's text with the table between its markers. Raises ValueError where they are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} ... {END}")
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"


def main(argv: Sequence[str] | None = None) -> None:
    """Read the files, write or print the table."""
    parser = argparse.ArgumentParser(description="The scoreboard from files that pytest --scoreboard wrote.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--print", action="store_true", help="print the table and leave the page alone")
    args = parser.parse_args(argv)
    table = markdown(*scores(args.files))
    if args.print:
        print(table)
    else:
        PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    main()

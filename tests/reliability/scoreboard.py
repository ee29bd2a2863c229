"""The scoreboard as a pytest plugin: `pytest -n 0 -m "reliability and not soak" --scoreboard=FILE` writes the results.

`@pytest.mark.reliability("R10")` says which rows of `ROWS` a test stands for; a mark without rows belongs to none.
`python -m tests.reliability.table FILE ...` makes the table of docs/reliability.md from such files.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.reliability.rows import ROWS, order

SCHEMA = 1
NOTEBOOKS_ROW = "R36"


@dataclass
class Result:
    """What became of one test, all its phases together."""

    test: str  # pytest's node id
    rows: tuple[str, ...]
    planted: bool  # it plants a fault and demands that the row's check turns red
    outcome: str = "not run"  # passed, failed or skipped
    seconds: float = 0.0

    def add(self, report: pytest.TestReport) -> None:
        """One phase (set-up, call, tear-down) has ended; the worst outcome counts."""
        self.seconds += report.duration
        if self.outcome != "failed" and (report.when == "call" or report.outcome != "passed"):
            self.outcome = report.outcome


class Scoreboard:
    """Collects the results of marked tests and writes them when the session ends."""

    def __init__(self, file: Path):
        self.file = file
        self.results: dict[str, Result] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what will run."""
        for item in session.items:
            if rows := rows_of(item):
                planted = "faults" in item.path.parts
                self.results[item.nodeid] = Result(item.nodeid, rows, planted)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what came of it."""
        if report.nodeid in self.results:
            self.results[report.nodeid].add(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file."""
        results = [asdict(result) | {"seconds": round(result.seconds, 3)} for result in self.results.values()]
        found = {
            "schema": SCHEMA,
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "commit": commit(session.config.rootpath),
            "results": results,
        }
        self.file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def rows_of(item: pytest.Item) -> tuple[str, ...]:
    """The rows that a test stands for, in order."""
    return tuple(sorted({row for mark in item.iter_markers("reliability") for row in mark.args}, key=order))


def commit(folder: Path) -> str:
    """The short commit of a checkout, with a + where files differ from it; "" outside a repository."""
    git = ["git", "-C", str(folder)]
    named = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    if named.returncode:
        return ""
    changed = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True)
    return named.stdout.strip() + ("+" if changed.stdout.strip() else "")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--scoreboard=FILE`."""
    parser.addoption("--scoreboard", metavar="FILE", help="write what became of the reliability tests, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Collect only if asked to, in the process that runs the tests."""
    if file := config.getoption("--scoreboard"):
        if config.getoption("numprocesses", 0):
            raise pytest.UsageError("--scoreboard notes what runs in one process: add -n 0")
        config.pluginmanager.register(Scoreboard(Path(file).absolute()), "trpolab-scoreboard")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Notebook cells stand for their row; a row that does not exist is an error."""
    notebooks = config.rootpath / "notebooks"
    for item in items:
        if notebooks in item.path.parents:
            item.add_marker(pytest.mark.reliability(NOTEBOOKS_ROW))
        for mark in item.iter_markers("reliability"):
            unknown = [row for row in mark.args if row not in ROWS]
            if unknown:
                raise pytest.UsageError(f"{item.nodeid}: the scoreboard has no row {', '.join(map(str, unknown))}")

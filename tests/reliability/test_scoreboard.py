"""The scoreboard itself: what it collects, and what it makes of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.reliability.rows import ROWS
from tests.reliability.table import BEGIN, END, markdown, put, scores

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.mark.reliability("R1", "R2")
def test_holds(): pass

@pytest.mark.reliability("R2")
def test_breaks(): assert 1 == 2

@pytest.mark.reliability("R3")
def test_breaks_on_the_way_out(request):
    request.addfinalizer(lambda: 1 / 0)

@pytest.mark.reliability("R4")
def test_is_skipped(): pytest.skip("not here")

@pytest.mark.reliability
def test_of_no_row(): pass
"""


@pytest.fixture
def outer(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, checkout: Path) -> pytest.Pytester:
    """An empty project that uses the plugin."""
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    pytester.makeini("[pytest]\nmarkers = reliability(*rows): rows")
    pytester.makeconftest('pytest_plugins = ["tests.reliability.scoreboard"]')
    return pytester


def test_it_writes_what_became_of_every_marked_test(outer: pytest.Pytester) -> None:
    outer.makepyfile(TESTS)
    outer.runpytest_subprocess("--scoreboard", "found.json", "-p", "no:cacheprovider")
    by_row, origin = scores([outer.path / "found.json"])
    assert {name: score.verdict for name, score in by_row.items() if name in ("R1", "R2", "R3", "R4", "R5")} == {
        "R1": "passed",
        "R2": "**1 failed**",
        "R3": "**1 failed**",
        "R4": "not run",
        "R5": "not run",
    }
    assert (by_row["R2"].passed, by_row["R2"].failed) == (1, 1)
    assert "commit" in origin
    names = [result["test"] for result in json.loads((outer.path / "found.json").read_text())["results"]]
    assert not [name for name in names if "of_no_row" in name]


def test_a_row_that_does_not_exist_is_an_error(outer: pytest.Pytester) -> None:
    outer.makepyfile('import pytest\n@pytest.mark.reliability("R99")\ndef test_x(): pass')
    ran = outer.runpytest_subprocess()
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines("*the scoreboard has no row R99*")


def test_the_table_goes_between_its_markers(tmp_path: Path) -> None:
    result = {"test": "t", "rows": ["R1"], "planted": True, "outcome": "passed", "seconds": 1.3}
    file = tmp_path / "found.json"
    file.write_text(json.dumps({"schema": 1, "date": "2026-01-02", "commit": "abc", "results": [result]}))
    table = markdown(*scores([file]))
    assert f"| R1 | {ROWS['R1'].fault} | {ROWS['R1'].expected} | 1, 1 | 1.3 | passed |" in table
    text = put(f"before\n{BEGIN}\nold\n{END}\nafter\n", table)
    assert text == f"before\n{BEGIN}\n\n{table}\n\n{END}\nafter\n"
    with pytest.raises(ValueError, match="scoreboard"):
        put("a page without markers", table)


def test_rows_are_told_in_one_line_each() -> None:
    for name, row in ROWS.items():
        assert not set("|\n") & set(row.fault + row.expected), name


def marked(folder: Path) -> set[str]:
    """Every row that a mark in the tests names."""
    marks = (
        re.findall(r"reliability\(([^)]*)\)", path.read_text(encoding="utf-8")) for path in folder.rglob("test_*.py")
    )
    return set(re.findall(r'"(R\d+)"', " ".join(mark for found in marks for mark in found)))


def test_every_row_has_a_test_and_a_line_on_the_page(checkout: Path) -> None:
    assert set(ROWS) <= marked(checkout / "tests"), "no test"
    table = (checkout / "docs" / "reliability.md").read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    for name, row in ROWS.items():
        assert f"| {name} | {row.fault} | {row.expected} |" in table, (
            "make the table anew: python -m tests.reliability.table"
        )
    assert "failed" not in table and "not run" not in table

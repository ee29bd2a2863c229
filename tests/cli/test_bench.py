"""`trpolab bench` without waiting for a benchmark."""

from __future__ import annotations

import re
import sys

import pytest

from trpolab.bench import Table, names
from trpolab.cli import bench, main


def test_it_prints_the_table_of_each_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(name: str, report) -> str:
        report(f"running {name}")
        return Table("what | measured", ["speed | 3.0"]).markdown(name, f"About {name}.")

    monkeypatch.setattr(bench, "run", run)
    first, second = names()[:2]
    assert main(["bench", first, second]) == 0
    shown = capsys.readouterr()
    assert shown.out.index(f"About {first}") < shown.out.index("| speed | 3.0") < shown.out.index(f"About {second}")
    assert shown.err.splitlines() == [f"running {first}", f"running {second}"]


def test_a_terminal_gets_the_table_laid_out(monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("what | measured", ["speed | 3.0"]).markdown("update", "About [b].\n\nread <b>this</b>")
    monkeypatch.setattr(bench, "run", lambda name, report: table)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["bench", "update"]) == 0
    out = capsys.readouterr().out
    assert all(text in out for text in ("About [b]", "speed", "3.0", "this")) and "|" not in out and "**" not in out


def test_unknown_names_are_told_before_anything_runs(monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench, "run", lambda *args: pytest.fail("ran"))
    assert main(["bench", "samplin", "nonsense"]) == 2
    told = capsys.readouterr().err
    assert "did you mean sampling" in told and "'nonsense'" in told and "cartpole" in told
    assert "problems" not in told


@pytest.mark.parametrize("words", [[], ["--list"]], ids=["nothing", "--list"])
def test_without_a_name_they_are_listed_with_a_title_and_a_time(words: list[str], monkeypatch, capsys) -> None:
    monkeypatch.setattr(bench, "run", lambda *args: pytest.fail("ran"))
    assert main(["bench", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(names())
    assert all(re.match(r"\S+ +\d+ (min|h)  [A-Za-z]", line) for line in lines)
    assert lines[names().index("cartpole")].endswith("  CartPole-v1 within 100,000 steps")


def test_all_of_them_are_run_when_asked_for(monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[str] = []
    monkeypatch.setattr(bench, "run", lambda name, report: ran.append(name) or "a table")
    assert main(["bench", "--all"]) == 0
    assert ran == list(names()) and capsys.readouterr().out.count("a table") == len(ran)

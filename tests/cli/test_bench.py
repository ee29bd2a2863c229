"""`trpolab bench` without waiting for a benchmark."""

from __future__ import annotations

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


def test_the_names_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--list"]) == 0
    assert capsys.readouterr().out.split() == list(names())

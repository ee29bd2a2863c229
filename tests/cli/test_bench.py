"""`trpolab bench` without waiting for a benchmark."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from trpolab.bench import Table, chart, names
from trpolab.bench import light as lights
from trpolab.cli import bench, main


def test_it_prints_the_table_of_each_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(name: str, report, out) -> str:
        assert out is None
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
    monkeypatch.setattr(bench, "run", lambda name, report, out: table)
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
    monkeypatch.setattr(bench, "run", lambda name, report, out: ran.append(name) or "a table")
    assert main(["bench", "--all"]) == 0
    assert ran == list(names()) and capsys.readouterr().out.count("a table") == len(ran)


def test_a_folder_gets_each_as_a_table_its_cells_and_a_chart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def light(report) -> Table:
        """Shares.

        A note.
        """
        return Table(
            "task | share | must reach | reached", ["Hopper-v5 | 93% | 85% | yes", "Swimmer-v5 | 74% | 85% | no"]
        )

    monkeypatch.setattr(lights, "light", light)
    assert main(["bench", "light", "--out", str(tmp_path / "new" / "one")]) == 0
    folder = tmp_path / "new" / "one"
    assert {file.name for file in folder.iterdir()} == {"light.md", "light.json", "light.svg", "light.png"}
    assert (folder / "light.md").read_text().splitlines()[0] == "**Shares** (`trpolab bench light`)"
    told = json.loads((folder / "light.json").read_text())
    assert told["head"][1] == "share" and told["rows"][1] == ["Swimmer-v5", "74%", "85%", "no"]
    drawn = "".join(ET.fromstring((folder / "light.svg").read_text()).itertext())
    assert all(text in drawn for text in ("Hopper-v5", "93%", "share; marked: must reach", "Shares"))
    (tmp_path / "file").touch()
    assert main(["bench", "light", "--out", str(tmp_path / "file")]) == 2
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "bars"),
    [
        (Table("samples | threads | ratio | at most | reached", ["2,048 | 1 | 2.2 | 3 | yes"]), [2.2]),
        (Table("task | what | all", ["a | x | IQM -3,400.5 [1, 2]", "b | | mean 7"]), [-3400.5, 7]),
        (Table("what | MiB | must reach", ["most | 1,024 | —", "x86 | — | 3"]), [1024, 0]),
        (Table("what | reached", ["most | yes"]), None),
    ],
)
def test_a_chart_shows_what_was_measured(
    table: Table, bars: list[float] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(chart, "save", lambda figure, path: figures.append(figure) or [])
    chart.draw_chart(table, "title", tmp_path / "x")
    assert bars is None or [bar.get_width() for bar in figures[0].axes[0].patches] == bars
    assert len(figures) == (bars is not None)


def test_a_table_that_cannot_be_written_is_printed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lights, "light", lambda report: Table("what | measured", ["speed | 3.0"]))
    monkeypatch.setattr(chart, "write_atomically", full)
    assert main(["bench", "light", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "| speed | 3.0" in shown.out and f"light: not written to {tmp_path}: No space left on device" in shown.err

"""`trpolab reproduce`: what it runs, what it writes and what it refuses; the runs themselves are stood in for."""

from __future__ import annotations

import io
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trpolab.cli import main
from trpolab.experiments import figure4
from trpolab.experiments import reproduce as home
from trpolab.experiments.figures import COLOURS, draw_curves, save
from trpolab.experiments.reproduce import reproduce
from trpolab.experiments.results import Curve, keep, read_curves
from trpolab.experiments.trial import TrialResult, TrialSpec, outcome_of
from trpolab.lab import style
from trpolab.settings import PlainError
from trpolab.training.session import Session

PNG = b"\x89PNG"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[TrialSpec]:
    """Trials of the stages; all of them came to the same small run."""
    small = {"steps_per_iteration": 256, "slots": 4, "hidden": (), "threads": 1, "iterations": 4}
    folder = Session("CartPole-v1", out=tmp_path / "runs", **small).run().path
    trials: list[TrialSpec] = []

    class Ran:
        def __init__(
            self, first: Sequence[TrialSpec], out: Path, jobs: Any, stream: Any, expected: Sequence[TrialSpec],
            then: Callable[[list[TrialResult]], Sequence[TrialSpec]], executor: str, kept: Sequence[Curve],
        ):  # fmt: skip
            self.first, self.then = first, then
            out.mkdir()

        def run(self) -> list[TrialResult]:
            swept = [TrialResult(one, folder, "finished", "", float(k), 9.0) for k, one in enumerate(self.first)]
            others = [TrialResult(one, folder, "finished", "", 100.0 + one.seed, 9.0) for one in self.then(swept)]
            trials.extend(one.trial for one in (*swept, *others))
            return [*swept, *others]

    monkeypatch.setattr(home, "Grid", Ran)
    return trials


def test_it_writes_the_figure_the_data_and_the_claims(ran: list[TrialSpec], tmp_path: Path) -> None:
    stream = io.StringIO()
    found = reproduce("figure4", "small", seeds=5, out=tmp_path / "out", stream=stream)
    assert "Figure 4, scale small: 5 seeds" in stream.getvalue()
    assert {path.name for path in found.files} == {
        *("figure4.svg", "figure4.png", "trials.csv", "curves.csv", "figure4-small.json"),
    }
    svg = ET.fromstring((tmp_path / "out" / "figure4.svg").read_text())
    told = "".join(svg.itertext())
    assert all(text in told for text in (*figure4.TASKS, *figure4.NAMES.values(), "simulator steps"))
    assert (tmp_path / "out" / "figure4.png").read_bytes().startswith(PNG)
    curves = read_curves(tmp_path / "out" / "figure4-small.json")
    assert len(curves) == len(ran) == 12 + 5 * 29 and len((tmp_path / "out" / "trials.csv").read_text().split()) > 100
    scores, judged = found.tables
    assert "| paper/Hopper   | vine " in scores and "mean 102 [100, 104]" in scores
    assert judged.splitlines()[0].startswith("| the paper says") and "single path and vine solve it" in judged


def test_on_another_machine_the_file_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small = {"steps_per_iteration": 256, "slots": 4, "hidden": (8,), "iterations": 3}

    def trials(scale: str, seeds: int) -> tuple[list[TrialSpec], list[TrialSpec]]:
        swept = [TrialSpec("CartPole-v1", f"d{d}", 9, {**small, "delta": d}, 2) for d in (0.01, 0.1)]
        return swept, [TrialSpec("CartPole-v1", "trpo", seed, small, 2) for seed in range(seeds)]

    about = SimpleNamespace(
        SCALES=("small",), SEEDS=1, NAMES={"trpo": "x"}, trials_of=trials, scaled=lambda scale, seeds: [],
        chosen=lambda others, scale, swept: [*(one.trial for one in swept), *others], tables=lambda curves: [],
    )  # fmt: skip
    monkeypatch.setitem(home.EXPERIMENTS, "figure4", about)
    reproduce("figure4", seeds=1, jobs=2, out=tmp_path / "a")
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a" / "figure4-small.json", tmp_path / "b")
    stream = io.StringIO()
    there = reproduce("figure4", seeds=2, jobs=2, out=tmp_path / "b", stream=stream)
    here = reproduce("figure4", seeds=2, jobs=2, out=tmp_path / "a")
    assert there.tables == here.tables and "| trpo  | 2     |" in there.tables[0]
    assert len(list((tmp_path / "b").glob("CartPole*"))) == 1 and "3 of them are not in" in stream.getvalue()
    assert [one.final for one in read_curves(tmp_path / "b" / "figure4-small.json")] == [
        one.final for one in read_curves(tmp_path / "a" / "figure4-small.json")
    ]


def test_an_interrupt_keeps_the_curves_of_what_is_finished(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those that an earlier file had stay, also where nothing of them was asked for yet."""
    small = {"steps_per_iteration": 256, "slots": 4, "hidden": (8,), "iterations": 2}
    first, second, later = [TrialSpec("CartPole-v1", "trpo", seed, small, 2) for seed in range(3)]
    about = SimpleNamespace(
        SCALES=("small",), SEEDS=1, NAMES={"trpo": "x"}, trials_of=lambda scale, seeds: ([first, second], [later]),
        chosen=lambda *_: [first, second, later], scaled=lambda *_: [], tables=lambda curves: [],
    )  # fmt: skip
    monkeypatch.setitem(home.EXPERIMENTS, "figure4", about)
    file = tmp_path / "figure4-small.json"
    earlier = Curve(
        later.task, later.label, later.seed, (1,), (0.5,), (2.0,), 3.0, 4.0, 5, {**small, "hidden": [8]}, (1,)
    )
    keep(file, "made elsewhere", "there", [earlier])
    collect = home.Grid._collect

    def stop(grid: Any, name: str, *others: Any) -> None:
        collect(grid, name, *others)
        raise KeyboardInterrupt

    monkeypatch.setattr(home.Grid, "_collect", stop)
    with pytest.raises(KeyboardInterrupt):
        reproduce("figure4", jobs=1, out=tmp_path)
    there = {one.asked: one for one in read_curves(file)}
    assert set(there) == {first.asked, later.asked} and there[later.asked] == earlier
    assert there[first.asked].final == round(outcome_of(first, tmp_path).score, 2)


def test_a_kept_file_that_holds_something_else_is_refused_and_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figure4-small.json"
    file.write_text("{}")
    assert main(["reproduce", "figure4", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"{file} does not hold learning curves" in said and said.count("\n") == 1
    assert file.read_text() == "{}" and list(tmp_path.iterdir()) == [file]


def test_the_same_curves_give_the_same_figure(tmp_path: Path) -> None:
    curves = [Curve("a", "trpo", seed, (1, 2), (0.1, 0.2), (0.0, float(seed)), 1.0, 1.0, 1, {}) for seed in range(5)]
    crashed = Curve("a", "trpo", 9, (1, 2), (0.1, 0.2), (0.0, 900.0), float("nan"), 1.0, 1, {})
    names = {"trpo": "single path"}
    files = [save(draw_curves([*curves, *more], "steps", names), tmp_path / name / "x")
             for name, more in (("a", []), ("b", [crashed])) if (tmp_path / name).mkdir() is None]  # fmt: skip
    assert files[0][0].read_bytes() == files[1][0].read_bytes()


def test_the_colours_are_the_labs() -> None:
    labs = (style.BLUE, style.VERMILION, style.GREEN, style.PURPLE, style.ORANGE, style.SKY, style.GREY)
    assert COLOURS[:7] == labs


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "figure9"}, r"name = 'figure9': must be one of figure4, table1; did you mean figure4"),
        ({"name": "figure4", "scale": "smal"}, r"scale = 'smal': must be one of small, medium, paper; did you mean sm"),
        ({"name": "figure4", "seeds": 0}, "seeds = 0"),
        ({"name": "table1", "scale": "medium"}, "scale = 'medium': table1 has small and paper"),
    ],
)
def test_bad_input_is_a_sentence(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(PlainError, match=said):
        reproduce(**given, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_terminal_prints_tables_and_files(
    ran: list[TrialSpec], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", "figure4", "--seeds", "1", "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "| the paper says" in shown and shown.endswith(f"{tmp_path / 'out' / 'figure4-small.json'}\n")
    assert main(["reproduce", "nothing", "--scale", "x"]) == 2
    assert "2 problems" in capsys.readouterr().err

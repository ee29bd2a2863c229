"""Runs laid over each other: curves, scores, the settings that differ, and the family of a rewound run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("plotly", reason='needs the lab: pip install "trpolab[lab]"')

import IPython.display
import numpy as np

import trpolab
from tests.lab.test_hostile_text import bad_tags
from tests.reliability.runs import session
from trpolab.runs.browser import Runs
from trpolab.runs.reader import RunFolderError
from trpolab.settings import PlainError
from trpolab.training.session import Session

EVIL = "<img src=x onerror=alert(1)>$\\frac"


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> list[Session]:
    """A run, one rewound from it with another δ, and a run in memory with another seed."""
    out = tmp_path_factory.mktemp("runs")
    first = session(out=out, iterations=5, checkpoint_every=2, label=EVIL).run()
    back = Session(resume=first.path, at=2, out=out, delta=0.05, iterations=4).run()
    return [first, back, session(iterations=3, seed=7).run()]


def test_whatever_stands_for_a_run_is_taken(family: list[Session]) -> None:
    first, back, third = family
    assert first.path is not None
    table = trpolab.compare([str(first.path), back, third]).table
    again = trpolab.compare([*Runs(first.path.parent), third]).table
    assert [row | {"run": ""} for row in table] == [row | {"run": ""} for row in again]
    labels = [row["run"] for row in trpolab.compare({"a": first.path, "b": third}).table]
    assert labels == ["a", "b"]
    assert [row["run"] for row in trpolab.compare([third, third, third]).table] == [
        *("CartPole-v1 in memory", "CartPole-v1 in memory (2)", "CartPole-v1 in memory (3)"),
    ]


def test_the_table_has_the_scores_the_family_and_what_differs(family: list[Session]) -> None:
    first, back, third = family
    rows = trpolab.compare([first.path, back.path, third]).table
    scores = [f"{run.progress.score:,.1f}" for run in family]
    assert [row["mean of the last 100 episodes"] for row in rows] == scores
    assert [row["goes back to"] for row in rows] == ["-", f"{EVIL}, iteration 2", "-"]
    assert [row["seed"] for row in rows] == ["0", "0", "7"]
    delta = f"{first.config.get('delta'):g}"
    assert [row["δ"] for row in rows] == [delta, f"{delta} → 0.05", delta]
    assert set(rows[0]) == {
        *("run", "task", "mean of the last 100 episodes", "iterations", "simulator steps", "goes back to", "seed", "δ"),
    }


@pytest.mark.parametrize("by", ["steps", "iterations", "time"])
def test_the_curves_are_those_of_the_runs(family: list[Session], by: str) -> None:
    first, back, third = family
    figure = trpolab.compare([first.path, back.path, third], by=by).figure
    kl = list(figure.data[1::2])
    rows = list(first.history)
    along = {"steps": [row["sim_steps"] for row in rows], "iterations": [row["iteration"] for row in rows]}
    along["time"] = np.cumsum([row["seconds_total"] for row in rows]).tolist()
    assert list(kl[0].x) == along[by] and list(kl[0].y) == [row["kl_mean"] for row in rows]
    assert list(kl[1].y) == [row["kl_mean"] for row in back.history[1:]], "what it has in common is drawn once"
    buttons = figure.layout.updatemenus[0].buttons
    assert [list(x) for x in buttons[figure.layout.updatemenus[0].active].args[0]["x"]][1] == along[by]


def test_it_shows_a_figure_with_a_picture_for_the_file_and_all_is_text(
    family: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: shown.append(bundle))
    trpolab.compare(family)._ipython_display_()
    table, figure = shown
    assert bad_tags(table["text/html"]) == [] and "alert(1)" in table["text/html"]
    assert figure["image/png"].startswith("iVBOR") and len(json.dumps(figure)) < 300_000
    assert "<img" not in json.dumps(figure["application/vnd.plotly.v1+json"])


def test_different_tasks_are_compared_with_a_warning(family: list[Session]) -> None:
    other = Session("finite/chain-8", out=None, iterations=1)
    found = trpolab.compare([family[0], other])
    said = "these are runs of different tasks (CartPole-v1, finite/chain-8): their returns can't be compared"
    assert said == found.warning and said in repr(found) and "their returns" in found._repr_html_()
    assert trpolab.compare(family).warning == ""
    assert found.png().startswith(b"\x89PNG"), "a run without an iteration is an empty curve"


def test_what_is_no_run_is_told_in_a_sentence(tmp_path: Path, family: list[Session]) -> None:
    with pytest.raises(RunFolderError, match="is not a run folder"):
        trpolab.compare([family[0], tmp_path])
    with pytest.raises(RunFolderError, match="is not a folder"):
        trpolab.compare("nowhere")
    with pytest.raises(PlainError, match=r"runs: int 3; must be run folders, runs of trpolab.runs\(\), sessions or"):
        trpolab.compare([3])
    with pytest.raises(PlainError, match="runs: there are none to compare"):
        trpolab.compare([])
    with pytest.raises(PlainError, match="by = 'age': must be one of steps, iterations, time"):
        trpolab.compare(family, by="age")


def test_a_run_that_is_being_written_is_compared_as_far_as_it_is(family: list[Session], tmp_path: Path) -> None:
    assert family[0].path is not None
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("run.json", "metrics.jsonl"):
        (folder / name).write_bytes((family[0].path / name).read_bytes())
    whole = (folder / "metrics.jsonl").read_bytes()
    (folder / "metrics.jsonl").write_bytes(whole[:-40])
    assert trpolab.compare([folder]).table[0]["iterations"] == "4"

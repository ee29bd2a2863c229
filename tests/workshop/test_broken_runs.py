"""The broken runs: each shows its own fault, tells it nowhere, and can be made anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trpolab.runs.reader import read_metrics, read_run
from trpolab.workshop.broken_runs import KEPT, PLANTED, make_runs
from trpolab.workshop.exercises.e10_broken_runs import CAUSES, RUNS, TELLING, TRUE


def rows_of(name: str) -> list[dict[str, Any]]:
    return list(read_metrics(RUNS / name))


def test_every_run_is_kept_and_small() -> None:
    assert {path.name for path in RUNS.iterdir()} == set(PLANTED)
    assert set(TRUE) == set(TELLING) == set(PLANTED) - {"sound"}
    for name in PLANTED:
        assert {file.name for file in (RUNS / name).iterdir()} == {*KEPT, "run.json"}
        assert sum(file.stat().st_size for file in (RUNS / name).iterdir()) < 60_000


@pytest.mark.parametrize("name", TRUE)
def test_a_run_shows_the_mark_of_its_cause(name: str) -> None:
    cause = CAUSES[TRUE[name]]
    assert cause.shows(cause.measure(rows_of(name)))
    assert not cause.shows(cause.measure(rows_of("sound")))


def test_the_sound_run_shows_no_mark_and_learns() -> None:
    rows = rows_of("sound")
    assert [number for number, cause in CAUSES.items() if cause.shows(cause.measure(rows))] == []
    assert max(row["return_mean"] or 0 for row in rows) > 450


def test_no_setting_tells_the_fault() -> None:
    settings = [read_run(RUNS / name)["settings"] for name in PLANTED]
    assert all(one == settings[0] for one in settings)
    told = "".join(file.read_text(encoding="utf-8") for file in RUNS.rglob("*.json*"))
    planted = {function.__name__ for functions in PLANTED.values() for function in functions.values()}
    assert [word for word in planted if word in told] == []


def test_a_run_is_made_anew(tmp_path: Path) -> None:
    (made,) = make_runs(tmp_path, ["B"])
    assert [row["outcome"] for row in read_metrics(made)] == [row["outcome"] for row in rows_of("B")]
    assert json.loads((made / "run.json").read_text(encoding="utf-8"))["id"] == "B"

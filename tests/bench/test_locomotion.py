"""The runs of swimmer, hopper and walker: all are kept, and each can be run again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from trpolab.bench import grids, locomotion
from trpolab.bench.locomotion import DEFAULT, HALF, WAYS, trials
from trpolab.experiments.grid import planned
from trpolab.experiments.results import read_curves
from trpolab.experiments.trial import TrialResult
from trpolab.policies import read_policy
from trpolab.runs.reader import read_run
from trpolab.simulators import find_task
from trpolab.training.config import resolve

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"


def test_the_kept_file_holds_every_trial_once_within_its_steps() -> None:
    asked = {(trial.task, trial.label, trial.seed): trial for trial in trials()}
    curves = read_curves("locomotion")
    assert sorted((curve.task, curve.method, curve.seed) for curve in curves) == sorted(asked)
    for curve in curves:
        trial = asked[curve.task, curve.method, curve.seed]
        given = {name: value for name, value in trial.settings.items() if name != "steps"}
        assert 0.85 * trial.settings["steps"] < curve.steps[-1] <= trial.settings["steps"] + 40_000
        assert curve.given == ({} if trial.label in (DEFAULT, HALF, *WAYS) else given)


def test_every_trial_can_be_started_and_turns_one_knob() -> None:
    for plan in planned(list(trials())):
        trial, about = plan.trial, find_task(plan.trial.task)
        if trial.label not in WAYS:
            config, usual = plan.config.settings(), resolve(about, overrides={"steps": 1_000_000}).settings()
            turned = {name for name, value in usual.items() if config[name] != value} - {"seed", "threads", "steps"}
            assert turned == set(trial.settings) - {"steps"}


def test_its_table_and_its_file_are_made_of_the_trials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = [TrialResult(trial, tmp_path / "x", "finished", "", 100.0 * trial.seed, 5.0) for trial in trials()]
    monkeypatch.setattr(grids, "Grid", lambda *_, **__: SimpleNamespace(run=lambda: found))
    table = locomotion.locomotion(lambda line: None, tmp_path / "out")
    assert "Hopper-v5 | default | 1,000,000 | 0, 100, 200, 300, 400 | 200" in table.rows
    assert len(read_curves(tmp_path / "out" / "locomotion.json")) == len(found)


@pytest.mark.parametrize("body", ["swimmer", "hopper", "walker"])
def test_the_kept_policies_of_a_gait_are_of_its_run(body: str) -> None:
    folder = NOTEBOOKS / "policies" / "gaits" / body
    task = read_run(folder)["task"]
    for file in sorted((folder / "policies").iterdir()):
        _, about = read_policy(file)
        assert (about["task"], about["iteration"]) == (task, int(file.stem))

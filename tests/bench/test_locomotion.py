"""The runs of swimmer, hopper and walker: all are kept, and what is kept is not run again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from trpolab.bench import locomotion
from trpolab.bench.curves import Store, read_curves
from trpolab.bench.locomotion import DEFAULT, HALF, WAYS, Turned, run, trials
from trpolab.policies import read_policy
from trpolab.runs.reader import read_run
from trpolab.simulators import find_task
from trpolab.training.config import resolve

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"
FILE = NOTEBOOKS / "results" / "locomotion.json"


def test_the_kept_file_holds_every_trial_once_within_its_steps() -> None:
    budgets = {(trial.task, trial.name, trial.seed): trial for trial in trials()}
    curves = read_curves(FILE)
    assert sorted((curve.task, curve.method, curve.seed) for curve in curves) == sorted(budgets)
    for curve in curves:
        trial = budgets[curve.task, curve.method, curve.seed]
        assert 0.85 * trial.steps < curve.steps[-1] <= trial.steps + 40_000
        assert curve.given == ({} if trial.name in (DEFAULT, HALF, *WAYS) else trial.settings)


def test_what_the_file_holds_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(FILE, tmp_path / "runs.json")
    monkeypatch.setattr(locomotion, "run", None)
    table = locomotion.locomotion(print, tmp_path / "runs.json")
    assert "Hopper-v5 | default | 1,000,000 | 3,549, 3,380, 1,897, 3,264, 3,521 | 3,122" in table.rows


def test_every_trial_can_be_started_and_turns_one_knob() -> None:
    for trial in trials():
        about = find_task(trial.task)
        config = resolve(about, overrides=trial.settings).settings()
        if trial.name not in WAYS:
            assert [name for name, value in resolve(about).settings().items() if config[name] != value] == [
                *trial.settings
            ]


def test_a_trial_is_a_run(tmp_path: Path) -> None:
    curve, session = run(Turned("CartPole-v1", "delta = 0.01", 3, 3000, {"delta": 0.01}), lambda line: None, tmp_path)
    store = Store(tmp_path / "runs.json", "trpolab bench locomotion")
    assert store.add(curve).given == {"delta": 0.01} and curve.seed == 3
    assert session.path is not None and read_run(session.path)["settings"]["delta"] == 0.01


@pytest.mark.parametrize("body", ["swimmer", "hopper", "walker"])
def test_the_kept_policies_of_a_gait_are_of_its_run(body: str) -> None:
    folder = NOTEBOOKS / "policies" / "gaits" / body
    task = read_run(folder)["task"]
    for file in sorted((folder / "policies").iterdir()):
        _, about = read_policy(file)
        assert (about["task"], about["iteration"]) == (task, int(file.stem))

"""The runs of the vine's options: all are kept, each can be run again, and each turns one option on."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from trpolab.bench import grids
from trpolab.bench.vine_options import GAE, STUDIES, trials, vine_options
from trpolab.experiments.grid import planned
from trpolab.experiments.results import Curve, read_curves
from trpolab.experiments.trial import TrialResult, TrialSpec


def test_the_kept_file_holds_every_trial_once_within_its_steps() -> None:
    asked = {trial.asked: trial for trial in trials()}
    curves = read_curves("vine-options")
    assert sorted(curve.asked for curve in curves) == sorted(asked)
    for curve in curves:
        steps = asked[curve.asked].settings["steps"]
        assert 0.85 * steps < curve.steps[-1] <= 1.05 * steps


def test_every_trial_can_be_started_and_an_option_differs_from_the_row_above() -> None:
    configs = {(plan.trial.task, plan.trial.label): plan.config.settings() for plan in planned(trials())}
    for task, (_, studies) in STUDIES.items():
        vines = [configs[task, label] for label in studies if label != GAE]
        for above, below in pairwise(vines):
            turned = {name for name in above if above[name] != below[name]}
            assert turned <= {
                "vine.tail_value",
                "vine.learn_from",
                "vine.antithetic",
                "vine.trunk_length",
                "vine.states",
                "vine.choose",
                "vine.adaptive_length",
            }
            assert len(turned) == (2 if "vine.states" in turned else 1)


def test_its_table_is_made_of_the_trials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ran(trial: TrialSpec) -> TrialResult:
        score = 100.0 + trial.seed if trial.label == GAE else 51.0
        curve = Curve(trial.task, trial.label, trial.seed, (1,), (1.0,), (1.0,), score, 5.0, 1, dict(trial.settings))
        return TrialResult(trial, tmp_path / "x", "finished", kept=curve)

    monkeypatch.setattr(grids, "Grid", lambda trials, *_, **__: SimpleNamespace(run=lambda: [*map(ran, trials)]))
    table = vine_options(lambda line: None, tmp_path)
    assert table.rows[0].startswith(f"paper/Hopper | {GAE} | 500,000 | 100, 101, 102, 103, 104 | mean 102 [100, 104] |")
    assert [row.split(" | ")[-1] for row in table.rows] == ["100%", *["50%"] * 8, "100%", *["50%"] * 5]
    assert len(read_curves(tmp_path / "vine-options.json")) == 75

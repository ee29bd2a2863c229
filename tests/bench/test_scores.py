"""The scores of the modern preset: each kept run is of a trial, and what is shipped is what those runs learned."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import trpolab
from tests import score_cards
from trpolab.bench import grids, scores
from trpolab.experiments.results import Curve, kept_results, read_curves
from trpolab.experiments.trial import TrialResult, TrialSpec
from trpolab.policies import read_policy, save_policy
from trpolab.simulators import find_task
from trpolab.training.config import resolve

DOCS = Path(__file__).parents[2] / "docs"


def test_the_kept_file_holds_the_first_seeds_of_each_task_within_their_steps() -> None:
    curves = read_curves("scores")
    found = {task: sorted(one.seed for one in curves if one.task == task) for task in scores.MUST_REACH}
    assert all(seeds == list(range(len(seeds))) and seeds for seeds in found.values())
    assert sum(map(len, found.values())) == len(curves)
    asked = {trial.asked for trial in scores.trials()}
    for curve in curves:
        assert curve.asked in asked and np.isfinite(curve.final)
        assert 0.85 * 1_000_000 < curve.steps[-1] <= 1_000_000 + 20_000


def test_its_table_and_its_file_are_made_of_the_trials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ran(trial: TrialSpec) -> TrialResult:
        score = (scores.MUST_REACH[trial.task] or 0) + trial.seed - (5 if trial.task == "Ant-v5" else 4)
        curve = Curve(trial.task, "default", trial.seed, (1,), (60.0,), (1.0,), score, 5.0, 1, dict(trial.settings))
        return TrialResult(trial, tmp_path / "x", "finished", kept=curve)

    found = [ran(trial) for trial in scores.trials()]
    monkeypatch.setattr(grids, "Grid", lambda *_, **__: SimpleNamespace(run=lambda: found))
    table = scores.scores(lambda line: None, tmp_path)
    assert table.summary == "10 seeds" and len(table.rows) == 11
    assert table.rows[0].startswith("Hopper-v5 | — | 3,396, 3,397") and table.rows[0].endswith("| 3,400 | yes | 1.0")
    assert "IQM 3,400 [3,39" in table.rows[0]  # the middle half of -4 … 5 has the mean 0.5
    assert "gamma = 0.9999, lam = 0.98, policy.log_std = 0.0" in table.rows[3]
    assert table.rows[6].endswith("| — | — | 1.0")
    assert "| 2,867 | no |" in table.rows[9]
    assert len(read_curves(tmp_path / "scores.json")) == 110


@pytest.mark.parametrize("task", score_cards.SHIPPED)
def test_a_shipped_policy_is_of_its_task_and_as_good_as_its_run_was(task: str) -> None:
    policy, about = read_policy(kept_results() / "policies" / f"{task}.safetensors")
    assert about["task"] == task
    best = max(one.final for one in read_curves("scores") if one.task == task)
    assert trpolab.evaluate(policy, task, episodes=2, seed=0, deterministic=True).mean > 0.8 * best


def test_each_task_has_its_card_and_each_own_setting_is_told() -> None:
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    curves = read_curves("scores")
    for task in scores.MUST_REACH:
        mine = [one for one in curves if one.task == task]
        assert score_cards.text(task, mine, max(mine, key=lambda one: one.final)) in page
        assert (DOCS / "scores" / f"{task}.png").exists()


def test_a_card_shows_the_runs_and_the_policy(tmp_path: Path) -> None:
    policy = trpolab.train("CartPole-v1", iterations=1, out=None, steps_per_iteration=64, progress=False).policy
    save_policy(tmp_path / "p.safetensors", policy, {})
    curves = [Curve("CartPole-v1", "default", seed, (1, 9), (1.0, 2.0), (5.0, 9.0), 9.0, 9.0, 1, {}) for seed in (0, 1)]
    score_cards.draw(curves, tmp_path / "p.safetensors", "CartPole-v1", tmp_path / "card.png")
    assert (tmp_path / "card.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("task", scores.MUST_REACH)
def test_the_runs_of_all_tasks_differ_in_nothing_but_what_the_table_tells(task: str) -> None:
    plain, own = (resolve(find_task(name), overrides=scores.given(name)).settings() for name in ("Hopper-v5", task))
    differ = {name: own[name] for name in plain if plain[name] != own[name] and not name.startswith("vine.")}
    assert {name: value for name, value in differ.items() if name not in ("task", "proposal")} == scores.own_settings(
        task
    )

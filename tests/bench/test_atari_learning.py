"""The kept Atari runs: trained once, taken up where they stopped, and repeatable by the command that is shown."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("ale_py", reason='needs ale-py: pip install "trpolab[atari]"')

from trpolab.bench import atari_learning
from trpolab.bench.atari_learning import Run, command
from trpolab.bench.atari_learning import atari_learning as learning
from trpolab.bench.curves import read_curves
from trpolab.policies import Policy
from trpolab.runs.reader import read_metrics
from trpolab.sampling.evaluate import Evaluation
from trpolab.settings import parse_value
from trpolab.simulators import find_task
from trpolab.training.config import resolve

TINY = {"steps_per_iteration": 150, "path.horizon": 150, "advantage": "centred", "slots": 2, "threads": 1}


def tiny(iterations: int, task: str = "CartPole-v1", **settings: Any) -> Run:
    """Where no whole game is played, a pole stands for it: workers and emulators take seconds to start."""
    return Run(task, "single path", 3, iterations, {**TINY, **settings}, above=-22.0, hours=1.0)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Policy]:
    """The policies that were judged, each by a made-up game: a whole game takes seconds."""
    policies: list[Policy] = []

    def judge(policy: Policy, task: Any, episodes: int, seed: int, **named: Any) -> Evaluation:
        policies.append(policy)
        return Evaluation(-20.5, 0.0, np.full(episodes, -20.5), np.full(episodes, 800))

    monkeypatch.setattr(atari_learning, "play_episodes", judge)
    return policies


def test_a_run_is_kept_with_its_curve_and_not_trained_again(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(atari_learning, "EPISODES", 1)
    monkeypatch.setattr(atari_learning, "RUNS", (tiny(2, "ALE/Pong-v5"),))
    file, told = tmp_path / "atari.json", []
    table = learning(told.append, file, tmp_path / "runs")
    (curve,) = read_curves(file)
    (folder,) = (tmp_path / "runs" / "Pong-v5-single-path-3").iterdir()
    rows = list(read_metrics(folder))
    assert [row["sim_steps"] for row in rows if row["episodes"]] == list(curve.steps)
    assert np.allclose(np.cumsum([row["seconds_total"] for row in rows])[-1], curve.seconds[-1], atol=0.1)
    assert -21 <= curve.final <= 21 and curve.length > 700, "a whole game"
    assert table.rows[0].endswith("| yes") and len(told) == 2

    monkeypatch.setattr(atari_learning, "Session", None)  # would fail if it were needed
    assert learning(told.append, file, tmp_path / "runs").rows == table.rows


def test_a_run_that_was_cut_short_goes_on_in_its_folder(judged, monkeypatch, tmp_path: Path) -> None:
    for iterations in (1, 2):
        monkeypatch.setattr(atari_learning, "RUNS", (tiny(iterations),))
        learning(lambda line: None, tmp_path / f"{iterations}.json", tmp_path / "runs")
    (folder,) = (tmp_path / "runs" / "CartPole-v1-single-path-3").iterdir()
    assert [row["iteration"] for row in read_metrics(folder)] == [1, 2]


def test_a_finished_run_that_was_never_judged_is_judged_without_training(judged, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(atari_learning, "RUNS", (tiny(1),))
    first, told = learning(lambda line: None, tmp_path / "1.json", tmp_path / "runs"), []
    assert learning(told.append, tmp_path / "2.json", tmp_path / "runs").rows == first.rows
    assert told == [] and torch.equal(judged[0].theta, judged[1].theta)


def test_other_settings_are_another_run(judged, monkeypatch, tmp_path: Path) -> None:
    """Neither the file's curve nor the folder's run may stand for settings that they never had."""
    monkeypatch.setattr(atari_learning, "RUNS", (tiny(1),))
    learning(lambda line: None, tmp_path / "atari.json", tmp_path / "runs")
    monkeypatch.setattr(atari_learning, "RUNS", (tiny(1, gamma=0.9),))
    learning(lambda line: None, tmp_path / "atari.json", tmp_path / "runs")
    (curve,) = read_curves(tmp_path / "atari.json")
    assert curve.given["gamma"] == 0.9
    assert len(list((tmp_path / "runs" / "CartPole-v1-single-path-3").iterdir())) == 2


def test_what_must_be_reached_is_judged_by_the_last_iterations(judged, monkeypatch, tmp_path: Path) -> None:
    """The same two iterations of an untrained player against what none can reach, and no time at all."""
    for above, hours, verdict in ((501.0, 1.0, "no"), (0.0, 0.0, "no"), (0.0, None, "yes")):
        run = Run("CartPole-v1", "single path", 3, 2, TINY, above=above, hours=hours)
        monkeypatch.setattr(atari_learning, "RUNS", (run,))
        assert learning(lambda line: None, tmp_path / "atari.json", tmp_path / "runs").rows[0].endswith(f"| {verdict}")


@pytest.mark.parametrize("run", atari_learning.RUNS, ids=lambda run: f"{run.task} {run.sampler}")
def test_the_command_shown_sets_just_what_the_run_sets(run: Run) -> None:
    curve = atari_learning.Curve(run.task, run.sampler, run.seed, (1,), (1.0,), (0.0,), 0.0, 1.0, 33_500, run.given)
    program, verb, task, *words = shlex.split(command(curve))
    assert (program, verb, task) == ("trpolab", "train", run.task) and words[::2] == ["--set"] * (len(words) // 2)
    given = {name: parse_value(text) for name, text in (pair.split("=") for pair in words[1::2])}
    about = find_task(run.task)
    assert resolve(about, overrides=given) == resolve(about, overrides={**run.given, "seed": run.seed})
    assert run.settings.get("sampler", "single-path").replace("-", " ") == run.sampler

"""The Atari runs: what each must reach, and that the command that is shown repeats it."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("ale_py", reason='needs ale-py: pip install "trpolab[atari]"')

from trpolab.bench import atari_learning
from trpolab.bench.atari_learning import Demand
from trpolab.experiments.grid import planned
from trpolab.experiments.results import Curve, read_curves
from trpolab.experiments.trial import TrialResult
from trpolab.settings import parse_value
from trpolab.simulators import find_task
from trpolab.training.config import resolve
from trpolab.training.session import Session

TINY = {"steps_per_iteration": 150, "slots": 2, "threads": 1, "hidden": (8,), "iterations": 2}


def test_the_runs_can_be_started_and_are_those_that_are_kept() -> None:
    plans = planned([run.trial for run in atari_learning.RUNS])
    kept = {(curve.task, curve.method, curve.seed): curve.given for curve in read_curves("atari")}
    for plan in plans:
        given = {name: value for name, value in plan.trial.settings.items() if name != "threads"}
        assert kept[plan.trial.task, plan.trial.label, plan.trial.seed] == given


def test_what_must_be_reached_is_judged_by_the_last_iterations(monkeypatch, tmp_path: Path) -> None:
    """The same two iterations of an untrained player against what none can reach, and no time at all."""
    folder = Session("CartPole-v1", out=tmp_path, **TINY).run().path
    trial = dataclasses.replace(atari_learning.RUNS[0].trial, task="CartPole-v1", settings=TINY)
    found = TrialResult(trial, folder, "finished", "", 20.0, 20.0)
    for one, above, hours, verdict in (
        (found, 501.0, 1.0, "no"),
        (found, 0.0, 0.0, "no"),
        (found, 0.0, None, "yes"),
        (TrialResult(trial, tmp_path / "nothing", "crashed"), 0.0, None, "no"),
    ):
        monkeypatch.setattr(atari_learning, "RUNS", (Demand(trial, above, hours),))
        monkeypatch.setattr(atari_learning, "Grid", lambda *_, one=one: SimpleNamespace(run=lambda: [one]))
        (row,) = atari_learning.atari_learning(lambda line: None, tmp_path / "out").rows
        assert row.endswith(f"| {verdict}") and row.count("|") == 10
    assert read_curves(tmp_path / "out" / "atari.json")[0].method == "single path"


@pytest.mark.parametrize("curve", read_curves("atari"), ids=lambda curve: f"{curve.task} {curve.method} {curve.seed}")
def test_the_command_shown_sets_just_what_the_run_sets(curve: Curve) -> None:
    program, verb, task, *words = shlex.split(curve.command)
    assert (program, verb, task) == ("trpolab", "train", curve.task) and words[::2] == ["--set"] * (len(words) // 2)
    given = {name: parse_value(text) for name, text in (pair.split("=") for pair in words[1::2])}
    about = find_task(curve.task)
    assert resolve(about, overrides=given) == resolve(about, overrides={**curve.given, "seed": curve.seed})
    assert curve.given.get("sampler", "single-path").replace("-", " ") == curve.method

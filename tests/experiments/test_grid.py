"""Grids of runs: killed, doubled, crashed and started again, they end with the scores that single runs have."""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trpolab.experiments import grid as grids
from trpolab.experiments.grid import Grid, planned
from trpolab.experiments.results import Curve, keep, read_curves, table_of, write_csv
from trpolab.experiments.trial import SCORE, TrialResult, TrialSpec, outcome_of
from trpolab.runs.reader import read_events, read_status
from trpolab.sampling.evaluate import play_episodes
from trpolab.settings import ConfigError, PlainError
from trpolab.training.session import Session
from trpolab.updates import METHODS

SMALL = {"steps_per_iteration": 256, "slots": 4, "hidden": (8,), "value.hidden": (8,)}
SLOW = {**SMALL, "method": "trpo", "iterations": 12, "seconds_per_iteration": 0.2}
TRIALS = [TrialSpec("CartPole-v1", "trpo", seed, SLOW, 3) for seed in (0, 1)]
COMMAND = [
    *("-m", "trpolab", "sweep", "CartPole-v1", "--method", "trpo", "--iterations", "12"),
    *("--seeds", "2", "--episodes", "3", "--jobs", "1"),
]
COMMAND += [word for name, value in SLOW.items() if name not in ("method", "iterations")
            for word in ("--set", f"{name}={list(value) if isinstance(value, tuple) else value}")]  # fmt: skip
BROKEN = """
import torch, trpolab
from trpolab.updates.gradient_step import pose, take

def broken(learner, batch, settings, context):
    raise ZeroDivisionError("not today")

def lost(learner, batch, settings, context):
    problem = pose(learner, batch, context)
    return take(learner, problem, problem.theta * torch.nan, context)

for step in (broken, lost):
    trpolab.register(trpolab.MethodKind(name=step.__name__, label=step.__name__, doc="", step=step))
"""


def until(true: Callable[[], Any], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid whose command was killed in the middle, and started again, by two processes at a time."""
    out = tmp_path_factory.mktemp("grid")
    command = [sys.executable, *COMMAND, "--out", str(out)]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until(lambda: any(read_status(folder).iteration >= 2 for folder in out.glob("CartPole*-s*")), first)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    assert {one.state for one in Grid(TRIALS, out, 1).run()} == {"finished"}
    assert second.wait(300) == 0
    return out


def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "grid"))


def test_it_ends_with_the_scores_that_single_runs_have(finished: Path) -> None:
    for trial in TRIALS:
        alone = Session(trial.task, out=None, **{**trial.given, "seconds_per_iteration": 0}).run()
        score = play_episodes(alone.policy, trial.task, 3, trial.seed)
        found = outcome_of(trial, finished)
        assert (found.state, found.score, found.length) == ("finished", score.mean, score.lengths.mean())
        assert json.loads((found.folder / SCORE).read_text())["returns"] == score.returns.tolist()


def test_no_run_is_doubled(finished: Path) -> None:
    """Each trial has one folder, and each iteration one line, that of the process which had the run then."""
    assert {path.name for path in finished.glob("CartPole*-s*")} == {trial.name for trial in TRIALS}
    for trial in TRIALS:
        lines = (finished / trial.name / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["iteration"] for line in lines] == [*range(1, 13)]
    resumed = [event for trial in TRIALS for event in read_events(finished / trial.name) if event["event"] == "resumed"]
    assert len(resumed) == 1  # the one that was under way


def test_what_is_finished_is_left_out_and_the_table_stays(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Grid, "_job", lambda *_: pytest.fail("a finished trial was started"))
    stream, before = io.StringIO(), (finished / "trials.csv").read_bytes()
    outcomes = Grid(TRIALS, finished, 2, stream).run()
    assert "2 of 2 trials are finished already" in stream.getvalue()
    write_csv(outcomes, finished)
    assert (finished / "trials.csv").read_bytes() == before
    (row,) = table_of(outcomes)
    assert (row["what"], row["seeds"]) == ("trpo", "2")
    assert row["return"] == f"mean {np.mean([one.score for one in outcomes]):.3g}"


def test_what_was_done_before_counts_from_the_first(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the time left would be reckoned as if this call had done all that is done of the trials under way."""
    out, begun = copied(finished, tmp_path), list[float]()
    (out / TRIALS[1].name / SCORE).unlink()
    metrics = out / TRIALS[1].name / "metrics.jsonl"
    metrics.write_bytes(b"".join(metrics.read_bytes().splitlines(keepends=True)[:6]))  # of 12
    bar = grids.ProgressBar
    monkeypatch.setattr(grids, "ProgressBar", lambda *given: begun.append(given[2]) or bar(*given))
    monkeypatch.setattr(Grid, "_work", lambda *_: None)
    Grid(TRIALS, out, 1).run()
    assert begun == [0.75]


def test_folders_of_other_grids_and_versions_are_kept_and_told(finished: Path, tmp_path: Path) -> None:
    out = copied(finished, tmp_path)
    file = out / TRIALS[0].name / "run.json"
    about = json.loads(file.read_text())
    about["versions"]["torch"] = "0.4"
    file.write_text(json.dumps(about))
    stream = io.StringIO()
    outcomes = Grid(TRIALS[:1], out, 1, stream).run()
    assert [one.state for one in outcomes] == ["finished"]
    assert f"1 runs in {out} are of other versions or defaults (torch 0.4): they are kept" in stream.getvalue()
    assert f"1 runs in {out} are of other grids: they are kept" in stream.getvalue()
    assert json.loads(file.read_text()) == about and (out / TRIALS[1].name / SCORE).exists()


def test_a_run_that_a_later_version_wrote_is_kept_and_counts_as_crashed(finished: Path, tmp_path: Path) -> None:
    out = copied(finished, tmp_path)
    file = out / TRIALS[0].name / "run.json"
    file.write_text(file.read_text().replace('"schema": 1', '"schema": 99'))
    stream = io.StringIO()
    outcomes = Grid(TRIALS, out, 1, stream).run()
    assert outcomes[0].state == "unreadable" and "newer trpolab" in outcomes[0].message
    assert f"{out / TRIALS[0].name}: RunFolderError" in stream.getvalue().replace("\n", "")
    assert table_of(outcomes)[0]["crashed"] == "1" and "99" in file.read_text()


def test_a_trial_that_crashes_or_diverges_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_methods.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(grids, "usable_cores", lambda: 2)
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))  # forgotten after this test
    importlib.import_module("broken_methods")
    trials = [TrialSpec("CartPole-v1", name, 0, {**SMALL, "method": name, "iterations": 4}, 2)
              for name in ("broken", "lost", "trpo")]  # fmt: skip
    stream, out = io.StringIO(), tmp_path / "out"
    outcomes = Grid(trials, out, 3, stream).run()
    assert [one.state for one in outcomes] == ["crashed", "diverged", "finished"]
    assert outcomes[0].message == "ZeroDivisionError: not today"
    told = stream.getvalue()
    assert "jobs = 3: more than the 2 cores here; each run goes slower" in told
    assert "crashed: CartPole-v1, broken, seed 0: ZeroDivisionError: not today" in told and "diverged: " in told
    assert [row["crashed"] for row in table_of(outcomes)] == ["1", "1", "0"]
    assert (out / "logs" / f"{trials[0].name}.txt").read_text().startswith("Traceback")
    again = Grid(trials, out, 1)
    monkeypatch.setattr(again, "_job", lambda plan: started.append(plan.trial.label) or FINISHED())
    started: list[str] = []
    again.run()
    assert started == ["broken"]  # what diverged would diverge again


class FINISHED:
    """A job that has ended at once, and did nothing."""

    def poll(self) -> int:
        return 0

    def stop(self) -> None:
        pass


def test_kept_curves_stand_for_runs_whose_folders_are_gone(finished: Path, tmp_path: Path) -> None:
    there = Grid(TRIALS, finished, 1).outcomes()
    keep(tmp_path / "kept.json", "x", "y", [Curve.of(one) for one in there])
    shutil.copytree(there[1].folder, tmp_path / "out" / there[1].folder.name)
    other = TrialSpec("CartPole-v1", "trpo", 2, {**SMALL, "method": "trpo", "iterations": 1}, 3)
    stream = io.StringIO()
    grid = Grid([*TRIALS, other], tmp_path / "out", 1, stream, kept=read_curves(tmp_path / "kept.json"))
    found = grid.run()
    assert [one.state for one in found] == ["finished"] * 3
    assert [one.folder.exists() for one in found] == [False, True, True]
    assert "1 of them are not in" in stream.getvalue()
    curves = [[dataclasses.replace(Curve.of(one), given={}) for one in of] for of in (found[:2], there)]
    assert curves[0] == curves[1] and found[0].trial.settings == TRIALS[0].settings
    assert found[0].score == pytest.approx(there[0].score, abs=0.01) and found[1].score == there[1].score


@pytest.mark.parametrize("changed", [{"seed": 7}, {"label": "other"}, {"settings": {**SLOW, "gamma": 0.9}}])
def test_a_kept_curve_stands_for_no_other_trial(changed: dict[str, Any], tmp_path: Path) -> None:
    curve = Curve("CartPole-v1", "trpo", 0, (1,), (0.1,), (9.0,), 9.0, 9.0, 1, json.loads(json.dumps(SLOW)))
    crashed = dataclasses.replace(curve, seed=1, final=float("nan"))
    mine, other = TRIALS[0], dataclasses.replace(TRIALS[0], **changed)
    grid = Grid([mine, TRIALS[1], other], tmp_path, 1, kept=[curve, crashed])
    assert [one.state for one in grid.outcomes()] == ["finished", "unfinished", "unfinished"]


def test_what_follows_is_chosen_by_what_came_first(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Grid, "_job", lambda *_: pytest.fail("a finished trial was started"))
    seen: list[list[str]] = []

    def then(found: list[TrialResult]) -> list[TrialSpec]:
        seen.append([one.state for one in found])
        return TRIALS[1:]

    stream = io.StringIO()
    outcomes = Grid(TRIALS[:1], finished, 1, stream, TRIALS[1:], then).run()
    assert seen == [["finished"]] and [one.trial for one in outcomes] == TRIALS
    assert "other grids" not in stream.getvalue()
    with pytest.raises(ConfigError, match="delta = -1"):  # what follows is checked before anything runs
        Grid(TRIALS[:1], finished, 1, None, [TrialSpec("CartPole-v1", "x", 0, {"delta": -1.0})], then)


def test_all_that_is_wrong_is_told_before_anything_runs(tmp_path: Path) -> None:
    trials = [
        TrialSpec("CartPole-v1", "good", 0, {"iterations": 2}),
        TrialSpec("CartPole-v1", "bad", 0, {"delta": -1.0, "iterations": 2}),
        TrialSpec("CartPole-v1", "cem on a vine", 0, {"method": "cem", "sampler": "vine"}),
        TrialSpec("CartPole-v1", "cem on a vine", 1, {"method": "cem", "sampler": "vine"}),
        TrialSpec("Nonsense-v0", "good", 0),
        TrialSpec("CartPole-v1", "good", 0, {"iterations": 2}),
    ]
    with pytest.raises(ConfigError) as caught:
        Grid(trials, tmp_path / "out")
    told = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    for part in ("CartPole-v1, bad: delta = -1.0", "cem on a vine: method = 'cem'", "Nonsense-v0", "is there twice"):
        assert part in told
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PlainError, match=r"file' can't hold the runs: (Not a directory|File exists)"):
        Grid(TRIALS, tmp_path / "file").run()


def test_a_place_follows_from_all_that_is_asked() -> None:
    trial = TRIALS[0]
    assert trial.name == TrialSpec(**{**vars(trial), "settings": json.loads(json.dumps(trial.settings))}).name
    others = [{"seed": 1}, {"settings": {**trial.settings, "delta": 0.1}}, {"episodes": 4}, {"deterministic": True}]
    assert len({TrialSpec(**{**vars(trial), **other}).name for other in others} | {trial.name}) == 5
    assert planned([trial])[0].config.threads == 1


def test_curves_are_kept_thinned_and_read_back(finished: Path, tmp_path: Path) -> None:
    lost = TrialResult(TrialSpec("CartPole-v1", "cem", 0), tmp_path / "nothing", "crashed")
    outcomes = [*(outcome_of(trial, finished) for trial in TRIALS), lost]
    keep(tmp_path / "kept.json", "a command", "a machine", [Curve.of(one).thinned(5) for one in outcomes])
    curves = read_curves(tmp_path / "kept.json")
    whole = Curve.of(outcomes[0])
    assert len(curves[0].steps) == 5 and whole.iterations[0] >= 1
    assert curves[0].steps[-1] == whole.steps[-1] <= 12 * 256 + 1024 and curves[0].final == round(outcomes[0].score, 2)
    assert np.isnan(curves[-1].final) and curves[-1].steps == ()
    assert json.loads((tmp_path / "kept.json").read_text())["command"] == "a command"


@pytest.mark.parametrize("content", ["", "{}", '{"runs": [{"task": "x"}]}'])
def test_a_file_that_holds_something_else_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "curves.json").write_text(content)
    with pytest.raises(PlainError, match=r"curves.json does not hold learning curves"):
        read_curves(tmp_path / "curves.json")

"""Trials on Ray: the scores of trials here, also where a worker is lost; what can't be run there is told."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("ray", reason='needs Ray: pip install "trpolab[ray]"')

from trpolab.experiments.grid import Grid
from trpolab.experiments.jobs import RayJob, hosted
from trpolab.experiments.trial import TrialResult, TrialSpec
from trpolab.runs.reader import RunFolderError, each_metrics
from trpolab.sampling.errors import WorkerLost
from trpolab.sampling.workers.execution import Execution
from trpolab.sampling.workers.ray_pool import ExecutorError, RayPool
from trpolab.settings import ConfigError

SMALL = {"steps_per_iteration": 256, "slots": 4, "hidden": (8,), "value.hidden": (8,), "iterations": 8}
TRIALS = [TrialSpec("CartPole-v1", "trpo", seed, {**SMALL, "seconds_per_iteration": 0.3}, 3) for seed in (0, 1)]


@pytest.fixture(scope="module")
def pool() -> Iterator[RayPool]:
    """A Ray for all grids here, which find it."""
    pool = RayPool(Execution(executor="ray", workers=2))
    try:
        pool.connect()
    except ExecutorError as error:
        pytest.skip(f"Ray does not start on a machine as busy as this one: {error}")
    yield pool
    pool.close()


def scores(found: list[TrialResult]) -> list[Any]:
    return [(one.state, one.score, one.length) for one in found]


def kill_one(out: Path, killed: list[int]) -> None:
    """The first trial that has come to its third iteration loses its process's parent, a worker on Ray."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        for folder in out.glob("CartPole*"):
            try:
                if len(list(each_metrics(folder))) >= 3:
                    trial = psutil.Process(json.loads((folder / "status.json").read_text())["pid"])
                    killed.append(trial.ppid())
                    os.kill(trial.ppid(), signal.SIGKILL)
                    return
            except (RunFolderError, psutil.Error):
                pass
        time.sleep(0.05)


def test_scores_are_those_of_trials_here_also_where_a_worker_is_lost(pool: RayPool, tmp_path: Path) -> None:
    here = Grid(TRIALS, tmp_path / "here", 2).run()
    killed: list[int] = []
    threading.Thread(target=kill_one, args=(tmp_path / "there", killed), daemon=True).start()
    there = Grid(TRIALS, tmp_path / "there", 2, executor="ray").run()
    assert killed
    assert scores(there) == scores(here) and {one.state for one in there} == {"finished"}


def test_a_folder_that_workers_do_not_see_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExecutorError, match="a folder that all machines share"):
        hosted(None, {}, tmp_path / "nowhere" / "log.txt", 1, lambda: False)


def test_a_trial_whose_workers_are_lost_has_crashed_and_its_log_says_why(tmp_path: Path) -> None:
    class Lost:
        def map(self, *given: Any) -> list[Any]:
            raise WorkerLost("two workers were lost on the same work unit (0)")

        def close(self) -> None:
            pass

    log = tmp_path / "log.txt"
    job = RayJob(Lost(), {}, log, 1)
    job.wait(60)
    assert job.poll() == 1  # not a signal's number: what is told is the log's last line
    assert log.read_text() == "two workers were lost on the same work unit (0)"


@pytest.mark.parametrize("given", ["spark", ["local", "ray"]])
def test_an_executor_that_is_none_is_refused_before_anything_runs(given: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be local, ray, HOST:PORT"):
        Grid(TRIALS, tmp_path / "out", executor=given)
    assert not (tmp_path / "out").exists()

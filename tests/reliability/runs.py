"""Runs to be hurt: small ones, in this process or in children that die; and what must hold afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trpolab.runs.reader import read_status
from trpolab.selftest.children import CARTPOLE, DEADLINE, SMALL, child, only_run
from trpolab.selftest.expect import expect_same
from trpolab.selftest.runs import HOPPER
from trpolab.selftest.runs import RUNS as CHECKED
from trpolab.training import checkpoint
from trpolab.training.session import Session

RUNS: dict[str, dict[str, Any]] = {
    **CHECKED,
    "Hopper": HOPPER,
    "tabular vine": {
        **SMALL,
        "task": "finite/gridworld-4x4",
        "sampler": "vine",
        "vine.trunk_length": 30,
        "vine.states": 8,
        "vine.rollout_length": 8,
    },
    "cross-entropy method": {**CARTPOLE, "method": "cem", "cem.population": 10},
    "CMA-ES": {**CARTPOLE, "method": "cma_es"},
    "REPS": {**CARTPOLE, "method": "reps", "hidden": ()},
    "KL penalty": {**CARTPOLE, "method": "kl_penalty"},
    "whole paths": {**CARTPOLE, "path.whole": True, "path.horizon": 50, "advantage": "monte_carlo"},
    # stepped by Gymnasium: its states can be copied in memory only
    "Gymnasium": {**SMALL, "task": "Acrobot-v1", "steps_per_iteration": 256, "slots": 4},
    # and those not even that
    "Gymnasium's MuJoCo": {**SMALL, "task": "HumanoidStandup-v5", "steps_per_iteration": 64, "slots": 2},
}


def session(name: str = "cart-pole", **settings: Any) -> Session:
    """A new session of one of `RUNS`; in memory unless `out` is given."""
    return Session(**{"out": None, **RUNS[name], **settings})


def whole(folder: Path) -> checkpoint.Saved:
    """Demand that a folder can be gone on from, holds nothing half done, and that all its checkpoints are whole."""
    saved = checkpoint.read(folder)
    assert saved.passed_over == ()
    for entry in (folder / "ckpt").iterdir():
        if entry.name.isdigit():
            checkpoint._verify(entry)
    return saved


def ended(process: Any) -> int:
    """The exit code of a child; negative for the signal that ended it."""
    process.join(DEADLINE)
    assert process.exitcode is not None, "the child does not end"
    return process.exitcode


def work_on(out: Path, name: str, settings: dict[str, Any], die_after: int | None = None) -> None:
    """In a child: start a run in `out`, or go on with the one there; kill the process after an iteration."""
    folder = only_run(out)
    run = session(name, out=out, **settings) if folder is None else Session(resume=folder, iterations=10**6)
    for iteration in run.iterate():
        if iteration.index == die_after:
            os.kill(os.getpid(), signal.SIGKILL)


def lines(folder: Path | None) -> int:
    """Lines of a run's metrics."""
    file = folder / "metrics.jsonl" if folder is not None else None
    return file.read_bytes().count(b"\n") if file is not None and file.exists() else 0


def killed_and_resumed(tmp_path: Path, name: str, plant: Callable[[], Any] = contextlib.nullcontext) -> None:
    """R2: six iterations against three, `kill -9`, and what is left; the checkpoint is one iteration older."""
    reference = session(name, iterations=6).run()
    process = child(work_on, tmp_path, name, {"iterations": 6, "checkpoint_every": 2}, 3)
    assert ended(process) == -signal.SIGKILL
    folder = only_run(tmp_path)
    assert folder is not None
    assert read_status(folder).state == "crashed"
    assert whole(folder).iteration == 2
    with plant():
        expect_same(Session(resume=folder, iterations=6).run(), reference)

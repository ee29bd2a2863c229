"""Runs to be hurt: small ones, in this process or in children that die; and what must hold afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trpolab.runs.reader import read_metrics, read_status
from trpolab.training import checkpoint
from trpolab.training.session import Session

VOLATILE = ("seconds_sampling", "seconds_update", "seconds_value", "seconds_total", "segment")
SMALL = {"hidden": (8,), "value.hidden": (8,), "threads": 1}
CARTPOLE = {**SMALL, "task": "CartPole-v1", "steps_per_iteration": 256, "slots": 4}
RUNS: dict[str, dict[str, Any]] = {
    "cart-pole": CARTPOLE,
    "Swimmer": {**SMALL, "task": "Swimmer-v5", "steps_per_iteration": 512, "slots": 4},
    "Hopper": {**SMALL, "task": "Hopper-v5", "steps_per_iteration": 512, "slots": 4},
    "vine": {
        **SMALL,
        "task": "CartPole-v1",
        "sampler": "vine",
        "vine.trunk_length": 60,
        "vine.states": 10,
        "vine.rollout_length": 10,
    },
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
    "Gymnasium's MuJoCo": {**SMALL, "task": "Pusher-v5", "steps_per_iteration": 64, "slots": 2},
}
PATIENCE = 60.0  # seconds; generous: a deadline must never be what fails


def session(name: str = "cart-pole", **settings: Any) -> Session:
    """A new session of one of `RUNS`; in memory unless `out` is given."""
    return Session(**{"out": None, **RUNS[name], **settings})


def stable(history: Any) -> list[dict[str, Any]]:
    """Rows without what may differ from run to run, as a JSON file holds them."""
    rows = json.loads(json.dumps(list(history)))
    return [{name: value for name, value in row.items() if name not in VOLATILE} for row in rows]


def fingerprint(run: Session) -> str:
    """Of everything that the next iteration depends on."""
    learner, parts = run.learner, []
    parts.append(learner.policy.theta.numpy().tobytes())
    if (normalizer := learner.policy.normalizer) is not None:
        parts += [np.float64(normalizer.count).tobytes(), normalizer.mean.tobytes(), normalizer.var.tobytes()]
    if (value := learner.value) is not None:
        rest = [value.target_mean, value.target_std, value.mu, float(value.fits)]
        parts += [value.theta.numpy().tobytes(), np.array(rest).tobytes()]
    parts += [array.tobytes() for _, array in sorted(learner.state.items())]
    parts.append(repr((run.progress.iteration, run.progress.sim_steps, list(run.progress.recent_returns))).encode())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def same(run: Session, reference: Session) -> None:
    """Demand that a run is the other one, bit for bit, in memory and on disk."""
    assert torch.equal(run.policy.theta, reference.policy.theta)
    assert fingerprint(run) == fingerprint(reference)
    assert run.path is not None
    assert stable(read_metrics(run.path)) == stable(reference.history)
    assert stable(run.history) == stable(reference.history)


def whole(folder: Path) -> checkpoint.Saved:
    """Demand that a folder can be gone on from, holds nothing half done, and that all its checkpoints are whole."""
    saved = checkpoint.read(folder)
    assert saved.passed_over == ()
    for entry in (folder / "ckpt").iterdir():
        if entry.name.isdigit():
            checkpoint._verify(entry)
    return saved


def half_done(folder: Path) -> list[str]:
    """Names of temporary files and folders in a run folder."""
    return sorted(path.name for path in folder.rglob(".*"))


def contents(folder: Path, *apart: str) -> dict[str, bytes]:
    """Every file of a folder, but for the names in `apart`."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name not in apart
    }


# Children: forked from a server that has imported the library, so that one takes a tenth of a second to start.


def child(work: Callable[..., None], *given: Any) -> Any:
    """Start `work(*given)` in a process of its own. `work` must be a module's function."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.reliability.runs"])
    process = context.Process(target=work, args=given, daemon=True)
    process.start()
    return process


def ended(process: Any) -> int:
    """The exit code of a child; negative for the signal that ended it."""
    process.join(PATIENCE)
    assert process.exitcode is not None, "the child does not end"
    return process.exitcode


def until(true: Callable[[], Any]) -> Any:
    """Wait for something to come about."""
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.002)
    return found


def only_run(out: Path) -> Path | None:
    """The one run folder in `out`, once it is there."""
    found = [path for path in out.iterdir() if not path.name.startswith(".")] if out.is_dir() else []
    return found[0] if found else None


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
        same(Session(resume=folder, iterations=6).run(), reference)

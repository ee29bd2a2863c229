"""Whole runs: stopped, killed, damaged, without room on the disk, done twice."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trpolab.runs.reader import RunFolderError, RunLocked, load_policy, read_lines, read_metrics, read_status
from trpolab.selftest import children
from trpolab.selftest.children import CARTPOLE, DEADLINE, EVERY, SMALL, child, only_run, until
from trpolab.selftest.expect import contents, expect, expect_error, expect_metrics, expect_same, fingerprint, half_done
from trpolab.training import checkpoint
from trpolab.training.session import Session, train

SHORT = {"vine.trunk_length": 60, "vine.states": 10, "vine.rollout_length": 10}
RUNS: dict[str, dict[str, Any]] = {
    "cart-pole": CARTPOLE,
    "Swimmer": {**SMALL, "task": "Swimmer-v5", "steps_per_iteration": 512, "slots": 4},
    "vine": {**SMALL, **SHORT, "task": "CartPole-v1", "sampler": "vine"},
}
HOPPER: dict[str, Any] = {**RUNS["Swimmer"], "task": "Hopper-v5"}
KILLS = 3


def resumes_bit_for_bit(folder: Path, runs: Mapping[str, dict[str, Any]] = RUNS) -> str:
    """Six iterations against a run that is stopped after two, interrupted after four, and resumed."""
    compared = 0
    for name, settings in runs.items():
        whole = Session(out=None, iterations=6, **settings).run()
        first = Session(out=folder / name, iterations=6, **settings)
        for iteration in first.iterate():
            if iteration.index == 2:
                first.controls.stop()
        second = Session(resume=first.path)
        for iteration in second.iterate():
            if iteration.index == 4:
                second.controls.abort()  # between two iterations, or in the next one's first steps
        resumed = Session(resume=first.path)
        expect(resumed.progress.iteration == 4, f"{name}: resumed at iteration {resumed.progress.iteration}, not 4")
        compared += expect_same(resumed.run(), whole, name)
    return f"{compared} iterations of {len(runs)} runs equal those that were not stopped"


def survives_kills(folder: Path, kills: int = KILLS) -> str:
    """Real SIGKILLs of a child that trains on and on, at random moments."""
    rng, repeated, path = np.random.default_rng(kills), [0], None
    for kill in range(1, kills + 1):
        wanted, wait = _lines(folder) + int(rng.integers(0, 25)), float(rng.uniform(0, 0.02))
        process = child(children.train_on, folder, EVERY)
        try:
            until(lambda: _lines(folder) >= wanted)  # noqa: B023 - called at once
            time.sleep(wait)
        finally:
            process.kill()
            process.join()
        if (path := only_run(folder)) is None:
            continue  # before there was a run
        status = read_status(path)
        expect(status.state in ("crashed", "created"), f"kill {kill}: status {status}")
        saved, reached = checkpoint.read(path), max((row["iteration"] for row in read_metrics(path)), default=0)
        expect(not saved.passed_over, f"kill {kill}: damaged checkpoints, {'; '.join(saved.passed_over)}")
        repeated.append(reached - saved.iteration)
        expect(repeated[-1] <= EVERY, f"kill {kill}: {repeated[-1]} iterations were lost")
    iterations = saved.iteration + 3
    resumed = Session(resume=path, iterations=iterations).run()
    expect_same(resumed, train(out=None, iterations=iterations, **CARTPOLE), "the run that was killed")
    expect(not half_done(folder), f"left half done: {', '.join(half_done(folder))}")
    return f"killed {kills} times, at most {max(repeated)} iterations repeated, all {iterations} equal in the end"


def flip(file: Path) -> None:
    """One bit of a file, in its middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def finds_damage(folder: Path, name: str = "train.safetensors", damage: Callable[[Path], Any] = flip) -> str:
    """A flipped bit in the newest checkpoint, then one in every checkpoint."""
    path = train(out=folder, iterations=4, checkpoint_every=1, **CARTPOLE).path
    assert path is not None
    entries = sorted((path / "ckpt").iterdir())
    damage(entries[-1] / name)
    session = Session(resume=path, iterations=6)
    at = session.progress.iteration
    expect(at == 3, f"resumed at iteration {at}, not at 3, the checkpoint before the damaged one")
    next(session.iterate())
    (told,) = (line["message"] for line in read_lines(path / "events.jsonl") if "passed_over" in line["event"])
    expect(told.startswith("000004: "), f"no event names the damaged checkpoint: {told}")
    expect(name in told or name == checkpoint.MANIFEST, f"no event names {name}: {told}")
    for entry in entries:
        flip(entry / "state.json")
    before = contents(path)
    expect_error(RunFolderError, "000001: state.json differs", lambda: Session(resume=path), "an all damaged run")
    expect(contents(path) == before, "something was written to a run that can't be resumed")
    return f"{name} of 000004 found damaged, 000003 taken; none left: refused, and nothing written"


def waits_for_a_full_disk(folder: Path) -> str:
    """A child that may write no byte more for a while, as on a full disk (RLIMIT_FSIZE)."""
    whole = train(out=None, iterations=6, **CARTPOLE)
    here, there = multiprocessing.Pipe(duplex=False)
    process = child(children.train_without_room, there, folder, 6)
    there.close()
    process.join(DEADLINE)
    process.kill()
    expect(process.exitcode == 0, f"the child ended with {process.exitcode}")
    said = here.recv() if here.poll() else "nothing"
    expect("can't be written" in said, f"it said {said}")
    path = until(lambda: only_run(folder))
    expect(read_status(path).state == "finished", f"status {read_status(path)} once there was room")
    expect_metrics(read_metrics(path), whole.history, "the run that had to wait")
    expect(not half_done(path), f"left half done: {', '.join(half_done(path))}")
    return "held while there was no room, said so, went on, and lost nothing"


def has_one_writer(folder: Path) -> str:
    """A second writer on a run that another process trains; reading goes on."""
    process = child(children.train_on, folder, 1)
    try:
        path = until(lambda: only_run(folder))
        until(lambda: (path / "ckpt" / "000001").exists())
        os.kill(process.pid, signal.SIGSTOP)  # so that its files stand still
        time.sleep(0.1)
        before = contents(path)
        who = f"process {process.pid} on {socket.gethostname()}, started 20"
        expect_error(RunLocked, who, lambda: next(Session(resume=path).iterate()), "a second writer")
        expect(bool(load_policy(path) and read_metrics(path)), "it can't be read while it is written")
        expect(contents(path) == before, "the second writer changed the first one's files")
    finally:
        process.kill()
    return "the second one is refused, told who writes, and may read"


def repeats_itself(folder: Path, settings: Mapping[str, Any] = HOPPER, threads: int = 2) -> str:
    """The same seed with one thread and with more, and another seed."""
    one, more = (Session(out=None, iterations=2, **{**settings, "threads": count}).run() for count in (1, threads))
    expect_same(more, one, f"{threads} threads")
    other = Session(out=None, iterations=2, **settings, seed=1).run()
    expect(fingerprint(other) != fingerprint(one), "another seed makes no difference")
    return f"one thread and {threads} give the same bits, another seed others"


def score(**settings: Any) -> float:
    """Training return of cart-pole over the last five of 30 iterations."""
    history = train("CartPole-v1", out=None, iterations=30, **settings).history
    return float(np.mean([row["return_mean"] for row in history[-5:] if row["return_mean"] is not None]))


def learns(folder: Path) -> str:
    """Cart-pole, 30 iterations."""
    found = score()
    expect(found >= 150, f"return {found:.0f} after 30 iterations, at least 150 expected")
    return f"return {found:.0f} after 30 iterations"


def _lines(out: Path) -> int:
    """Lines of the metrics of the one run in `out`."""
    return sum(file.read_bytes().count(b"\n") for file in out.glob("[!.]*/metrics.jsonl"))

"""Whole runs: stopped, killed, damaged, without room on the disk, done twice."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from trpolab.runs.reader import RunFolderError, RunLocked, read_lines, read_metrics, read_status
from trpolab.selftest.expect import expect, expect_equal_policies, expect_equal_runs, expect_error
from trpolab.training.session import Session, train

CARTPOLE: dict[str, Any] = {"task": "CartPole-v1", "steps_per_iteration": 512, "slots": 16, "threads": 1}
SWIMMER: dict[str, Any] = {"task": "Swimmer-v5", "steps_per_iteration": 512, "slots": 16, "threads": 1}
VINE: dict[str, Any] = {
    "task": "CartPole-v1",
    "sampler": "vine",
    "proposal": "all",
    "vine.states": 20,
    "vine.trunk_length": 50,
    "threads": 1,
}
KILLS = 3
DEADLINE = 120.0  # seconds for a child to get going, generous on a busy machine


def resumes_bit_for_bit(folder: Path) -> str:
    """6 iterations against 3, a stop, and 3 more: cart-pole, Swimmer, and a vine."""
    compared = 0
    for name, settings in (("cart-pole", CARTPOLE), ("Swimmer", SWIMMER), ("vine", VINE)):
        whole = train(out=None, iterations=6, **settings)
        first = train(out=folder, iterations=3, **settings)
        assert first.path is not None
        resumed = Session(resume=first.path, iterations=6).run()
        compared += expect_equal_runs(read_metrics(first.path), whole.history, name)
        expect_equal_policies(resumed.policy, whole.policy, name)
    return f"{compared} iterations of three runs equal those that were not stopped"


def survives_kills(folder: Path) -> str:
    """Real SIGKILLs of a child that trains, each at another moment."""
    iterations = 40
    whole = train(out=None, iterations=iterations, **CARTPOLE)
    reached = []
    for kill in range(KILLS):
        out = folder / str(kill)
        with _child("train_slowly", str(out), str(iterations)) as child:
            try:
                path = _wait_for_checkpoints(out, child, 2 + kill)
                time.sleep(0.013 * (1 + 2 * kill))
            finally:
                child.kill()
        expect(read_status(path).state == "crashed", f"status {read_status(path)} after a kill")
        resumed = Session(resume=path, iterations=iterations)
        reached.append(resumed.progress.iteration)
        resumed.run()
        expect_equal_runs(read_metrics(path), whole.history, f"kill {kill + 1}")
        expect_equal_policies(resumed.policy, whole.policy, f"kill {kill + 1}")
    return f"killed {KILLS} times, resumed from iterations {', '.join(map(str, reached))}, all equal in the end"


def finds_damage(folder: Path) -> str:
    """A flipped bit in the newest checkpoint, then one in every checkpoint."""
    path = train(out=folder, iterations=4, checkpoint_every=1, **CARTPOLE).path
    assert path is not None
    checkpoints = sorted(entry for entry in (path / "ckpt").iterdir() if entry.name.isdigit())
    damaged = next(file for file in sorted(checkpoints[-1].iterdir()) if file.suffix == ".safetensors")
    _flip(damaged)
    session = Session(resume=path, iterations=4)
    at = session.progress.iteration
    expect(at == int(checkpoints[-2].name), f"resumed at iteration {at}, not at the checkpoint before the damaged one")
    session.run()
    told = [event for event in read_lines(path / "events.jsonl") if damaged.name in str(event.get("message"))]
    expect(bool(told), f"no event names {damaged.name}")
    for entry in (path / "ckpt").iterdir():
        if entry.name.isdigit():
            _flip(next(file for file in sorted(entry.iterdir()) if file.suffix == ".safetensors"))
    expect_error(RunFolderError, "manifest", lambda: Session(resume=path), "a run whose checkpoints are all damaged")
    return f"{damaged.name} of {checkpoints[-1].name} found damaged, {checkpoints[-2].name} taken; none left: refused"


def waits_for_a_full_disk(folder: Path) -> str:
    """A child that may write no byte more for a while, as on a full disk (RLIMIT_FSIZE)."""
    iterations = 6
    whole = train(out=None, iterations=iterations, **CARTPOLE)
    with _child("train_without_room", str(folder), str(iterations)) as child:
        try:
            out, _ = child.communicate(timeout=DEADLINE)
        finally:
            child.kill()
    expect(child.returncode == 0, f"the child ended with {child.returncode}: {out[-300:]}")
    expect("can't be written" in out, "nothing was said")
    (path,) = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    expect(read_status(path).state == "finished", f"status {read_status(path)} once there was room")
    expect_equal_runs(read_metrics(path), whole.history, "the run that had to wait")
    aside = [entry.name for entry in path.rglob(".*")]
    expect(not aside, f"left half done: {', '.join(aside)}")
    return "held while there was no room, said so, went on, and lost nothing"


def has_one_writer(folder: Path) -> str:
    """A second session on a run that is being trained."""
    session = Session(out=folder, iterations=3, checkpoint_every=1, **CARTPOLE)
    loop = session.iterate()
    next(loop)
    try:
        assert session.path is not None
        other = Session(resume=session.path, iterations=3)
        expect_error(RunLocked, "being written by", other.run, "a second writer")
    finally:
        loop.close()
    return "the second one is refused, and told who writes"


def repeats_itself(folder: Path) -> str:
    """The same seed with one thread and with two."""
    settings = {"iterations": 3, "steps_per_iteration": 1024, "slots": 32}
    one, two = (train("Hopper-v5", out=None, threads=threads, **settings) for threads in (1, 2))
    expect_equal_runs(two.history, one.history, "two threads")
    expect_equal_policies(two.policy, one.policy, "two threads")
    return "one thread and two give the same bits"


def learns(folder: Path) -> str:
    """Cart-pole, 30 iterations."""
    history = train("CartPole-v1", out=None, iterations=30).history
    scores = [row["return_mean"] for row in history[-5:] if row["return_mean"] is not None]
    score = sum(scores) / max(len(scores), 1)
    expect(score >= 150, f"return {score:.0f} after 30 iterations, at least 150 expected")
    return f"return {score:.0f} after 30 iterations"


def _child(name: str, *words: str) -> subprocess.Popen[str]:
    code = f"import sys; from trpolab.selftest.children import {name}; {name}(*sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _wait_for_checkpoints(out: Path, child: subprocess.Popen[str], count: int) -> Path:
    """The child's run folder, once it holds so many checkpoints."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and child.poll() is None:
        found = [path for path in out.glob("*/ckpt/[0-9]*") if path.name.isdigit() and int(path.name) >= count]
        if found:
            return found[0].parent.parent
        time.sleep(0.005)
    raise TimeoutError(f"no checkpoint after {DEADLINE:.0f} s" if child.poll() is None else "the child ended by itself")


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)

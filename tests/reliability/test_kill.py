"""`kill -9` between any two steps of writing, and at random moments; and checkpoints that were damaged."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.faults.points import plant
from tests.reliability.runs import (
    child,
    contents,
    ended,
    half_done,
    lines,
    only_run,
    same,
    session,
    until,
    whole,
    work_on,
)
from trpolab.runs.reader import load_policy, read_metrics, read_status
from trpolab.runs.writer import RunFolder
from trpolab.training import checkpoint
from trpolab.training.checkpoint import CheckpointError
from trpolab.training.session import Session

STEPS = ("open", "write", "fsync", "replace", "rename", "mkdir", "unlink", "rmdir", "ftruncate")  # of `os`
EVERY = 5  # iterations between checkpoints
KILLED = 9


# A fault between any two steps of writing


@contextlib.contextmanager
def dying_at(step: int, count: list[int]) -> Iterator[None]:
    """End this process, with nothing cleaned up, just before the given call that changes the disk."""

    def wrapped(honest: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            count[0] += 1
            if count[0] == step:
                os._exit(KILLED)
            return honest(*given, **named)

        return call

    before = {name: getattr(os, name) for name in STEPS}
    for name, honest in before.items():
        setattr(os, name, wrapped(honest))
    try:
        yield
    finally:
        for name, honest in before.items():
            setattr(os, name, honest)


def die_at_each_step(folder: Path, fault: str) -> None:
    """In a child: one iteration more, whose checkpoint is written to a copy of the folder again and again.

    Each time by a fork that dies one step later than the one before; then this process dies too.
    """
    patch = pytest.MonkeyPatch()
    if fault:
        plant(fault, patch)
    honest = checkpoint.write

    def write(kept: RunFolder, *rest: Any) -> Path:
        for step in itertools.count(1):
            copy = folder.parent / f"killed-{step}" / folder.name
            shutil.copytree(kept.path, copy)
            if (fork := os.fork()) == 0:
                with dying_at(step, [0]):
                    honest(SimpleNamespace(path=copy, segment=kept.segment, line_files=()), *rest)
                os._exit(0)
            if os.waitpid(fork, 0)[1] == 0:  # there are no more steps
                shutil.rmtree(copy.parent)
                os._exit(KILLED)
        raise AssertionError

    patch.setattr(checkpoint, "write", write)
    Session(resume=folder, iterations=5).run()


def four_iterations(out: Path) -> Path:
    """A run with checkpoints of its iterations 2, 3 and 4."""
    path = session(out=out, iterations=4, checkpoint_every=1).run().path
    assert path is not None
    return path


def killed_while_writing(base: Path, fault: str = "") -> list[Path]:
    """Copies of a run of four iterations, killed while the fifth's checkpoint was being written; a step apart."""
    process = child(die_at_each_step, base, fault)
    assert ended(process) == KILLED
    found = [path / base.name for path in base.parent.iterdir() if path.name.startswith("killed-")]
    return sorted(found, key=lambda path: int(path.parent.name.removeprefix("killed-")))


def survived(folder: Path) -> None:
    """R1: the run opens, the newest whole checkpoint loads, nothing half done is left."""
    assert read_status(folder).state == "crashed"
    assert whole(folder).iteration in (4, 5)
    assert load_policy(folder)


@pytest.mark.reliability("R1")
def test_a_fault_between_any_two_steps_of_writing_a_checkpoint(tmp_path: Path) -> None:
    reference = session(iterations=6, checkpoint_every=1).run()
    folders = killed_while_writing(four_iterations(tmp_path))
    assert len(folders) > 20  # three files, a manifest, three folders, and the oldest checkpoint's end
    for number, folder in enumerate(folders):
        survived(folder)
        if number % 6 == 0:
            same(Session(resume=folder, iterations=6).run(), reference)
        RunFolder(folder, 9).close()
        assert half_done(folder) == []


# Real kills at random moments


def kill_again_and_again(out: Path, kills: int, seed: int) -> list[int]:
    """Kill a run of cart-pole at random moments and go on with it; returns the iterations that were repeated."""
    rng, repeated = np.random.default_rng(seed), []
    for _ in range(kills):
        before = lines(only_run(out))
        process = child(work_on, out, "cart-pole", {"iterations": 10**6, "checkpoint_every": EVERY})
        wanted, wait = before + int(rng.integers(0, 25)), float(rng.uniform(0, 0.02))
        until(lambda wanted=wanted: lines(only_run(out)) >= wanted)
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        assert ended(process) == -signal.SIGKILL
        if (folder := only_run(out)) is None:
            continue  # before there was a run
        assert read_status(folder).state in ("crashed", "stopped", "created")
        reached = max((row["iteration"] for row in read_metrics(folder)), default=0)
        saved = whole(folder)
        assert reached - saved.iteration <= EVERY
        repeated.append(reached - saved.iteration)
    return repeated


def demand_nothing_lost(out: Path, kills: int, seed: int) -> list[int]:
    """R1: after so many kills the run is, bit for bit, the one that was never killed."""
    repeated = kill_again_and_again(out, kills, seed)
    folder = only_run(out)
    assert folder is not None
    reached = checkpoint.read(folder).iteration
    again = Session(resume=folder, iterations=reached + 3).run()
    same(again, session(iterations=reached + 3, checkpoint_every=EVERY).run())
    assert half_done(folder) == []
    return repeated


@pytest.mark.reliability("R1")
def test_eight_real_kills(tmp_path: Path) -> None:
    demand_nothing_lost(tmp_path, 8, seed=0)


@pytest.mark.soak
@pytest.mark.reliability("R1")
def test_two_hundred_random_kills(tmp_path: Path) -> None:
    repeated = demand_nothing_lost(tmp_path, 200, seed=1)
    assert len(repeated) >= 190
    print(f"{len(repeated)} kills, at most {max(repeated)} iterations repeated, {sum(repeated)} in all")


# Damage


def damage(file: Path, how: str, other: Path) -> None:
    """Hurt one file of a checkpoint; `other` is the same file of another run."""
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    elif how == "swapped":
        shutil.copyfile(other, file)
    else:
        at = len(content) // 2
        flipped = content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]
        file.write_bytes({"truncated": content[:-7], "empty": b"", "flipped": flipped}[how])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of one task that differ in their seed."""
    out = tmp_path_factory.mktemp("pair")
    other = session(out=out / "other", iterations=4, checkpoint_every=1, seed=1).run().path
    assert other is not None
    return four_iterations(out / "run"), other


@pytest.mark.reliability("R3")
@pytest.mark.parametrize("name", [*checkpoint.FILES, checkpoint.MANIFEST])
@pytest.mark.parametrize("how", ["truncated", "flipped", "empty", "missing", "swapped"])
def test_a_damaged_checkpoint_is_passed_over(pair: tuple[Path, Path], tmp_path: Path, name: str, how: str) -> None:
    passes_over(pair, tmp_path, name, how)


def passes_over(pair: tuple[Path, Path], tmp_path: Path, name: str, how: str) -> None:
    """R3: the newest is damaged, the one before is taken, an event names the file."""
    folder = tmp_path / "run"
    shutil.copytree(pair[0], folder)
    damage(folder / "ckpt" / "000004" / name, how, pair[1] / "ckpt" / "000004" / name)
    again = Session(resume=folder, iterations=6)
    assert again.progress.iteration == 3
    loop = again.iterate()
    next(loop)
    (event,) = [event for event in again.events if event["event"] == "checkpoint_passed_over"]
    assert event["message"].startswith("000004: ")
    assert how == "missing" or name in event["message"] or name == checkpoint.MANIFEST
    loop.close()


@pytest.mark.reliability("R3")
def test_a_checkpoint_of_another_run_is_found_out(pair: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(pair[0], folder)
    shutil.rmtree(folder / "ckpt" / "000004")
    shutil.copytree(pair[1] / "ckpt" / "000004", folder / "ckpt" / "000004")
    shutil.copytree(folder / "ckpt" / "000003", folder / "ckpt" / "000009")  # and one under a wrong name
    assert checkpoint.read(folder).iteration == 3
    assert [reason[:6] for reason in checkpoint.read(folder).passed_over] == ["000004", "000009"]
    assert "belongs to another run" in checkpoint.read(folder).passed_over[0]


@pytest.mark.reliability("R3")
def test_where_none_is_whole_nothing_is_overwritten(pair: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(pair[0], folder)
    for entry in (folder / "ckpt").iterdir():
        damage(entry / "train.safetensors", "flipped", entry)
    before = contents(folder)
    with pytest.raises(CheckpointError, match=r"000002: train.safetensors differs from the manifest; 000003"):
        Session(resume=folder)
    assert contents(folder) == before


@pytest.mark.reliability("R3")
def test_a_newer_schema_is_refused_in_plain_words(pair: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(pair[0], folder)
    for file in ("run.json", "status.json"):
        text = (folder / file).read_text()
        (folder / file).write_text(text.replace('"schema": 1', '"schema": 7'))
        with pytest.raises(ValueError, match=r"written by a newer trpolab \(schema 7, this one reads up to 1\)"):
            read_status(folder)
        (folder / file).write_text(text)

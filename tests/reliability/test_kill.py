"""`kill -9` between any two steps of writing, and at random moments; and checkpoints that were damaged."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults.points import plant
from tests.reliability.runs import ended, session, whole
from trpolab.runs.reader import load_policy, read_status
from trpolab.runs.writer import RunFolder
from trpolab.selftest.children import child
from trpolab.selftest.expect import expect_same, half_done
from trpolab.selftest.runs import finds_damage, flip, survives_kills
from trpolab.training import checkpoint
from trpolab.training.session import Session

STEPS = ("open", "write", "fsync", "replace", "rename", "mkdir", "unlink", "rmdir", "ftruncate")  # of `os`
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
            expect_same(Session(resume=folder, iterations=6).run(), reference)
        RunFolder(folder, 9).close()
        assert half_done(folder) == []


# Real kills at random moments


@pytest.mark.reliability("R1")
def test_eight_real_kills(tmp_path: Path) -> None:
    survives_kills(tmp_path, 8)


@pytest.mark.soak
@pytest.mark.reliability("R1")
def test_two_hundred_random_kills(tmp_path: Path) -> None:
    print(survives_kills(tmp_path, 200))


# Damage


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-7]),
    "flipped": flip,
    "empty": lambda file: file.write_bytes(b""),
    "missing": Path.unlink,
    "of the checkpoint before": lambda file: shutil.copyfile(file.parent.parent / "000003" / file.name, file),
}


@pytest.mark.reliability("R3")
@pytest.mark.parametrize("name", [*checkpoint.FILES, checkpoint.MANIFEST])
@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, name: str, how: str) -> None:
    finds_damage(tmp_path, name, DAMAGES[how])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of one task that differ in their seed."""
    out = tmp_path_factory.mktemp("pair")
    other = session(out=out / "other", iterations=4, checkpoint_every=1, seed=1).run().path
    assert other is not None
    return four_iterations(out / "run"), other


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
def test_a_newer_schema_is_refused_in_plain_words(pair: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(pair[0], folder)
    for file in ("run.json", "status.json"):
        text = (folder / file).read_text()
        (folder / file).write_text(text.replace('"schema": 1', '"schema": 7'))
        with pytest.raises(ValueError, match=r"written by a newer trpolab \(schema 7, this one reads up to 1\)"):
            read_status(folder)
        (folder / file).write_text(text)

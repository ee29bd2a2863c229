"""A disk that is full, read-only or forbidden in mid-run: the run waits, says so, and goes on."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.runs import session, whole
from trpolab.runs.reader import read_lines, read_metrics
from trpolab.selftest.children import until
from trpolab.selftest.expect import contents, expect_same, half_done
from trpolab.training import recorder
from trpolab.training.session import Session

pytestmark = pytest.mark.reliability("R4")

REFUSALS = {
    "disk full": ("write", errno.ENOSPC),
    "disk full in mid-write": ("half a write", errno.ENOSPC),
    "read-only": ("open", errno.EROFS),
    "permission lost": ("mkdir", errno.EACCES),
    "failing disk": ("fsync", errno.EIO),
    "no new names": ("replace", errno.EDQUOT),
}


class Disk:
    """Lets `os` change the disk, or refuses, for this thread of the run only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str, error: int):
        self.refusing, self.refused, self.error = False, 0, error
        name = "write" if call == "half a write" else call
        honest = getattr(os, name)

        def guarded(*given: Any, **named: Any) -> Any:
            if not self.refusing:
                return honest(*given, **named)
            self.refused += 1
            if call == "half a write":
                honest(given[0], bytes(given[1])[: len(given[1]) // 2])
            raise OSError(self.error, os.strerror(self.error))

        monkeypatch.setattr(os, name, guarded)
        monkeypatch.setattr(recorder, "RETRY_SECONDS", 0.02)


@pytest.mark.parametrize("refusal", sorted(REFUSALS))
def test_the_run_waits_and_goes_on(refusal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits_and_goes_on(refusal, tmp_path, monkeypatch)


def waits_and_goes_on(refusal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R4: refuse from iteration 3 on until the run has said so, look at the disk, then let it go on."""
    reference = session(iterations=6, checkpoint_every=2).run()
    disk, told = Disk(monkeypatch, *REFUSALS[refusal]), []
    run = session(out=tmp_path, iterations=6, checkpoint_every=2)
    run.on_trouble(told.append)
    seen: dict[str, Any] = {}

    def look_and_free() -> None:
        until(lambda: disk.refused >= 3 and run.trouble)
        assert run.path is not None
        seen.update(trouble=run.trouble, iteration=whole(run.path).iteration, half=half_done(run.path))
        disk.refusing = False

    watcher = threading.Thread(target=look_and_free)
    for iteration in run.iterate():
        if iteration.index == 3:
            disk.refusing = True
            watcher.start()
    watcher.join()
    assert os.strerror(disk.error) in seen["trouble"]
    assert seen["iteration"] == 2
    assert [name for name in seen["half"] if "ckpt" in name] == []
    assert told == [seen["trouble"], "the run folder can be written again"]
    assert run.trouble == ""
    assert run.path is not None
    assert half_done(run.path) == []
    assert len(list(read_lines(run.path / "events.jsonl"))) == len(run.events)
    expect_same(run, reference)


def test_stopped_while_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old checkpoint stays, the iteration that could not be put on record is done again."""
    reference = session(iterations=6, checkpoint_every=2).run()
    disk = Disk(monkeypatch, "write", errno.ENOSPC)
    run = session(out=tmp_path, iterations=6, checkpoint_every=2)

    def stop() -> None:
        until(lambda: disk.refused >= 2)
        run.controls.stop()

    watcher = threading.Thread(target=stop)
    for iteration in run.iterate():
        if iteration.index == 3:
            disk.refusing = True
            watcher.start()
    watcher.join()
    assert run.state == "stopped"
    assert run.path is not None
    assert "last state is not in it; the last good checkpoint is ckpt/000002" in run.trouble
    assert whole(run.path).iteration == 2
    assert [row["iteration"] for row in read_metrics(run.path)] == [1, 2, 3]
    disk.refusing = False
    expect_same(Session(resume=run.path).run(), reference)


def test_too_little_room_is_seen_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = session(out=tmp_path, iterations=3, checkpoint_every=1)
    loop, free = run.iterate(), [0]
    real = recorder.checkpoint.shutil.disk_usage
    monkeypatch.setattr(recorder, "RETRY_SECONDS", 0.02)
    next(loop)
    assert run.path is not None
    before = contents(run.path / "ckpt")

    def little(path: Any) -> Any:
        free[0] += 1
        if free[0] == 3:
            assert run.path is not None
            assert contents(run.path / "ckpt") == before
            return real(path)
        return real(path)._replace(free=1000)

    monkeypatch.setattr(recorder.checkpoint.shutil, "disk_usage", little)
    next(loop)
    assert free[0] == 3
    assert whole(run.path).iteration == 2
    loop.close()


def test_a_folder_that_cannot_be_made_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        session(out=tmp_path).run()
    assert list(tmp_path.iterdir()) == []

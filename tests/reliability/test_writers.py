"""One writer a run: who else comes is told of it, and a dead one is no obstacle."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.runs import ended, lines, session, whole, work_on
from trpolab.runs.owner import Owner
from trpolab.runs.reader import RunLocked, read_status
from trpolab.runs.writer import RunFolder
from trpolab.selftest.children import child, only_run
from trpolab.selftest.expect import contents, expect_same
from trpolab.training.session import Session

pytestmark = pytest.mark.reliability("R8")


def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks, as some networks' are."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_a_killed_writer_is_no_obstacle_and_the_take_over_is_on_record(tmp_path: Path) -> None:
    process = child(work_on, tmp_path, "cart-pole", {"iterations": 6, "checkpoint_every": 1}, 3)
    ended(process)
    folder = only_run(tmp_path)
    assert folder is not None
    status = read_status(folder)
    assert status.state == "crashed" and status.resumable and str(status).startswith("crashed (resumable), iteration")
    run = Session(resume=folder, iterations=6).run()
    (taken,) = [event for event in run.events if event["event"] == "taken_over"]
    assert f"process {process.pid} on" in taken["message"]
    expect_same(run, session(iterations=6).run())


@pytest.mark.parametrize("locks", [True, False], ids=["locks", "no locks"])
@pytest.mark.parametrize("stale", ["dead", "reused", "earlier boot", "garbage"])
def test_a_stale_lock(stale: str, locks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock file names a process that is no more, or whose pid is another's now."""
    folder = session(out=tmp_path, iterations=1).run().path
    assert folder is not None
    record = Owner.this().record()
    if stale == "dead":
        record["pid"] = 2**22 - 3
    elif stale == "reused":
        record["process_ticks"] += 1
    else:
        record["boot_id"] = "another"
    (folder / "lock").write_text("garbage" if stale == "garbage" else json.dumps(record))
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps({**status, **record, "state": "running"}))
    assert read_status(folder).state == "crashed"
    if not locks:
        no_locks(monkeypatch)
    assert Session(resume=folder, iterations=2).run().state == "finished"


@pytest.mark.parametrize(("age", "refused"), [(5, True), (3600, False)])
def test_where_there_are_no_locks_another_machines_heartbeat_counts(
    age: int, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime, timedelta

    folder = session(out=tmp_path, iterations=1).run().path
    assert folder is not None
    record = {**Owner.this().record(), "host": "elsewhere"}
    beat = datetime.now(UTC) - timedelta(seconds=age)
    status: dict[str, Any] = {**json.loads((folder / "status.json").read_text()), **record, "state": "running"}
    (folder / "status.json").write_text(json.dumps({**status, "heartbeat": f"{beat:%Y-%m-%dT%H:%M:%SZ}"}))
    (folder / "lock").write_text(json.dumps(record))
    no_locks(monkeypatch)
    assert read_status(folder).state == ("running" if refused else "crashed")
    if refused:
        with pytest.raises(RunLocked, match="on elsewhere"):
            Session(resume=folder, iterations=2).run()
    else:
        assert Session(resume=folder, iterations=2).run().state == "finished"


def test_temporaries_of_the_dead_are_swept_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    folder = session(out=tmp_path, iterations=1).run().path
    assert folder is not None
    me = Owner.this()
    dead, living = f".000009.{2**22 - 3}-5.tmp", f".000009.{me.pid}-{me.ticks}.tmp"
    for name in (dead, living):
        (folder / "ckpt" / name).mkdir()
        (folder / "ckpt" / name / "policy.safetensors").write_bytes(b"half")
    run_folder = RunFolder(folder, 5)
    assert run_folder.swept == [dead]
    run_folder.close()
    assert not (folder / "ckpt" / dead).exists() and (folder / "ckpt" / living).exists()


def test_links_are_not_written_through(tmp_path: Path) -> None:
    run = session(out=tmp_path / "runs", iterations=1).run()
    assert run.path is not None
    (tmp_path / "link").symlink_to(run.path, target_is_directory=True)
    with pytest.raises(ValueError, match="is a symbolic link"):
        Session(resume=tmp_path / "link", iterations=2).run()
    target = tmp_path / "precious"
    target.write_text("kept")
    (run.path / "metrics.jsonl").rename(tmp_path / "moved")
    (run.path / "metrics.jsonl").symlink_to(target)
    with pytest.raises(OSError, match=re.escape(os.strerror(errno.ELOOP))):
        Session(resume=run.path, iterations=2).run()
    assert target.read_text() == "kept"


def test_nothing_that_was_written_is_rewritten(tmp_path: Path) -> None:
    """A resumed run only appends."""
    run = session(out=tmp_path, iterations=3).run()
    assert run.path is not None
    before = contents(run.path)
    Session(resume=run.path, iterations=5).run()
    after = contents(run.path)
    for name in ("metrics.jsonl", "events.jsonl"):
        assert after[name].startswith(before[name])
    assert after["run.json"] == before["run.json"]
    assert {name: after[name] for name in before if "/" in name} == {n: c for n, c in before.items() if "/" in n}
    assert lines(run.path) == 5 and whole(run.path).segment == 1

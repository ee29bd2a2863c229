"""Writing a run folder: one process at a time, files whole or not at all, and nothing that is there is replaced."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trpolab.machine import installed_versions, user_path
from trpolab.policies import Policy
from trpolab.policies.serialization import policy_content
from trpolab.runs.disk import LineFile, strict_json, sweep, sync_folder, temporary, write_atomically
from trpolab.runs.owner import Owner
from trpolab.runs.reader import (
    ALIVE,
    HEARTBEAT_SECONDS,
    SCHEMA,
    RunFolderError,
    RunLocked,
    read_status,
)
from trpolab.sampling.streams import Purpose

LONGEST_LABEL = 200
SMALL_POLICIES = 64 * 2**20  # bytes that the policies of all iterations may take; beyond, only checkpoints' are kept
FOLDERS = ("policies", "ckpt")


class RunFolder:
    """A run on disk that this process writes. Raises RunLocked naming another writer, RunFolderError if it is no run.

    `found` is the status that the last writer left, "crashed" if it was killed; `swept` names the half-written files
    that were removed.
    """

    def __init__(self, path: Path, segment: int):
        for name in ("", *FOLDERS):
            if (path / name).is_symlink():
                raise RunFolderError(f"{str(path / name)!r} is a symbolic link; runs are not written through those")
        self.path = path
        self.segment = segment  # counts resumptions; a metrics line belongs to one
        # What is appended to. It must be on the disk before a checkpoint that refers to its lines.
        self.line_files = path / "metrics.jsonl", path / "events.jsonl"
        self._lock = _take_lock(path)
        try:
            self.found = read_status(path)
            self.swept = [name for folder in (path, *(path / name for name in FOLDERS)) for name in sweep(folder)]
            for name in FOLDERS:
                (path / name).mkdir(exist_ok=True)
            self._metrics, self._events = map(LineFile, self.line_files)
        except BaseException:
            os.close(self._lock)
            raise
        self._status: dict[str, Any] = {}
        self._writing = threading.Lock()
        self._closed = threading.Event()
        self._heartbeat = threading.Thread(target=self._beat, name="trpolab-heartbeat", daemon=True)
        self._heartbeat.start()

    @classmethod
    def create(
        cls, out: str | Path, task: str, settings: dict[str, Any], label: str = "", name: str = "", **needed: Any
    ) -> RunFolder:
        """Make `<out>/<name>/`, or `<UTC>-<task>-<6 hex>`: it appears with its run.json in it, or not at all.

        What else is `needed` to resume the run is written beside its settings: the `modules` to be imported before
        they mean anything, what the `environment` of a task from outside this package is made of, and the `parent`, the
        run and the iteration that it was rewound to. Raises RunLocked if another process has made the folder.
        """
        by_chance = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{plain_name(task)}-{secrets.token_hex(3)}"
        path = user_path(out) / (name or by_chance)
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        aside = temporary(path)
        aside.mkdir()
        try:
            for folder in FOLDERS:
                (aside / folder).mkdir()
            about = {**_about(path.name, task, settings, label), **needed}
            write_atomically(aside / "run.json", strict_json(about, indent=1))
            os.rename(aside, path)  # fails where something is in a folder of that name
        except OSError:
            if path.exists():
                raise RunLocked(f"{str(path)!r} has just been made by another process") from None
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        sync_folder(path.parent)
        return cls(path, 0)

    def metrics(self, record: dict[str, Any]) -> None:
        """Append one iteration's line."""
        self._metrics.append({"segment": self.segment, **record})

    def event(self, kind: str, **about: Any) -> dict[str, Any]:
        """Append one event's line, and return it."""
        record = {"time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", "segment": self.segment, "event": kind, **about}
        self._events.append(record)
        return record

    def status(self, state: str, iteration: int, message: str = "") -> None:
        """Write created, running, paused, stopped, finished or diverged. "crashed" is found out by readers."""
        about = {"schema": SCHEMA, "state": state, "iteration": iteration, "message": message}
        with self._writing:
            self._status = {**about, **Owner.this().record()}
            self._write_status()

    def keep_policy(self, policy: Policy, iteration: int, score: float | None, task: str, always: bool) -> None:
        """Write `policies/<iteration>.safetensors`, whole or not at all.

        Unless `always`, it is kept only while the policies of all iterations stay small together. It is not forced to
        the disk; checkpoints are.
        """
        content = policy_content(policy, {"task": task, "iteration": iteration, "score": score})
        if always or len(content) * iteration <= SMALL_POLICIES:
            write_atomically(self.path / "policies" / f"{iteration:06d}.safetensors", content, sync=False)

    def close(self) -> None:
        """Close the files and give the lock back."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._heartbeat.join()
        self._metrics.close()
        self._events.close()
        os.close(self._lock)

    def _beat(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            with self._writing:
                try:
                    self._write_status()
                except OSError:
                    continue  # writing metrics fails too, and pauses the run; the next beat tries again

    def _write_status(self) -> None:
        if self._status:
            beat = {**self._status, "heartbeat": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
            write_atomically(self.path / "status.json", strict_json(beat, indent=1), sync=False)


def plain_name(text: str) -> str:
    """A text as part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:36] or "task"


def label_problem(label: Any) -> str | None:
    """What is wrong with a run's label, or None. It is for people and never part of a path; any printable text goes."""
    if not isinstance(label, str):
        return f"label = {label!r}: must be a text"
    if len(label) > LONGEST_LABEL:
        return f"label = {label[:20] + '...'!r}: has {len(label)} characters, {LONGEST_LABEL} at most"
    return None if label.isprintable() else f"label = {label!r}: must be printable characters on one line"


def _about(name: str, task: str, settings: dict[str, Any], label: str) -> dict[str, Any]:
    plain = json.loads(strict_json(settings))
    return {
        "schema": SCHEMA,
        "id": name,
        "label": label,
        "task": task,
        "settings": plain,
        "settings_sha256": hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest(),
        "streams": {purpose.name.lower(): purpose.value for purpose in Purpose},
        "versions": installed_versions(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
    }


def _take_lock(path: Path) -> int:
    """An exclusive lock for as long as the writer lives. Raises RunLocked naming the other writer.

    On a file system without locks, the writer named in status.json counts instead: while its process lives, or, on
    another machine, while its heartbeat is recent.
    """
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _locked(path, _holder(descriptor)) from None
        except OSError:
            status = read_status(path)
            if status.state in ALIVE and status.owner != Owner.this():
                raise _locked(path, status.owner) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, (strict_json(Owner.this().record()) + "\n").encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _holder(descriptor: int) -> Owner | None:
    try:
        return Owner.of(json.loads(os.pread(descriptor, 4096, 0)))
    except ValueError:
        return None


def _locked(path: Path, holder: Owner | None) -> RunLocked:
    return RunLocked(
        f"{str(path)!r} is being written by {holder or 'another process'}. Stop that one first; meanwhile the run can "
        f"be read: trpolab.load_policy({str(path)!r}) gives its newest policy, metrics.jsonl its numbers"
    )

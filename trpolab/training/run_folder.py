"""The run folder: the truth on disk, readable without the library."""

from __future__ import annotations

import fcntl
import json
import math
import os
import platform
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from trpolab.policies import Policy
from trpolab.policies.files import read_policy, save_policy

SCHEMA = 1
HEARTBEAT_SECONDS = 10.0
RECORDED_VERSIONS = ("trpolab", "torch", "numpy", "mujoco", "gymnasium", "ale-py")


class RunFolderError(ValueError):
    """A folder that is not a run, or not one that can be used for what was asked."""


class RunLocked(RunFolderError):
    """Another process writes this run."""


class RunFolder:
    """One run on disk, with one writer. Files and fields: `run.json` says what was asked, `metrics.jsonl` what came."""

    def __init__(self, path: Path, segment: int):
        self.path = path
        self.segment = segment  # counts resumptions; a metrics line belongs to one
        self._lock_file = _take_lock(path)
        self._metrics = os.open(path / "metrics.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._events = os.open(path / "events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._status: dict[str, Any] = {}
        self._status_lock = threading.Lock()
        self._closed = threading.Event()
        self._heartbeat = threading.Thread(target=self._beat, name="trpolab-heartbeat", daemon=True)
        self._heartbeat.start()

    @classmethod
    def create(cls, out: str | Path, task: str, settings: dict[str, Any], label: str = "") -> RunFolder:
        """Make `<out>/<UTC>-<task>-<6 hex>/`; the directory's creation is the claim to it."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", task).strip("-.")[:48] or "task"
        path = Path(out) / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}-{secrets.token_hex(3)}"
        path.mkdir(parents=True)
        (path / "policies").mkdir()
        about = {
            "schema": SCHEMA,
            "id": path.name,
            "label": label,
            "task": task,
            "settings": settings,
            "versions": installed_versions(),
            "platform": platform.platform(),
            "python": platform.python_version(),
            "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        write_atomically(path / "run.json", strict_json(about, indent=1))
        return cls(path, 0)

    def metrics(self, record: dict[str, Any]) -> None:
        """Append one iteration's line."""
        _append(self._metrics, {"segment": self.segment, **record})

    def event(self, kind: str, **about: Any) -> dict[str, Any]:
        """Append one event's line, and return it."""
        record = {"time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", "segment": self.segment, "event": kind, **about}
        _append(self._events, record)
        return record

    def status(self, state: str, iteration: int, message: str = "") -> None:
        """created, running, paused, stopped, finished, diverged or crashed."""
        with self._status_lock:
            self._status = {
                "schema": SCHEMA,
                "state": state,
                "iteration": iteration,
                "message": message,
                "pid": os.getpid(),
                "host": socket.gethostname(),
            }
        self._write_status()

    def keep_policy(self, policy: Policy, iteration: int, score: float | None, task: str) -> Path:
        """Write `policies/<iteration>.safetensors`, whole or not at all."""
        target = self.path / "policies" / f"{iteration:06d}.safetensors"
        save_policy(target, policy, {"task": task, "iteration": iteration, "score": score})
        return target

    def close(self) -> None:
        """Let go of files and lock."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._heartbeat.join()
        for descriptor in (self._metrics, self._events, self._lock_file):
            os.close(descriptor)

    def _beat(self) -> None:
        while not self._closed.wait(HEARTBEAT_SECONDS):
            self._write_status()

    def _write_status(self) -> None:
        with self._status_lock:
            if self._status:
                beat = {**self._status, "heartbeat": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
                write_atomically(self.path / "status.json", strict_json(beat, indent=1), sync=False)


def read_run(folder: str | Path) -> dict[str, Any]:
    """run.json of a folder. Raises RunFolderError with a sentence where it isn't a run."""
    path = Path(folder)
    if not path.is_dir():
        raise RunFolderError(f"{str(path)!r} is not a folder")
    try:
        about = json.loads((path / "run.json").read_text())
    except FileNotFoundError:
        raise RunFolderError(f"{str(path)!r} is not a run folder: it has no run.json") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{str(path / 'run.json')!r} is not readable JSON: {error}") from None
    if not isinstance(about, dict) or not isinstance(about.get("schema"), int):
        raise RunFolderError(f"{str(path / 'run.json')!r} does not describe a run: it has no schema number")
    if about["schema"] > SCHEMA:
        raise RunFolderError(
            f"{str(path)!r} was written by a newer trpolab (schema {about['schema']}, this one reads up to {SCHEMA})"
        )
    return about


def read_metrics(folder: str | Path) -> list[dict[str, Any]]:
    """Every iteration's record, once each: where a run was resumed, the later segment counts.

    A torn last line is ignored. Raises RunFolderError naming a bad line elsewhere.
    """
    records: dict[int, dict[str, Any]] = {}
    for record in read_lines(Path(folder) / "metrics.jsonl"):
        for later in [key for key in reversed(records) if key >= record["iteration"]]:
            del records[later]
        records[record["iteration"]] = record
    return list(records.values())


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file, with a torn last line left out."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line)
            except ValueError:
                raise RunFolderError(f"{path.name}: line {number} is not JSON") from None


def load_policy(folder: str | Path, which: str = "latest") -> Policy:
    """A policy kept in a run folder: the newest, or (`which="best"`) the one with the best recent training return.

    The best is judged by the mean return of the last 100 training episodes when it was kept. Raises RunFolderError.
    """
    if which not in ("latest", "best"):
        raise RunFolderError(f"which = {which!r}: must be latest or best")
    read_run(folder)
    files = sorted((Path(folder) / "policies").glob("*.safetensors"))
    if not files:
        raise RunFolderError(f"{str(folder)!r} holds no policy yet")
    if which == "latest":
        return read_policy(files[-1])[0]
    loaded = [read_policy(file) for file in files]
    scored = [(about["score"], policy) for policy, about in loaded if about.get("score") is not None]
    return max(scored, key=lambda pair: pair[0])[1] if scored else loaded[-1][0]


def strict_json(value: Any, indent: int | None = None) -> str:
    """JSON without NaN: a non-finite number becomes null, and its object lists it under "nonfinite"."""
    return json.dumps(_plain(value), allow_nan=False, indent=indent)


def write_atomically(path: Path, text: str, sync: bool = True) -> None:
    """The file holds either its old text or all of the new."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(3)}.tmp")
    with aside.open("w") as file:
        file.write(text + "\n")
        file.flush()
        if sync:
            os.fsync(file.fileno())
    os.replace(aside, path)


def installed_versions() -> dict[str, str]:
    """Versions of what a run's numbers depend on, where installed."""
    found = {}
    for name in RECORDED_VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        bad = [key for key, item in value.items() if isinstance(item, float) and not math.isfinite(item)]
        plain = {key: _plain(item) for key, item in value.items()}
        return {**plain, "nonfinite": bad} if bad else plain
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _append(descriptor: int, record: dict[str, Any]) -> None:
    os.write(descriptor, (strict_json(record) + "\n").encode())


def _take_lock(path: Path) -> int:
    """An exclusive lock for as long as the writer lives. Raises RunLocked naming the other writer."""
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(descriptor, 300).decode(errors="replace").strip()
        os.close(descriptor)
        raise RunLocked(f"{str(path)!r} is being written by another process ({holder})") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    return descriptor

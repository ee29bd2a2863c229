"""Reading a run folder. Its files are plain JSON and safetensors; these functions read them with their checks.

runs/<UTC>-<task>-<6 hex>/
  run.json        what was asked; written once
  status.json     how it goes, with a heartbeat
  lock            held by the one writer, and its description
  metrics.jsonl   a line an iteration; a resumed run appends another segment
  events.jsonl    what else happened
  policies/       000010.safetensors ...
  ckpt/           000010/ ...: see `checkpoint`
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from trpolab.machine import user_path
from trpolab.policies import Policy, PolicyFileError, read_policy
from trpolab.runs.disk import parse_json
from trpolab.runs.owner import Owner
from trpolab.settings import PlainError
from trpolab.simulators import Source, find_task

SCHEMA = 1
HEARTBEAT_SECONDS = 10.0
SILENCE_SECONDS = 60.0  # without a heartbeat, after which a writer on another machine counts as gone
ALIVE = ("created", "running", "paused")  # states that need a writer
STATES = (*ALIVE, "stopped", "finished", "diverged", "crashed")

# How this library begins a line of metrics; lines that begin otherwise are understood too, more slowly.
_HEAD = re.compile(rb'\{"segment": ?\d+, ?"iteration": ?(\d+)[,}]')


class RunFolderError(PlainError):
    """A folder that is not a run, or a run that cannot be used for what was asked."""


class RunFolderUnwritable(RunFolderError, OSError):
    """The folder can't be made or written: the disk is full, or permission is missing."""


class RunLocked(RunFolderError):
    """Another process writes this run."""


@dataclass(frozen=True)
class Status:
    """How a run stands. `state` is one of `STATES`; "crashed" is what a reader calls a run whose writer is gone."""

    state: str
    iteration: int
    message: str
    owner: Owner | None  # who wrote it last
    heartbeat: datetime | None

    @property
    def resumable(self) -> bool:
        """Whether `--resume` can go on with it."""
        return self.state not in ALIVE

    def __str__(self) -> str:
        state = "crashed (resumable)" if self.state == "crashed" else self.state
        return f"{state}, iteration {self.iteration}" + (f": {self.message}" if self.message else "")


def read_run(folder: str | Path) -> dict[str, Any]:
    """run.json of a folder. Raises RunFolderError with a sentence where it isn't a run."""
    path = user_path(folder)
    if not path.is_dir():
        raise RunFolderError(f"{str(path)!r} is not a folder")
    try:
        about = parse_json((path / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunFolderError(f"{str(path)!r} is not a run folder: it has no run.json") from None
    except ValueError as error:
        raise RunFolderError(f"{str(path / 'run.json')!r} is not readable JSON: {error}") from None
    wrong = f"{str(path / 'run.json')!r} does not describe a run"
    if not isinstance(about, dict) or not isinstance(about.get("schema"), int):
        raise RunFolderError(f"{wrong}: it has no schema number")
    refuse_newer(about, path)
    for name, kind, words in (("id", str, "a text"), ("task", str, "a text"), ("settings", dict, "a table")):
        if not isinstance(about.get(name), kind):
            raise RunFolderError(f"{wrong}: its {name!r} is {about.get(name)!r}, not {words}")
    return about


def modules_of_run(about: dict[str, Any]) -> list[str]:
    """What run.json names as the modules outside the package that registered what the run is made of."""
    named = about.get("modules")
    return [name for name in named if isinstance(name, str)] if isinstance(named, list) else []


def parent_of(about: dict[str, Any]) -> dict[str, Any] | None:
    """What run.json says of the run that this one was rewound from: its id as `run`, and the `iteration`."""
    parent = about.get("parent")
    told = isinstance(parent, dict) and isinstance(parent.get("run"), str) and isinstance(parent.get("iteration"), int)
    return parent if told else None


def functions_of_run(about: dict[str, Any]) -> dict[str, str]:
    """What run.json names as functions of a person's own that the run was made with, by the place that they took."""
    named = about.get("functions")
    return {name: str(called) for name, called in named.items()} if isinstance(named, dict) else {}


def refuse_newer(about: dict[str, Any], path: Path) -> None:
    """Raise RunFolderError for a schema that only later versions know."""
    if isinstance(schema := about.get("schema"), int) and schema > SCHEMA:
        raise RunFolderError(
            f"{str(path)!r} was written by a newer trpolab (schema {schema}, this one reads up to {SCHEMA}); "
            "update with: pip install -U trpolab"
        )


def read_status(folder: str | Path) -> Status:
    """How the run stands now: status.json, and whether who wrote it is still there.

    Where that file tells no state, the run counts as crashed at its newest checkpoint. Raises RunFolderError.
    """
    path = user_path(folder)
    read_run(path)
    try:
        found = parse_json((path / "status.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = {"state": "created", "iteration": 0}
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("state") not in STATES or not isinstance(found.get("iteration"), int):
        newest = max((int(entry.name) for entry in numbered(path / "ckpt")), default=0)
        return Status("crashed", newest, "its status.json is damaged; the run's other files tell all", None, None)
    refuse_newer(found, path)
    owner, beat = Owner.of(found), _time(found.get("heartbeat"))
    state, message = found["state"], str(found.get("message") or "")
    if state in ALIVE and not is_written(owner, beat):
        state, message = "crashed", f"its writer, {owner}, is gone" if owner else "its writer is gone"
    return Status(state, found["iteration"], message, owner, beat)


def is_written(owner: Owner | None, heartbeat: datetime | None) -> bool:
    """Whether the writer is alive: by its process on this machine, by its heartbeat on another."""
    if owner is not None and not owner.elsewhere:
        return owner.alive()
    return heartbeat is not None and (datetime.now(UTC) - heartbeat).total_seconds() < SILENCE_SECONDS


def read_metrics(folder: str | Path, most: int | None = None) -> list[dict[str, Any]]:
    """Every iteration's record, once each: where a run was resumed, the later segment counts.

    With `most`, at most so many records, evenly spread, the last among them. The other lines are not parsed, so that a
    million lines take about a second and little memory. A torn last line is ignored. Raises RunFolderError naming any
    other bad line.
    """
    return list(each_metrics(folder, most))


def each_metrics(folder: str | Path, most: int | None = None, bad: bool = True) -> Iterator[dict[str, Any]]:
    """What `read_metrics` returns, one at a time; with `bad=False`, bad lines are passed over."""
    read_run(folder)
    path = user_path(folder) / "metrics.jsonl"
    if not path.exists():
        return
    offsets, numbers = _lines_that_count(path, bad)
    chosen: Any = range(len(offsets))
    if most is not None and len(offsets) > most:
        chosen = np.linspace(0, len(offsets) - 1, most).astype(int).tolist()
    with path.open("rb") as file:
        for place in chosen:
            file.seek(offsets[place])
            if (record := _record(path, numbers[place], file.readline(), bad)) is not None:
                yield record


def read_lines(path: Path, bad: bool = True) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file without a torn last line.

    Raises RunFolderError naming any other bad line; with `bad=False`, such lines are passed over.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            if (record := _record(path, number, line, bad)) is not None:
                yield record


def read_events(folder: Path) -> Iterator[dict[str, Any]]:
    """What else happened in a run, damaged lines left out; nothing where it tells of no events."""
    path = folder / "events.jsonl"
    return read_lines(path, bad=False) if path.exists() else iter(())


def load_policy(folder: str | Path, which: str = "latest", task: Source | None = None) -> Policy:
    """A policy kept in a run folder: the newest, or (`which="best"`) the one with the best recent training return.

    A single policy file (`.safetensors`) is read as it is. The best is judged by the mean return of the last 100
    training episodes when it was kept. A file that is damaged is passed over. Files of older versions don't hold the
    task's own spaces, so that `policy(obs)` can't clip actions; give `task` as for `make`, and it can. Raises
    RunFolderError, also for a task that the policy does not fit, and PolicyFileError for a single file that is none.
    """
    if which not in ("latest", "best"):
        raise RunFolderError(f"which = {which!r}: must be latest or best")
    path = user_path(folder)
    if not path.exists():
        raise RunFolderError(f"{str(path)!r}: no such file or folder")
    policy = read_policy(path)[0] if path.is_file() else _kept_policy(path, which)
    if task is None:
        return policy
    about = find_task(task)
    if misfit := policy.misfit(about.observation_space, about.action_space):
        raise RunFolderError(f"this policy does not fit {about.name}: {misfit}")
    return policy.acting_in(*about.spaces)


def _kept_policy(folder: Path, which: str) -> Policy:
    modules = modules_of_run(read_run(folder))
    best: tuple[float, Policy] | None = None
    damaged: dict[str, None] = {}  # reasons, each once
    for file in reversed(numbered(folder / "policies", ".safetensors")):
        try:
            policy, about = read_policy(file)
        except PolicyFileError as error:
            damaged[str(error).removeprefix(f"{file}: ")] = None
            continue
        score = about.get("score")
        rank = float(score) if isinstance(score, int | float) else -np.inf
        if which == "latest":
            return policy
        if best is None or rank > best[0]:
            best = rank, policy
    if best is None:
        told = f"holds no policy that can be read here: {'; '.join(damaged)}" if damaged else "holds no policy yet"
        needed = f" (its run.json names {', '.join(modules)})" if damaged and modules else ""
        raise RunFolderError(f"{str(folder)!r} {told}{needed}")
    return best[1]


def numbered(folder: Path, suffix: str = "") -> list[Path]:
    """What a folder holds under the names that this library gives, as `000012<suffix>`, by number; nothing else."""
    known = re.compile(r"(\d{6}|[1-9]\d{6,17})" + re.escape(suffix), re.ASCII)
    entries = [entry for entry in folder.iterdir() if known.fullmatch(entry.name)] if folder.is_dir() else []
    return sorted(entries, key=lambda entry: int(entry.name.removesuffix(suffix)))


def _lines_that_count(path: Path, bad: bool) -> tuple[array[int], array[int]]:
    """Offsets and numbers of the newest line of each iteration, in the order of the iterations."""
    offsets, numbers, iterations, at = array("q"), array("q"), array("q"), 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break  # torn: its writer was killed, or is still writing it
            head = line.endswith(b"}\n") and _HEAD.match(line)
            iteration = int(head[1]) if head else (_record(path, number, line, bad) or {}).get("iteration")
            at, begins = at + len(line), at
            if not isinstance(iteration, int):
                if bad:
                    raise _bad_line(path, number)
                continue
            while iterations and iterations[-1] >= iteration:
                for column in (offsets, numbers, iterations):
                    column.pop()
            iterations.append(iteration)
            numbers.append(number)
            offsets.append(begins)
    return offsets, numbers


def _record(path: Path, number: int, line: bytes, bad: bool) -> dict[str, Any] | None:
    """The object of a line. For a bad one RunFolderError is raised, or None returned where `bad` is False."""
    try:
        record = parse_json(line)
    except ValueError:
        record = None
    if isinstance(record, dict):
        return record
    if bad:
        raise _bad_line(path, number)
    return None


def _bad_line(path: Path, number: int) -> RunFolderError:
    return RunFolderError(f"{path.name}: line {number} is not a JSON object")


def _time(text: Any) -> datetime | None:
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None

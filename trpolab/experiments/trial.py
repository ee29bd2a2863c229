"""One trial of a grid, run as a process of its own: its folder's name follows from what is asked, its score lies in it.

<out>/<task>-<label>-s<seed>-<8 hex>/   a run folder, and in it
  score.json                            whole evaluation episodes of the trained policy; written once
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from trpolab.runs.disk import parse_json, strict_json, write_atomically
from trpolab.runs.reader import ALIVE, RunFolderError, RunLocked, read_status
from trpolab.runs.writer import plain_name
from trpolab.sampling.errors import Interrupted
from trpolab.sampling.evaluate import play_episodes
from trpolab.training.loop import Diverged
from trpolab.training.session import Session

SCORE = "score.json"


class Ended(IntEnum):
    """Exit codes of a trial's process; 1 is a crash, with its traceback in the log."""

    FINISHED = 0
    DIVERGED = 3
    ELSEWHERE = 75  # another process runs it
    STOPPED = 130


@dataclass(frozen=True)
class TrialSpec:
    """What is to be run: a task, settings and a seed, and how the policy is judged at the end."""

    task: str
    label: str  # what it is called in tables
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the run, besides task and seed
    episodes: int = 20
    deterministic: bool = False

    @property
    def given(self) -> dict[str, Any]:
        """What `trpolab.train` is given besides the task. One thread, if nothing else is said."""
        return {"threads": 1, **self.settings, "seed": self.seed}

    @property
    def asked(self) -> str:
        """What is to be run, in a word that its `Curve` has as well."""
        return json.dumps([self.task, self.label, self.seed, dict(self.settings)], sort_keys=True)

    @property
    def name(self) -> str:
        """Of its run folder: another one wherever anything else is asked."""
        what = json.dumps([self.task, self.given, self.episodes, self.deterministic], sort_keys=True)
        digest = hashlib.sha256(what.encode()).hexdigest()[:8]
        return f"{plain_name(self.task)}-{plain_name(self.label)}-s{self.seed}-{digest}"


@dataclass(frozen=True)
class TrialResult:
    """What has come of a trial, by what lies in its folder."""

    trial: TrialSpec
    folder: Path
    state: str  # finished (and scored), diverged, running (some process writes it), unfinished, unreadable, crashed
    message: str = ""
    score: float = math.nan  # mean return of the evaluation's episodes
    length: float = math.nan  # their mean length
    kept: Any = None  # its `Curve`, where only that was kept, and no folder

    @property
    def over(self) -> bool:
        """Whether nothing is left to be run."""
        return self.state in ("finished", "diverged", "unreadable")


def outcome_of(trial: TrialSpec, out: Path) -> TrialResult:
    """What has come of a trial so far."""
    folder = out / trial.name
    if not folder.exists():
        return TrialResult(trial, folder, "unfinished")
    try:
        status = read_status(folder)
        if (folder / SCORE).exists():
            found = parse_json((folder / SCORE).read_text(encoding="utf-8"))
            return TrialResult(trial, folder, "finished", "", float(found["mean"]), float(found["length"]))
    except (RunFolderError, OSError, ValueError, KeyError, TypeError) as error:
        return TrialResult(trial, folder, "unreadable", f"{type(error).__name__}: {error}")
    state = "running" if status.state in ALIVE else status.state
    return TrialResult(trial, folder, state if state in ("running", "diverged") else "unfinished", status.message)


def run_trial(trial: TrialSpec, out: Path) -> Ended:
    """Begin a trial's run or go on with it, and write its score. Ends early when the parent process does."""
    folder = out / trial.name
    try:
        if folder.exists():
            session = Session(resume=folder)
        else:
            session = Session(trial.task, out=out, name=folder.name, label=trial.label, **trial.given)
        controls = session.controls
        threading.Thread(target=_stop_with_parent, args=(controls.stop,), daemon=True).start()
        if not session.progress.over(controls.requested):
            session.run()
        if controls.stopping or not session.progress.over(controls.requested):
            return Ended.STOPPED
        how = (trial.episodes, trial.seed, trial.deterministic)
        found = play_episodes(session.policy, session.source, *how, interrupt=lambda: controls.stopping)
    except RunLocked:
        return Ended.ELSEWHERE
    except Diverged:
        return Ended.DIVERGED
    except Interrupted:
        return Ended.STOPPED
    about = {"mean": found.mean, "std": found.std, "length": float(found.lengths.mean())}
    about |= {"episodes": trial.episodes, "seed": trial.seed, "deterministic": trial.deterministic}
    about |= {"returns": found.returns.tolist(), "lengths": found.lengths.tolist()}
    write_atomically(folder / SCORE, strict_json(about, indent=1))
    return Ended.FINISHED


def _stop_with_parent(stop: Callable[[], None]) -> None:
    """Nothing more is written to the standard input: it ends when the parent does, or wants this to end."""
    sys.stdin.read()
    stop()


def main() -> None:
    """What a trial's process runs: one line of JSON on its standard input says what; the input ends with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    asked = json.loads(sys.stdin.readline())
    for module in asked["modules"]:
        importlib.import_module(module)
    sys.exit(run_trial(TrialSpec(**asked["trial"]), Path(asked["out"])))

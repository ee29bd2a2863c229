"""What a player plays: policies of a run folder, of a file, or in memory, and their task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trpolab.lab.kept_policies import Kept, Single, kept_in
from trpolab.machine import user_path
from trpolab.policies import Policy, read_policy
from trpolab.runs.reader import read_run
from trpolab.settings import PlainError
from trpolab.simulators import Source, configured
from trpolab.training.checkpoint import recorded_config


@dataclass(frozen=True)
class PlayedRun:
    """Policies of one run, and the task that they play."""

    name: str
    source: Source
    kept: Kept


def played_run(what: Policy | str | Path, task: Source | None = None) -> PlayedRun:
    """What can be played of a run folder, a policy file or a policy."""
    if isinstance(what, Policy):
        if task is None:
            raise PlainError("task: give the task that the policy plays, such as task='Hopper-v5'")
        return PlayedRun("policy", task, Single(what))
    path = user_path(what)
    if path.is_file():
        policy, about = read_policy(path)
        source = task if task is not None else about.get("task")
        if not source:
            raise PlainError(f"task: {str(what)!r} does not tell its own; give it, such as task='Hopper-v5'")
        at = about.get("iteration")
        return PlayedRun(path.stem, source, Single(policy, at if isinstance(at, int) else 0))
    about = read_run(path)
    config = recorded_config(about, about["settings"])
    return PlayedRun(path.name, configured(task if task is not None else about["task"], config), kept_in(path))

"""Resuming a run: its task, its config and its history, from what the run folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trpolab.runs.history import History
from trpolab.runs.reader import each_metrics
from trpolab.settings import ConfigError, as_setting
from trpolab.simulators import Source, find_task
from trpolab.simulators.base import Task, UnknownTask
from trpolab.training.checkpoint import CheckpointError, Saved
from trpolab.training.config import Config, settings

OF_THE_WATCHER = ("iterations", "seconds_per_iteration")  # settings that change nothing of what is learned


def task_of(saved: Saved, source: Source) -> Task:
    """What is known of the task; the run's policy must fit it. Raises CheckpointError with a sentence."""
    folder = str(saved.folder)
    try:
        task = find_task(source)
    except UnknownTask as error:
        raise CheckpointError(
            f"{folder!r} is a run of {saved.task}, which isn't known here. If it was a Python callable, "
            "its run is resumed from Python: Session(make_env, resume=folder)"
        ) from error
    if saved.train_state is not None:
        policy = saved.train_state.progress.learner.policy
        if misfit := policy.misfit(task.observation_space, task.action_space):
            raise CheckpointError(f"{folder!r} holds a policy that does not fit {task.name}: {misfit}")
    return task


def config_of(saved: Saved, given: Mapping[str, Any]) -> Config:
    """The run's own settings with the given ones over them; what is fixed stays. Raises ConfigError listing all."""
    known, problems = settings(), []
    for name, value in given.items():
        if name in known and not known[name].live and as_setting(value) != saved.config.get(name):
            problems.append(f"{name} = {value!r}: a run that is resumed keeps its own, {saved.config.get(name)!r}")
    if (asked := given.get("iterations")) is not None and isinstance(asked, int) and asked <= saved.iteration:
        problems.append(f"iterations = {asked}: the run has done {saved.iteration} already; give more to go on")
    try:
        config = saved.config.replace(**{**saved.pending, **given})
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return config


def turned_later(saved: Saved, given: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Settings that changed after the checkpoint, by iteration, so that these iterations are repeated alike.

    Settings that are given now take precedence.
    """
    names = {name for name, about in settings().items() if about.live} - {*given, *OF_THE_WATCHER}
    found = {}
    for record in each_metrics(saved.folder):
        changed = record.get("changed")
        if record["iteration"] > saved.iteration and isinstance(changed, dict):
            again = {name: as_setting(value) for name, value in changed.items() if name in names}
            found[record["iteration"]] = again
    return found


def history_of(saved: Saved) -> History:
    """The records of the iterations that are done."""
    return History(record for record in each_metrics(saved.folder) if record["iteration"] <= saved.iteration)

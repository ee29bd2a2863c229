"""Resuming a run: its task, its config, its history and its schedule, from what the run folder holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from trpolab.own import OWN, typed
from trpolab.runs.history import History
from trpolab.runs.reader import RunFolderError, each_metrics, read_events
from trpolab.settings import ConfigError, as_setting
from trpolab.simulators import Source, find_task
from trpolab.simulators.base import CALLABLE, VERDICT, Task, UnknownTask, differences
from trpolab.training.checkpoint import CheckpointError, Saved
from trpolab.training.config import Config, check, settings, with_budget

Schedule = dict[int, dict[str, Any]]  # settings by the iteration from which on they are in use

OF_THE_WATCHER = ("iterations", "steps", "seconds_per_iteration")  # settings that change nothing of what is learned


def task_of(saved: Saved, source: Source, changed_environment: bool = False) -> tuple[Task, str]:
    """What is known of the task, and what has to be said of it, or "".

    The run's policy must fit it, and unless `changed_environment`, it must be made of what the run's was. Raises
    CheckpointError with a sentence.
    """
    folder, made_by = str(saved.folder), (saved.environment or {}).get(CALLABLE)
    how = f"make_env, resume={folder!r}"
    python = f"from Python: trpolab.Session({how}).run(), or trpolab.Lab({how})"
    if made_by and isinstance(source, str) and not changed_environment:
        raise CheckpointError(
            f"{folder!r} is a run of environments that a Python callable made, {made_by}: their name, "
            f"{saved.task}, does not tell what they were. With that callable as make_env it is resumed {python}"
        )
    try:
        task = find_task(source)
    except UnknownTask as error:
        raise CheckpointError(
            f"{folder!r} is a run of {saved.task}, which isn't known here. If it was a Python callable, it is resumed "
            f"{python}"
        ) from error
    if saved.train_state is not None:
        policy = saved.train_state.progress.learner.policy
        if misfit := policy.misfit(task.observation_space, task.action_space):
            raise CheckpointError(f"{folder!r} holds a policy that does not fit {task.name}: {misfit}")
    if saved.environment is None:
        return task, "it was written by an older version, which did not record what its environments were made of"
    if reason := saved.environment.get(VERDICT):  # a run has one verdict
        task = replace(task, can_restore=False, restore_reason=str(reason))
    if not (other := differences(saved.environment, task.fingerprint)):
        return task, ""
    if not changed_environment:
        raise CheckpointError(
            f"{folder!r} is a run of other environments ({other}). To go on with these all the same, give "
            "changed_environment=True, in the terminal --changed-environment"
        )
    return task, f"it goes on with other environments ({other})"


def _demand_functions(saved: Saved, given: Mapping[str, Any], rewound: bool) -> None:
    """Raise CheckpointError unless the functions of a person that the run was made with are given again, and no others.

    A new run, `rewound`, may have others, and leaves one out that is named: `conjugate_gradient=None`.
    """
    mine = {name for name in OWN if name in given and (callable(given[name]) or given[name] is None)}
    folder, missing = str(saved.folder), [name for name in saved.functions if name not in mine]
    if missing:
        how = ", ".join(
            [f"resume={folder!r}", *(f"{name}={typed(name, called)}" for name, called in saved.functions.items())]
        )
        told = " and ".join(f"{name} ({saved.functions[name]})" for name in missing)
        raise CheckpointError(
            f"{folder!r} is a run with a person's own {told}, which is in no file. With that it is resumed from "
            f"Python: trpolab.Session({how}).run(), or trpolab.Lab({how})"
        )
    other = [name for name in mine if (given[name] is None) == (name in saved.functions)]
    if other and not rewound:
        was, how = saved.functions.get(other[0], "the library's"), f"resume={folder!r}, at={saved.iteration}"
        raise CheckpointError(
            f"{folder!r} is a run whose {other[0]} was {was}, and it keeps that; a new run may go on otherwise: "
            f"trpolab.Session({how}, {other[0]}=...).run()"
        )


def config_of(saved: Saved, given: Mapping[str, Any], rewound: bool = False) -> Config:
    """The run's own settings with the given ones over them; what is fixed stays. Raises ConfigError listing all, and
    CheckpointError where a person's function is missing.
    """
    _demand_functions(saved, given, rewound)
    known, problems = settings(), []
    for name, value in given.items():
        if name in OWN and callable(value):
            continue
        if name in known and known[name].kept and as_setting(value) != saved.config.get(name):
            problems.append(f"{name} = {value!r}: a run that is resumed keeps its own, {saved.config.get(name)!r}")
    done = saved.train_state.progress if saved.train_state is not None else None
    for name, count in (("iterations", done.iteration), ("steps", done.sim_steps)) if done is not None else ():
        if isinstance(asked := as_setting(given.get(name)), int) and asked <= count:
            problems.append(f"{name} = {asked}: the run has done {count} already; give more to go on")
    try:
        config = saved.config.replace(**{**saved.pending, **with_budget(given)})
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return config


def turned_later(saved: Saved, given: Mapping[str, Any]) -> Schedule:
    """Settings that changed or were scheduled to change after the checkpoint, so that these iterations are alike.

    Settings that are given now take precedence.
    """
    found: Schedule = {}
    for event in read_events(saved.folder):
        if event.get("event") == "scheduled" and isinstance(told := event.get("schedule"), dict):
            found |= {int(at): again for at, again in told.items() if at.isdecimal() and isinstance(again, dict)}
    found |= turned_in(each_metrics(saved.folder, bad=False))
    return {
        iteration: {name: as_setting(value) for name, value in changes.items() if name not in given}
        for iteration, changes in found.items()
        if iteration > saved.iteration
    }


def turned_in(rows: Iterable[Mapping[str, Any]]) -> Schedule:
    """The schedule that a run's iterations tell of: what was turned while it went on."""
    live = {name for name, about in settings().items() if about.live} - {*OF_THE_WATCHER}
    return {
        row["iteration"]: {name: as_setting(value) for name, value in row["changed"].items() if name in live}
        for row in rows
        if isinstance(row.get("changed"), dict)
    }


def checked(schedule: Any, config: Config, task: Task, done: int) -> Schedule:
    """A schedule as what changes in each iteration. Raises ConfigError that lists all that can't be."""
    problems, found = [], {}
    given = {as_setting(at): changes for at, changes in schedule.items()} if isinstance(schedule, Mapping) else None
    if given is None or not all(isinstance(changes, Mapping) for changes in given.values()):
        form = "a table of settings by iteration, such as {3: {'delta': 0.05}}"
        raise ConfigError([f"schedule = {schedule!r}: must be {form}"])
    for at in given:
        if not isinstance(at, int) or isinstance(at, bool) or at <= done:
            problems.append(f"schedule, iteration {at!r}: must be a whole number > {done}, the iterations done")
    for at in sorted(given) if not problems else ():
        before, known = config, settings()
        own = [name for name in given[at] if name in OWN and callable(given[at][name])]
        fixed = own + [name for name in given[at] if name in known and not known[name].live]
        problems += [f"schedule, iteration {at}: {name} can't change while a run goes on" for name in fixed]
        try:
            check(config := config.replace(**given[at]), task)
        except ConfigError as error:
            problems += [f"schedule, iteration {at}: {problem}" for problem in error.problems]
        found[at] = {name: value for name, value in config.settings().items() if value != before.get(name)}
    if problems:
        raise ConfigError(problems)
    return found


def history_of(saved: Saved) -> tuple[History, str]:
    """The records of the iterations that are done, and what has to be said of them, or ""."""

    def done(bad: bool) -> History:
        return History(row for row in each_metrics(saved.folder, bad=bad) if row["iteration"] <= saved.iteration)

    try:
        history, said = done(bad=True), ""
    except RunFolderError as error:  # checkpoints hold all that the next iteration needs
        history, said = done(bad=False), f"{error}; such lines are left out of the history"
    if not said and len(history) < saved.iteration:
        lost = saved.iteration - len(history)
        said = f"metrics.jsonl lacks {lost:,} of the {saved.iteration:,} iterations done; the history is without them"
    if saved.train_state is None and (rows := list(each_metrics(saved.folder, 2, bad=False))):
        said = f"no checkpoint is left of its {rows[-1]['iteration']:,} iterations: it begins anew"
    return history, said


def warnings_of(saved: Saved) -> set[str]:
    """The kinds of warnings that the run's events tell of."""
    return {str(event.get("about")) for event in read_events(saved.folder) if event.get("event") == "warning"}

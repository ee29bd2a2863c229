"""`trpolab.sweep`: a grid of settings on one task, with several seeds of each."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trpolab.experiments.grid import Grid
from trpolab.experiments.results import markdown, table_of, write_csv
from trpolab.experiments.trial import TrialResult, TrialSpec
from trpolab.machine import user_path
from trpolab.runs.writer import plain_name
from trpolab.sampling.sampler import SAMPLERS
from trpolab.sampling.workers.execution import LOCAL
from trpolab.settings import ConfigError, PlainError, as_setting, unknown_setting, whole_number
from trpolab.training.config import settings
from trpolab.training.progress import is_watched
from trpolab.updates import METHODS

MOST_TRIALS = 10_000
NO_AXES = {"seed": "seeds=5 takes the seeds 0 to 4", "task": "a sweep has one task"}


@dataclass(frozen=True)
class Swept:
    """What a sweep came to. Shown as a table; `files` are the data as CSV."""

    outcomes: Sequence[TrialResult]
    files: Sequence[Path]

    @property
    def table(self) -> list[dict[str, str]]:
        """A row for each combination."""
        return table_of(self.outcomes)

    def __repr__(self) -> str:
        rows = self.table
        return markdown(list(rows[0]), [list(row.values()) for row in rows])


def sweep(
    task: str,
    *,
    seeds: int | Iterable[int] = 5,
    jobs: int | None = None,
    out: str | Path | None = None,
    episodes: int = 20,
    deterministic: bool = False,
    progress: bool | None = None,
    executor: str = LOCAL,
    **axes: Any,
) -> Swept:
    """Train with every combination of the settings, each with several seeds, and evaluate each policy at the end.

    A list is an axis, anything else one value: `sweep("Hopper-v5", delta=[0.01, 0.02], steps=100_000)`. `seeds` is a
    number of them or the seeds themselves, `jobs` how many runs go on at a time (None: as many as there are cores),
    `executor` where: here, or on Ray, a worker for each run, in a folder that all machines share.
    Each run lies in `out` (None: `sweeps/<task>`) under a name that follows from its settings: called again, the sweep
    goes on and leaves out what is finished. Raises ConfigError that lists all that is wrong, before anything runs.
    """
    trials = trials_of(task, seeds, whole_number("episodes", episodes, 1), deterministic, axes)
    folder = user_path(out) if out is not None else Path("sweeps") / plain_name(task)
    shown = is_watched(sys.stdout) if progress is None else progress
    outcomes = Grid(trials, folder, jobs, sys.stdout if shown else None, executor=executor).run()
    return Swept(outcomes, write_csv(outcomes, folder))


def trials_of(
    task: str, seeds: int | Iterable[int], episodes: int, deterministic: bool, axes: Mapping[str, Any]
) -> list[TrialSpec]:
    """The trials of a sweep, one seed of all combinations after the other. Raises ConfigError that lists all faults."""
    problems, known = [], settings()
    if not isinstance(task, str):
        problems.append(f"task = {task!r}: must be a name, as processes of their own make it; my_module:MyEnv is one")
    problems += [f"{name}: is no axis; {NO_AXES[name]}" for name in axes if name in NO_AXES]
    axes = {name: value if isinstance(value, list) else [value] for name, value in axes.items() if name not in NO_AXES}
    values = {name: [as_setting(one) for one in given] for name, given in axes.items()}
    for name, given in values.items():
        if name not in known:
            problems.append(unknown_setting(name, known))
        problems += [f"{name} = {one!r}: is there twice" for k, one in enumerate(given) if one in given[:k]]
        problems += [said for one in given if name in known and (said := known[name].problem(one))]
        problems += [] if given else [f"{name}: has no value"]
    try:
        which = list(range(whole_number("seeds", seeds, 1))) if not isinstance(seeds, Iterable) else [*seeds]
    except PlainError as error:
        problems.append(str(error))
        which = [0]
    if problems:
        raise ConfigError(problems)
    combinations = _combinations(values)
    if len(combinations) * len(which) > MOST_TRIALS:
        raise ConfigError([f"{len(combinations) * len(which):,} trials: at most {MOST_TRIALS:,}"])
    return [
        TrialSpec(task, label, seed, chosen, episodes, deterministic)
        for seed in which
        for label, chosen in combinations.items()
    ]


def _combinations(values: Mapping[str, list[Any]]) -> dict[str, dict[str, Any]]:
    """Every combination of the values by what tells it from the others.

    Of an axis that a method or sampler does not read, its combinations have no value: they would be the same run.
    """
    axes = [name for name, given in values.items() if len(given) > 1]
    found: dict[str, dict[str, Any]] = {}
    for chosen in itertools.product(*values.values()):
        given = dict(zip(values, chosen, strict=True))
        given = {name: value for name, value in given.items() if name not in axes or _is_read(name, given)}
        told = [name for name in axes if name in given]
        label = ", ".join(str(given[n]) if n in ("method", "sampler") else f"{n}={_short(given[n])}" for n in told)
        found[label or str(given.get("method", "trpo"))] = given
    return found


def _is_read(name: str, given: Mapping[str, Any]) -> bool:
    """Whether a run with these settings reads one of them, as far as its method and its sampler tell."""
    method, sampler = METHODS[given.get("method", "trpo")], SAMPLERS[given.get("sampler", "single-path")]
    of_methods = {own for kind in METHODS.values() for own in kind.names}
    of_samplers = {own for kind in SAMPLERS.values() for own in kind.own}
    if name in of_methods:
        return name in method.names
    return method.searches or name not in of_samplers or name in sampler.own


def _short(value: Any) -> str:
    return "none" if value is None else "-".join(map(str, value)) if isinstance(value, tuple) else str(value)

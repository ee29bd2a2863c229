"""What runs came to: learning curves, tables and CSV files, and the results that are kept in the repository."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import platform
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from trpolab.experiments.statistics import Estimate, estimate
from trpolab.experiments.trial import TrialResult, TrialSpec
from trpolab.machine import installed_versions, processor, usable_cores
from trpolab.numerics.device import CPU, device_name
from trpolab.runs.disk import write_atomically
from trpolab.runs.reader import RunFolderError, each_metrics, load_policy
from trpolab.settings import PlainError

COLUMNS = ("iterations", "steps", "seconds", "returns")


@dataclass(frozen=True)
class Curve:
    """One run: training returns over iterations, simulator steps and seconds, and its policy's score at the end."""

    task: str
    method: str  # what it is called
    seed: int
    steps: tuple[int, ...]  # cumulative, branches and candidates included
    seconds: tuple[float, ...]  # cumulative, sampling and update
    returns: tuple[float, ...]  # mean raw return of the episodes that ended in the iteration
    final: float  # mean raw return of evaluation episodes; NaN for a run that crashed
    length: float  # their mean length in steps
    parameters: int  # D
    given: dict[str, Any]  # settings
    iterations: tuple[int, ...] = ()

    @classmethod
    def of(cls, outcome: TrialResult) -> Curve:
        """A trial's, at those iterations in which episodes ended; what was kept of it, where its folder is gone."""
        if outcome.kept is not None:
            return cast(Curve, outcome.kept)
        rows: list[dict[str, Any]] = []
        size, spent = 0, 0.0
        if outcome.folder.exists() and outcome.state != "unreadable":
            for row in each_metrics(outcome.folder, bad=False):
                spent += row["seconds_total"]
                rows += [{**row, "spent": spent}] if row["episodes"] else []
            try:
                size = load_policy(outcome.folder).size
            except RunFolderError:  # it crashed before there was one
                size = 0
        trial = outcome.trial
        return cls(
            trial.task,
            trial.label,
            trial.seed,
            steps=tuple(row["sim_steps"] for row in rows),
            seconds=tuple(round(row["spent"], 3) for row in rows),
            returns=tuple(round(row["return_mean"], 2) for row in rows),
            final=round(outcome.score, 2),
            length=round(outcome.length, 1),
            parameters=size,
            given=dict(trial.settings),
            iterations=tuple(row["iteration"] for row in rows),
        )

    @property
    def asked(self) -> str:
        """What was run, as its trial says it."""
        return TrialSpec(self.task, self.method, self.seed, self.given).asked

    @property
    def command(self) -> str:
        """The command line that trains the same."""
        given = {**self.given, "seed": self.seed}
        pairs = [f"{name}={_typed(value)}" for name, value in given.items()]
        return shlex.join(["trpolab", "train", self.task, *(word for pair in pairs for word in ("--set", pair))])

    def thinned(self, points: int) -> Curve:
        """At most so many points of it, evenly spread, the last among them."""
        kept = np.linspace(0, len(self.steps) - 1, min(points, len(self.steps))).astype(int)
        columns: dict[str, Any] = {name: getattr(self, name) for name in COLUMNS}
        columns = {name: tuple(values[k] for k in kept) for name, values in columns.items() if values}
        return dataclasses.replace(self, **columns)


def table_of(outcomes: Sequence[TrialResult]) -> list[dict[str, str]]:
    """A row for each task and label: how many seeds, the score with its interval, and how many runs crashed."""
    rows = []
    for task, label in dict.fromkeys((one.trial.task, one.trial.label) for one in outcomes):
        mine = [one for one in outcomes if (one.trial.task, one.trial.label) == (task, label)]
        scores = [one.score for one in mine if one.state != "unfinished"]
        found = estimate(scores) if scores else Estimate(math.nan)
        row = {"task": task, "what": label, "seeds": len(mine), "return": found.in_words, "crashed": found.crashed}
        rows.append({name: str(cell) for name, cell in {**row, "not run": len(mine) - len(scores)}.items()})
    empty = [name for name in ("crashed", "not run") if all(row[name] == "0" for row in rows)]
    return [{name: cell for name, cell in row.items() if name not in empty} for row in rows]


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as Markdown, aligned so that it also reads well in a terminal."""
    cells = [list(map(str, head)), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    first, *others = [f"| {' | '.join(row)} |" for row in padded]
    return "\n".join([first, f"|{'|'.join('-' * (width + 2) for width in widths)}|", *others])


def write_csv(outcomes: Sequence[TrialResult], out: Path) -> list[Path]:
    """`trials.csv`, a line for each trial, and `curves.csv`, one for each iteration in which episodes ended."""
    named = sorted({name for one in outcomes for name in one.trial.settings})
    trials: list[list[Any]] = [["task", "label", "seed", *named, "state", "score", "length", "folder", "message"]]
    for one in outcomes:
        trial, scores = one.trial, ("" if math.isnan(number) else number for number in (one.score, one.length))
        asked = (trial.settings.get(name, "") for name in named)
        trials.append([trial.task, trial.label, trial.seed, *asked, one.state, *scores, one.folder.name, one.message])
    curves = (point for one in outcomes for point in _points(Curve.of(one)))
    return [
        _written(out / "trials.csv", trials),
        _written(out / "curves.csv", [["task", "label", "seed", *COLUMNS], *curves]),
    ]


def keep(file: Path, command: str, machine: str, curves: Iterable[Curve]) -> None:
    """Write curves to one file, with the command that made them and the machine."""
    rows = ",\n".join(map(_line, curves))
    head = json.dumps({"command": command, "machine": machine}, ensure_ascii=False)[:-1]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, f'{head}, "runs": [\n{rows}\n]}}')


def machine() -> str:
    """The machine and the versions in one line."""
    versions = installed_versions()
    shown = [f"{name} {versions[name]}" for name in ("torch", "mujoco", "gymnasium", "numpy") if name in versions]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    python = f"Python {platform.python_version()}"
    gpu = [] if (name := device_name("auto")) == CPU else [name]
    return f"{usable_cores()} cores of {processor()}, {', '.join([*gpu, python, *shown])}; load {load:.1f}"


def read_curves(file: str | Path) -> list[Curve]:
    """The curves of a file that `keep` wrote: its path, or the name of one that came with this installation.

    A run that crashed has the score NaN. Raises PlainError for a file with other contents.
    """
    path = kept_results() / f"{file}.json" if isinstance(file, str) else file
    try:
        runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"]
        return [_curve(run) for run in runs]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise PlainError(f"{path} does not hold learning curves ({error})") from error


def curves_in(file: Path) -> list[Curve]:
    """What an earlier run kept in this file, if there is one. Raises PlainError as `read_curves` does."""
    return read_curves(file) if file.exists() else []


def kept_results() -> Path:
    """The results that came with this installation: inside the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "results"
    return inside if inside.is_dir() else package.parent / "results"


def _curve(run: dict[str, Any]) -> Curve:
    scores = {name: math.nan if run[name] is None else run[name] for name in ("final", "length")}
    return Curve(**(run | scores | {name: tuple(run.get(name, ())) for name in COLUMNS}))


def _typed(value: Any) -> str:
    """A value as `--set` takes it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _line(curve: Curve) -> str:
    about = dataclasses.asdict(curve)
    scores = {name: None if math.isnan(about[name]) else about[name] for name in ("final", "length")}
    return json.dumps(about | scores, ensure_ascii=False)


def _points(curve: Curve) -> Iterator[list[Any]]:
    for point in zip(*(getattr(curve, name) for name in COLUMNS), strict=True):
        yield [curve.task, curve.method, curve.seed, *point]


def _written(path: Path, rows: Iterable[Sequence[Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path

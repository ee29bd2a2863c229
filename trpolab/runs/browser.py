"""A table of run folders: sorted, labelled, opened by the calls that take a folder, deleted when asked twice."""

from __future__ import annotations

import dataclasses
import html
import pkgutil
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from trpolab.machine import user_path
from trpolab.runs.disk import strict_json, write_atomically
from trpolab.runs.follower import printable
from trpolab.runs.reader import ALIVE, RunFolderError, each_metrics, parent_of, read_run, read_status
from trpolab.runs.writer import label_problem

COLUMNS = ("name", "label", "task", "method", "sampler", "seed", "state", "iterations", "steps", "score", "parent")


@dataclass(frozen=True)
class RunEntry:
    """One run folder, in short. It is taken wherever a run folder is: `Lab(resume=run)`, `load_policy(run)`."""

    path: Path
    name: str
    label: str
    task: str
    method: str
    sampler: str
    seed: Any
    state: str  # as `read_status` has it
    iterations: int
    steps: int | None
    score: float | None  # mean return of the last 100 training episodes
    parent: str  # the run that it was rewound from, and the iteration; "" for none
    created: str  # ISO 8601, UTC

    def __fspath__(self) -> str:
        return str(self.path)

    @classmethod
    def of(cls, path: Path) -> RunEntry:
        """What a run folder holds. Raises RunFolderError."""
        about, status = read_run(path), read_status(path)
        settings, parent = about["settings"], parent_of(about)
        last = [{}, *each_metrics(path, 2, bad=False)][-1]
        steps, score = (last.get(name) for name in ("sim_steps", "return_recent"))
        method, sampler = (str(last.get(name, settings.get(name, ""))) for name in ("method", "sampler"))
        return cls(
            path,
            about["id"],
            str(about.get("label") or ""),
            about["task"],
            method,
            sampler,
            settings.get("seed"),
            status.state,
            status.iteration,
            steps if isinstance(steps, int) else None,
            float(score) if isinstance(score, int | float) else None,
            f"{parent['run']} at {parent['iteration']}" if parent else "",
            str(about.get("created", "")),
        )


class Runs(Sequence[RunEntry]):
    """The runs of a folder, in the order of their beginnings. `broken` says what can't be read."""

    def __init__(self, folder: str | Path = "runs", runs: Sequence[RunEntry] | None = None, broken: Sequence[str] = ()):
        self.folder, self.broken = user_path(folder), list(broken)
        self._runs = list(runs) if runs is not None else []
        if runs is not None:
            return
        if not self.folder.is_dir():
            raise RunFolderError(f"{str(folder)!r} is not a folder")
        for path in sorted(self.folder.iterdir()):
            if not path.name.startswith(".") and (path / "run.json").exists():
                try:
                    self._runs.append(RunEntry.of(path))
                except (RunFolderError, OSError) as error:
                    self.broken.append(str(error))
        self._runs.sort(key=lambda run: (run.created, run.name))

    def sort(self, by: str, descending: bool = False) -> Runs:
        """The same runs in the order of a column; those without a value stand last."""
        if by not in COLUMNS:
            raise RunFolderError(f"by = {by!r}: must be one of {', '.join(COLUMNS)}")
        has = [run for run in self._runs if getattr(run, by) is not None]
        rest = [run for run in self._runs if getattr(run, by) is None]
        alike = len({type(getattr(run, by)) for run in has}) <= 1
        has.sort(key=lambda run: getattr(run, by) if alike else str(getattr(run, by)), reverse=descending)
        return Runs(self.folder, [*has, *rest], self.broken)

    def label(self, which: int, text: str) -> RunEntry:
        """Give a run another label, on the disk too."""
        if problem := label_problem(text):
            raise RunFolderError(problem)
        run = self[which]
        write_atomically(run.path / "run.json", strict_json({**read_run(run.path), "label": text}, indent=1))
        self._runs[which] = dataclasses.replace(run, label=text)
        return self._runs[which]

    def delete(self, which: int, confirm: str = "") -> str:
        """Delete a run's folder, if `confirm` is its name; without it, say what would be deleted."""
        run = self[which]
        size = sum(file.stat().st_size for file in run.path.rglob("*") if file.is_file())
        what = f"{run.path} ({run.iterations} iterations, {size / 1e6:,.1f} MB)"
        if read_status(run.path).state in ALIVE:
            raise RunFolderError(f"{str(run.path)!r} is being written; stop that run first")
        if confirm != run.name:
            return f"{what} is kept; to delete it for good: delete({which}, confirm={run.name!r})"
        shutil.rmtree(run.path)
        self._runs.remove(run)
        return f"{what} is deleted"

    @overload
    def __getitem__(self, which: int) -> RunEntry: ...

    @overload
    def __getitem__(self, which: slice) -> list[RunEntry]: ...

    def __getitem__(self, which: int | slice) -> RunEntry | list[RunEntry]:
        return self._runs[which]

    def __len__(self) -> int:
        return len(self._runs)

    def _rows(self, columns: Sequence[str] = COLUMNS) -> Iterator[list[str]]:
        yield ["", *columns]
        for number, run in enumerate(self._runs):
            yield [str(number), *(_shown(getattr(run, name)) for name in columns)]

    def lines(self, columns: Sequence[str] = COLUMNS) -> list[str]:
        """The table in columns of text: its head, and a line for each run."""
        rows = list(self._rows(columns))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]

    def __repr__(self) -> str:
        return "\n".join([f"{len(self)} runs in {self.folder}", *self.lines(), *map(printable, self.broken)])

    def _ipython_display_(self) -> None:
        """In a notebook with the lab installed, with controls; they stand above this room, so they are looked up."""
        try:
            show = pkgutil.resolve_name("trpolab.lab.run_browser:show")
        except ImportError:
            raise NotImplementedError from None  # IPython shows the plain table
        show(self)

    def _repr_html_(self) -> str:
        head, *rows = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in self._rows()]
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        told = "".join(f"<div>{html.escape(text)}</div>" for text in self.broken)
        title = html.escape(f"{len(self)} runs in {self.folder}")
        return f"<table><caption>{title}</caption><tr>{head.replace('td>', 'th>')}</tr>{body}</table>{told}"


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.1f}" if isinstance(value, float) else printable(value)

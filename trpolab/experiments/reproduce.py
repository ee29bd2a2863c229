"""`trpolab reproduce`: a figure or table of the paper, run anew; a module for each says what is run and shown."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from trpolab.experiments import figure4, table1
from trpolab.experiments.figures import draw_curves, save
from trpolab.experiments.grid import Grid
from trpolab.experiments.results import Curve, curves_in, keep, machine, markdown, table_of, write_csv
from trpolab.experiments.trial import TrialResult
from trpolab.sampling.workers.execution import LOCAL
from trpolab.settings import ConfigError, nearest, whole_number

EXPERIMENTS: dict[str, ModuleType] = {"figure4": figure4, "table1": table1}
SCALES = ("small", "medium", "paper")
POINTS = 40  # kept of a curve


@dataclass(frozen=True)
class Reproduced:
    """What a reproduction came to: its runs, its tables as Markdown, and the files that were written."""

    outcomes: Sequence[TrialResult]
    tables: Sequence[str]
    files: Sequence[Path]


def reproduce(
    name: str,
    scale: str = "small",
    seeds: int | None = None,
    jobs: int | None = None,
    out: Path | None = None,
    stream: TextIO | None = None,
    executor: str = LOCAL,
) -> Reproduced:
    """Run what a figure or table of the paper shows, at a scale, and write curves, figure and data into `out`.

    `seeds`: None is as many as the paper had. `executor` is where trials run, as for `Grid`. Started again, it goes on;
    runs that are finished are left out, also those of which only the curves are there, in `out`'s <name>-<scale>.json
    from another machine; Ctrl-C leaves such a file behind, too. Raises ConfigError that lists all that is wrong, and
    PlainError where that file holds something else; it stays as it is.
    """
    problems = []
    for what, value, known in (("name", name, tuple(EXPERIMENTS)), ("scale", scale, SCALES)):
        if value not in known:
            problems.append(f"{what} = {value!r}: must be one of {', '.join(known)}{nearest(str(value), known)}")
    about: Any = EXPERIMENTS.get(name)
    if not problems and scale not in about.SCALES:
        problems.append(f"scale = {scale!r}: {name} has {' and '.join(about.SCALES)}")
    if problems:
        raise ConfigError(problems)
    seeds = whole_number("seeds", about.SEEDS if seeds is None else seeds, 1)
    folder = out or Path("sweeps") / f"{name}-{scale}"
    kept = folder / f"{name}-{scale}.json"
    first, others = about.trials_of(scale, seeds)
    grid = Grid(first, folder, jobs, stream, others, partial(about.chosen, others, scale), executor, curves_in(kept))
    if stream is not None:
        print(*about.scaled(scale, seeds), sep="\n", file=stream, flush=True)
    command = shlex.join(["trpolab", "reproduce", name, "--scale", scale, "--seeds", str(seeds)])
    try:
        outcomes = grid.run()
    except KeyboardInterrupt:
        done = [Curve.of(one) for one in grid.outcomes() if one.state == "finished"]
        if there := {one.asked: one.thinned(POINTS) for one in (*curves_in(kept), *done)}:
            keep(kept, command, machine(), there.values())
        raise
    curves = [Curve.of(one) for one in outcomes]
    keep(kept, command, machine(), [one.thinned(POINTS) for one in curves])
    over = "steps" if all("steps" in trial.settings for trial in others) else "iterations"
    figure = draw_curves([one for one in curves if one.method in about.NAMES], over, about.NAMES)
    rows = table_of(outcomes)
    tables = [markdown(list(rows[0]), [list(row.values()) for row in rows]), *about.tables(curves)]
    files = [*save(figure, folder / name), *write_csv(outcomes, folder), kept]
    return Reproduced(outcomes, tables, files)

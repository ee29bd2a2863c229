"""`trpolab reproduce`: the paper's figures and tables, run anew; `figure4` says what is run and what is claimed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from trpolab.experiments import figure4
from trpolab.experiments.figures import draw_curves, save
from trpolab.experiments.grid import Grid
from trpolab.experiments.results import Curve, keep, machine, markdown, table_of, write_csv
from trpolab.experiments.trial import TrialResult
from trpolab.settings import ConfigError, nearest, whole_number

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
    seeds: int = 5,
    jobs: int | None = None,
    out: Path | None = None,
    stream: TextIO | None = None,
) -> Reproduced:
    """Run what a figure of the paper shows, at a scale, and write curves, figure and data into `out`.

    Started again, it goes on; runs that are finished are left out. Raises ConfigError that lists all that is wrong.
    """
    problems = []
    for what, value, known in (("name", name, ("figure4",)), ("scale", scale, figure4.SCALES)):
        if value not in known:
            problems.append(f"{what} = {value!r}: must be one of {', '.join(known)}{nearest(str(value), known)}")
    if problems:
        raise ConfigError(problems)
    seeds, folder = whole_number("seeds", seeds, 1), out or Path("sweeps") / f"{name}-{scale}"
    swept, others = figure4.trials_of(scale, seeds)
    grid = Grid(swept, folder, jobs, stream, others, lambda found: figure4.with_best_step(others, scale, found))
    if stream is not None:
        print(*figure4.scaled(scale, seeds), sep="\n", file=stream, flush=True)
    outcomes = grid.run()
    curves = [Curve.of(one) for one in outcomes]
    command = ["trpolab", "reproduce", name, "--scale", scale, "--seeds", str(seeds)]
    keep(folder / f"{name}-{scale}.json", shlex.join(command), machine(), [one.thinned(POINTS) for one in curves])
    over = "iterations" if scale == "paper" else "steps"
    figure = draw_curves([one for one in curves if one.method in figure4.NAMES], over, figure4.NAMES)
    rows = table_of(outcomes)
    tables = [
        markdown(list(rows[0]), [list(row.values()) for row in rows]),
        markdown(figure4.CLAIMS_HEAD, figure4.claims(curves)),
    ]
    files = [*save(figure, folder / name), *write_csv(outcomes, folder), folder / f"{name}-{scale}.json"]
    return Reproduced(outcomes, tables, files)

"""Benchmarks that are grids of training runs, which take hours: they go on where they were stopped."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from trpolab.experiments.grid import Grid
from trpolab.experiments.results import Curve, curves_in, keep, machine
from trpolab.experiments.trial import TrialSpec


def run_grid(name: str, trials: Sequence[TrialSpec], out: Path, points: int) -> list[Curve]:
    """Run what is left of a benchmark's trials in `out`; their curves, of so many points each.

    They are kept in `out`'s <name>.json. Runs in that file whose folders are gone, as it came from another machine, are
    not run again. Raises PlainError where it holds something else.
    """
    file = out / f"{name}.json"
    outcomes = Grid(trials, out, stream=sys.stderr, kept=curves_in(file)).run()
    curves = [Curve.of(one).thinned(points) for one in outcomes]
    keep(file, f"trpolab bench {name}", machine(), curves)
    return curves

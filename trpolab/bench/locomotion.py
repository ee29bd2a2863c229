"""Swimmer, hopper and walker: five seeds by default settings, one knob turned at a time, and the vine.

`results/locomotion.json` keeps such runs; `notebooks/5_locomotion.ipynb` draws them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trpolab.bench.grids import run_grid
from trpolab.bench.learning import SMALL_VINE
from trpolab.bench.table import Report, Table
from trpolab.experiments.trial import TrialSpec

OUT = Path("sweeps") / "locomotion"  # their run folders; runs that are finished are not run again
POINTS = 30  # kept of a curve
DEFAULT, HALF = "default", "default, half the steps"
KNOBS: dict[str, dict[str, tuple[float, ...]]] = {
    "Hopper-v5": {
        "delta": (0.001, 0.005, 0.1, 0.5),
        "gamma": (0.9, 0.97, 0.9995),
        "lam": (0.0, 0.9, 1.0),
        "steps_per_iteration": (512, 8192, 32768),
    },
    "Swimmer-v5": {"gamma": (0.99, 0.999), "lam": (0.9, 1.0)},
    "Walker2d-v5": {"delta": (0.005, 0.1), "steps_per_iteration": (8192,)},
}
PAPER_LIKE = {name: value for name, value in SMALL_VINE.items() if name != "sampler" and not name.startswith("vine.")}
PATHS = {**PAPER_LIKE, "sampler": "single-path", "path.whole": True, "steps_per_iteration": 5000}
WAYS: dict[str, dict[str, Any]] = {
    "vine": SMALL_VINE,
    "single path, raw sums": {**PATHS, "advantage": "monte_carlo", "path.standardize": False},
    "single path, GAE": {**PATHS, "advantage": "gae"},
}


def trials() -> Iterator[TrialSpec]:
    """All of them: five seeds by the defaults, three of each knob turned, three of each way on the paper's tasks."""

    def seeds(task: str, label: str, count: int, steps: int, **settings: Any) -> Iterator[TrialSpec]:
        for seed in range(count):
            yield TrialSpec(task, label, seed, {**settings, "steps": steps}, 20, deterministic=True)

    for task in KNOBS:
        yield from seeds(task, DEFAULT, 5, 1_000_000)
    for task, knobs in KNOBS.items():
        yield from seeds(task, HALF, 3, 500_000)
        for knob, values in knobs.items():
            for value in values:
                yield from seeds(task, f"{knob} = {value:g}", 3, 500_000, **{knob: value})
    for task in ("paper/Hopper", "paper/Walker"):
        for name, given in WAYS.items():
            yield from seeds(task, name, 3, 500_000, **given)


def locomotion(report: Report, out: Path = OUT) -> Table:
    """Swimmer, hopper and walker: seeds, and one knob turned at a time.

    1,000,000 steps by the default settings, 500,000 with a knob turned, and on the paper's own tasks, one thread. The
    mean of 20 evaluation episodes by the distribution's mode.
    """
    curves = run_grid("locomotion", list(trials()), out, POINTS)
    names = dict.fromkeys((trial.task, trial.label, trial.settings["steps"]) for trial in trials())
    rows = []
    for task, label, steps in names:
        finals = [curve.final for curve in curves if (curve.task, curve.method) == (task, label)]
        each = ", ".join(f"{final:,.0f}" for final in finals)
        rows.append(f"{task} | {label} | {steps:,} | {each} | {np.mean(finals):,.0f}")
    return Table("task | what | steps | return, seed by seed | mean", rows)

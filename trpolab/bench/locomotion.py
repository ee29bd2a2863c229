"""Swimmer, hopper and walker: five seeds by default settings, one knob turned at a time, and the vine.

`5_locomotion.ipynb` draws what this benchmark writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trpolab.bench.curves import Curve, Store, curve_of
from trpolab.bench.learning import SMALL_VINE
from trpolab.bench.table import Report, Table
from trpolab.sampling.evaluate import play_episodes
from trpolab.training.session import Session

FILE = Path("notebooks") / "results" / "locomotion.json"  # runs that are in it are not run again
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
PAPER_LIKE = {name: value for name, value in SMALL_VINE.items() if name != "sampler"}
PATHS = {**PAPER_LIKE, "sampler": "single-path", "path.whole": True, "steps_per_iteration": 5000}
WAYS: dict[str, dict[str, Any]] = {
    "vine": SMALL_VINE,
    "single path, raw sums": {**PATHS, "advantage": "monte_carlo", "path.standardize": False},
    "single path, GAE": {**PATHS, "advantage": "gae"},
}


@dataclass(frozen=True)
class Turned:
    """What one run is to try, and the simulator steps that it gets."""

    task: str
    name: str
    seed: int
    steps: int
    settings: dict[str, Any] = field(default_factory=dict)


def trials() -> Iterator[Turned]:
    """All of them: five seeds by the defaults, three of each knob turned, three of each way on the paper's tasks."""
    for task in KNOBS:
        yield from (Turned(task, DEFAULT, seed, 1_000_000) for seed in range(5))
    for task, knobs in KNOBS.items():
        yield from (Turned(task, HALF, seed, 500_000) for seed in range(3))
        for knob, values in knobs.items():
            for value in values:
                given = {knob: value}
                yield from (Turned(task, f"{knob} = {value:g}", seed, 500_000, given) for seed in range(3))
    for task in ("paper/Hopper", "paper/Walker"):
        for name, given in WAYS.items():
            yield from (Turned(task, name, seed, 500_000, given) for seed in range(3))


def locomotion(report: Report, file: Path = FILE) -> Table:
    """Swimmer, hopper and walker: seeds, and one knob turned at a time.

    1,000,000 steps by the default settings, 500,000 with a knob turned, and on the paper's own tasks, one thread. The
    mean of 20 evaluation episodes by the distribution's mode.
    """
    store = Store(file, "trpolab bench locomotion")
    for trial in trials():
        if store.get(trial.task, trial.name, trial.seed) is None:
            curve, _ = run(trial, report)
            store.add(curve)
    names = dict.fromkeys((trial.task, trial.name, trial.steps) for trial in trials())
    return Table("task | what | steps | return, seed by seed | mean", [_row(store, *name) for name in names])


def run(trial: Turned, report: Report, out: Path | None = None) -> tuple[Curve, Session]:
    """One trial; with `out` its run folder is made there."""
    session = Session(trial.task, seed=trial.seed, steps=trial.steps, threads=1, out=out, **trial.settings).run()
    final = play_episodes(session.policy, trial.task, 20, trial.seed, deterministic=True)
    report(f"{trial.task}, {trial.name}, seed {trial.seed}: {final.mean:,.0f}")
    given = {} if trial.name in WAYS else trial.settings
    return curve_of(session, trial.name, final, given, POINTS), session


def _row(store: Store, task: str, name: str, steps: int) -> str:
    finals = [curve.final for curve in store.of(task, name)]
    return f"{task} | {name} | {steps:,} | {', '.join(f'{final:,.0f}' for final in finals)} | {np.mean(finals):,.0f}"

"""Scores of the modern preset: eleven tasks, several seeds of each.

`results/scores.json` keeps the runs; `python -m tests.score_cards` makes the cards of docs/results.md of them, and the
policies that are shipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trpolab.bench.grids import run_grid
from trpolab.bench.table import Report, Table, verdict
from trpolab.experiments.results import Curve
from trpolab.experiments.statistics import estimate, in_digits
from trpolab.experiments.trial import TrialSpec
from trpolab.sampling.sampler import SAMPLERS
from trpolab.simulators import find_task
from trpolab.training.config import settings

OUT = Path("sweeps") / "scores"  # their run folders; runs that are finished are not run again
SEEDS = 10
# What all tasks have in common: the preset, λ = 0.97, δ that falls to 0 in the last 30 % of a million steps, σ >= 0.22.
GIVEN = {"steps": 1_000_000, "lam": 0.97, "delta": 0.02, "delta_end": 0.0, "delta_fall": 0.3,
         "gaussian.least_log_std": -1.5}  # fmt: skip
# A task's own settings, or the preset's, count no more, but for these.
KEPT = {"Swimmer-v5": ("gamma", "lam", "policy.log_std")}
POINTS = 40  # kept of a curve
# What must be reached. Ant and Humanoid: Tianshou's TRPO (its README, v3 tasks, 10 seeds, the best evaluation within a
# million steps), the best that we know to be published.
MUST_REACH: dict[str, float | None] = {
    "Hopper-v5": 3400,
    "Walker2d-v5": 4600,
    "HalfCheetah-v5": 5400,
    "Swimmer-v5": 340,
    "InvertedPendulum-v5": 1000,
    "InvertedDoublePendulum-v5": 9000,
    "Reacher-v5": None,
    "Pusher-v5": None,
    "CartPole-v1": None,
    "Ant-v5": 2867,
    "Humanoid-v5": 810,
}


def trials() -> list[TrialSpec]:
    """A run for each seed and task, one seed of all tasks after the other."""
    return [TrialSpec(task, "default", seed, given(task), 20, True) for seed in range(SEEDS) for task in MUST_REACH]


def given(task: str) -> dict[str, Any]:
    """The settings of a run: the preset's where a task has its own, those of the vine apart, and `GIVEN`."""
    found = {name: settings()[name].default for name in find_task(task).defaults if name not in SAMPLERS["vine"].own}
    return {name: value for name, value in {**found, **GIVEN}.items() if name not in KEPT.get(task, ())}


def scores(report: Report, out: Path = OUT) -> Table:
    """Eleven tasks after 1,000,000 steps by the modern preset, λ = 0.97, δ falling to 0 at the end, σ at least 0.22.

    Mean raw return of 20 evaluation episodes after training, by the distribution's mode; minutes of one thread beside
    another run. Own settings are those in which a task's runs differ from all others'.
    """
    return as_table(run_grid("scores", trials(), out, POINTS))


def as_table(curves: Sequence[Curve]) -> Table:
    """A row for each task."""
    rows = []
    for task, least in MUST_REACH.items():
        mine = [one for one in curves if one.task == task]
        own = ", ".join(f"{name} = {value}" for name, value in own_settings(task).items())
        found = estimate([one.final for one in mine])
        each = ", ".join(in_digits(one.final) for one in mine)
        asked = ("—", "—") if least is None else (f"{least:,.0f}", verdict(found.value >= least))
        minutes = np.mean([one.seconds[-1] for one in mine if one.seconds]) / 60
        rows.append(" | ".join([task, own or "—", each, found.in_words, *asked, f"{minutes:.1f}"]))
    head = "task | own settings | return, seed by seed | all | must reach | reached | minutes"
    counts = sorted({sum(one.task == task for one in curves) for task in MUST_REACH})
    return Table(head, rows, f"{' to '.join(map(str, counts[:1] + counts[1:][-1:]))} seeds")


def own_settings(task: str) -> dict[str, Any]:
    """The settings in which a task's runs differ from all others'."""
    return {name: find_task(task).defaults.get(name, settings()[name].default) for name in KEPT.get(task, ())}

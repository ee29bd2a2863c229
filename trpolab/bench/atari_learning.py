"""Atari, learning: a few runs at a small part of the paper's budget, to stand beside Table 1.

`results/atari.json` keeps such runs; `notebooks/6_atari.ipynb` draws them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trpolab.bench.table import Report, Table, verdict
from trpolab.experiments.grid import Grid
from trpolab.experiments.results import Curve, keep, machine
from trpolab.experiments.table1 import PATH, VINE
from trpolab.experiments.trial import TrialSpec

OUT = Path("sweeps") / "atari"  # their run folders; runs that are finished are not run again
LAST = 10  # iterations whose mean is the score of a run


@dataclass(frozen=True)
class Demand:
    """One training run, and the score that it must reach."""

    trial: TrialSpec
    above: float  # what the mean score of the last iterations must exceed
    hours: float | None = None  # the hours it may take


def _run(task: str, sampler: str, seed: int, iterations: int, settings: dict[str, Any]) -> TrialSpec:
    return TrialSpec(task, sampler, seed, {**settings, "iterations": iterations, "threads": None}, episodes=30)


RUNS = (
    Demand(_run("ALE/Pong-v5", "single path", 0, 200, PATH), above=-10.0, hours=2.5),
    Demand(_run("ALE/Pong-v5", "single path", 1, 130, PATH), above=-10.0, hours=2.5),
    Demand(_run("ALE/Qbert-v5", "vine", 0, 80, VINE), above=157.0),  # the random player of Table 1
    Demand(_run("ALE/Qbert-v5", "single path", 0, 200, PATH), above=157.0),
)


def atari_learning(report: Report, out: Path = OUT) -> Table:
    """Atari by the paper's preset, the batch scaled down: scores of whole games.

    At first: mean score of the first iteration's games, which the untrained policy played; last 10: of the last 10
    iterations; evaluated: of 30 games with sampled actions. Decisions include branches.
    """
    outcomes = Grid([run.trial for run in RUNS], out, 1, sys.stderr).run()  # each has all cores
    curves = [Curve.of(one) for one in outcomes]
    keep(out / "atari.json", "trpolab bench atari-learning", machine(), curves)
    head = "game | sampler | seed | iterations | decisions | hours | at first | last 10 | evaluated | above | reached"
    return Table(head, [_row(run, curve) for run, curve in zip(RUNS, curves, strict=True)])


def _row(run: Demand, curve: Curve) -> str:
    name = f"{curve.task} | {curve.method} | {curve.seed}"
    within = "" if run.hours is None else f" within {run.hours:g} h"
    if not curve.steps:
        return f"{name} | 0 | 0 | 0 | crashed | | | {run.above:g}{within} | no"
    came_to, hours = float(np.mean(curve.returns[-LAST:])), curve.seconds[-1] / 3600
    reached = came_to > run.above and (run.hours is None or hours <= run.hours)
    spent = f"{len(curve.steps)} | {curve.steps[-1]:,} | {hours:.2f}"
    scores = f"{curve.returns[0]:,.1f} | {came_to:,.1f} | {curve.final:,.1f}"
    return f"{name} | {spent} | {scores} | {run.above:g}{within} | {verdict(reached)}"

"""Atari, learning: a few runs at a hundredth of the paper's budget, kept with their scores and the commands that repeat
them, to stand beside Table 1."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trpolab.bench.curves import Curve, Store
from trpolab.bench.speed import Report
from trpolab.bench.table import Table, machine, verdict
from trpolab.machine import usable_cores
from trpolab.sampling.evaluate import evaluate
from trpolab.training.session import Session

FILE = Path("notebooks") / "results" / "atari.json"  # where runs are kept; those already there are not run again
OUT = Path("runs") / "atari"  # their run folders; a run that was interrupted goes on in its own
EPISODES = 30  # whole games of the evaluation at the end
LAST = 10  # iterations whose mean says what a run has come to


@dataclass(frozen=True)
class Run:
    """One training run: the paper's preset with a smaller batch, and what it must come to."""

    task: str
    sampler: str  # "single path" or "vine"
    seed: int
    iterations: int
    settings: dict[str, Any]
    above: float  # what the mean score of the last iterations must exceed
    hours: float | None = None  # what it may take

    @property
    def given(self) -> dict[str, Any]:
        """What `trpolab train` is given besides task and seed."""
        return {"preset": "paper", **self.settings, "iterations": self.iterations}

    @property
    def folder(self) -> Path:
        """Where its run folder is made."""
        return Path(f"{self.task.removeprefix('ALE/')}-{self.sampler.replace(' ', '-')}-{self.seed}")


# Ten thousand decisions an iteration instead of a hundred thousand: many small steps learn more than a few large ones.
# Discounted sums less their mean, as so few games would drown in the noise of the level; and a little damping, as a
# tenth of so few states leaves most directions unseen. The vine's branches are short: what an action does shows soon in
# these games, and what comes later is noise.
SMALL = {"steps_per_iteration": 10_000, "path.horizon": 10_000, "advantage": "centred", "damping": 0.001, "slots": 16}
VINE = {
    "sampler": "vine", "proposal": "uniform", "vine.trunks": 8, "vine.trunk_length": 1000, "vine.states": 800,
    "vine.actions": 4, "vine.rollout_length": 20, "damping": 0.001, "fisher_fraction": 0.5,
}  # fmt: skip
RUNS = (
    Run("ALE/Pong-v5", "single path", 0, 250, SMALL, above=-10.0, hours=2.5),
    Run("ALE/Qbert-v5", "vine", 0, 80, VINE, above=157.0),  # Table 1's random player
    Run("ALE/Qbert-v5", "single path", 0, 250, SMALL, above=157.0),
)


def learning(report: Report, file: Path = FILE, out: Path = OUT) -> Table:
    """Train what is not in the file yet; then every run's curve, in numbers, against what it must reach."""
    store = Store(file, "trpolab bench atari-learning")
    rows = []
    for run in RUNS:
        curve = store.get(run.task, run.sampler, run.seed) or store.add(_train(run, out, report))
        came_to, hours = float(np.mean(curve.returns[-LAST:])), curve.seconds[-1] / 3600
        reached = came_to > run.above and (run.hours is None or hours <= run.hours)
        within = "" if run.hours is None else f" within {run.hours:g} h"
        rows.append((run.task, run.sampler, f"{run.seed}", f"{len(curve.steps)}", f"{curve.steps[-1]:,}",
                     f"{hours:.2f}", f"{curve.returns[0]:,.1f}", f"{came_to:,.1f}", f"{curve.final:,.1f}",
                     f"{run.above:g}{within}", verdict(reached)))  # fmt: skip
    return Table(
        "atari-learning",
        "Atari by the paper's preset, the batch scaled down: scores of whole games",
        ("game", "sampler", "seed", "iterations", "decisions", "hours", "at first", f"last {LAST}", "evaluated",
         "above", "reached"),
        tuple(rows),
        (f"At first: mean score of the first iteration's games, which the untrained policy played; last {LAST}: of the "
         f"last {LAST} iterations; evaluated: of {EPISODES} games with sampled actions. Decisions include branches.",
         machine()),
    )  # fmt: skip


def command(curve: Curve) -> str:
    """The command line that trains what a curve shows."""
    words = ["trpolab", "train", curve.task]
    for name, value in {**curve.given, "seed": curve.seed}.items():
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)


def _train(run: Run, out: Path, report: Report) -> Curve:
    begun = sorted((out / run.folder).glob("*/run.json"))
    if begun:
        session = Session(resume=begun[-1].parent, iterations=run.iterations)
    else:
        session = Session(run.task, out=out / run.folder, seed=run.seed, **run.given)
    for done in session.iterate():
        row = done.metrics
        report(f"{run.task} {run.sampler}: iteration {row['iteration']}, score {row['return_mean']}")
    final = evaluate(session.policy, session.source, EPISODES, run.seed, threads=usable_cores())
    seconds = np.cumsum([row["seconds_total"] for row in session.history]).tolist()
    scored = [(row, spent) for row, spent in zip(session.history, seconds, strict=True) if row["episodes"]]
    return Curve(
        run.task,
        run.sampler,
        run.seed,
        steps=tuple(int(row["sim_steps"]) for row, _ in scored),
        seconds=tuple(round(spent, 1) for _, spent in scored),
        returns=tuple(round(float(row["return_mean"]), 2) for row, _ in scored),
        final=round(final.mean, 2),
        length=round(float(final.lengths.mean()), 1),
        parameters=session.policy.size,
        given=run.given,
    )

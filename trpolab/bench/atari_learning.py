"""Atari, learning: a few runs at a small part of the paper's budget, to stand beside Table 1.

The file that keeps them holds their scores and the commands that repeat them.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trpolab.bench.curves import Curve, Store, curve_of
from trpolab.bench.table import Report, Table, verdict
from trpolab.machine import usable_cores
from trpolab.sampling.evaluate import play_episodes
from trpolab.simulators import find_task
from trpolab.training.config import Config, resolve
from trpolab.training.session import Session

FILE = Path("notebooks") / "results" / "atari.json"  # where runs are kept; those already there are not run again
OUT = Path("runs") / "atari"  # their run folders; a run that was interrupted goes on in its own
EPISODES = 30  # whole games of the evaluation at the end
MACHINES = {"iterations", "threads", "device", "checkpoint_every", "evaluate_deterministic"}  # any of them will do
LAST = 10  # iterations whose mean is the score of a run


@dataclass(frozen=True)
class Run:
    """One training run: the paper's preset with a smaller batch, and the score that it must reach."""

    task: str
    sampler: str  # "single path" or "vine"
    seed: int
    iterations: int
    settings: dict[str, Any]
    above: float  # what the mean score of the last iterations must exceed
    hours: float | None = None  # the hours it may take

    @property
    def given(self) -> dict[str, Any]:
        """What `trpolab train` is given besides task and seed."""
        return {"preset": "paper", **self.settings, "iterations": self.iterations}


# An iteration has 10,000 decisions, and the rest of the games under way, instead of 100,000: many small steps learn
# more than a few large ones. The mean of the discounted sums is subtracted, as it is mostly noise with so few games.
# Damping is small but not zero, as Fisher products of a tenth of so few states leave most directions undetermined.
SMALL = {"steps_per_iteration": 10_000, "path.horizon": 10_000, "advantage": "centred", "damping": 0.001, "slots": 16}
# 72,000 decisions instead of 400,000. Branches are short: in these games the effect of an action shows soon, and later
# rewards are noise. Fisher products use half of the 8,000 trunk states.
VINE = {
    "sampler": "vine", "proposal": "uniform", "vine.trunks": 8, "vine.trunk_length": 1000, "vine.states": 800,
    "vine.actions": 4, "vine.rollout_length": 20, "damping": 0.001, "fisher_fraction": 0.5,
}  # fmt: skip
RUNS = (
    Run("ALE/Pong-v5", "single path", 0, 200, SMALL, above=-10.0, hours=2.5),
    Run("ALE/Pong-v5", "single path", 1, 130, SMALL, above=-10.0, hours=2.5),
    Run("ALE/Qbert-v5", "vine", 0, 80, VINE, above=157.0),  # the random player of Table 1
    Run("ALE/Qbert-v5", "single path", 0, 200, SMALL, above=157.0),
)


def atari_learning(report: Report, file: Path = FILE, out: Path = OUT) -> Table:
    """Atari by the paper's preset, the batch scaled down: scores of whole games.

    At first: mean score of the first iteration's games, which the untrained policy played; last 10: of the last 10
    iterations; evaluated: of 30 games with sampled actions. Decisions include branches.
    """
    store = Store(file, "trpolab bench atari-learning")  # runs that are in the file are not run again
    rows = []
    for run in RUNS:
        curve = store.get(run.task, run.sampler, run.seed)
        if curve is None or curve.given != run.given:  # only runs with these settings count
            if curve is not None:
                store.curves.remove(curve)
            curve = store.add(_train(run, out, report))
        came_to, hours = float(np.mean(curve.returns[-LAST:])), curve.seconds[-1] / 3600
        reached = came_to > run.above and (run.hours is None or hours <= run.hours)
        within = "" if run.hours is None else f" within {run.hours:g} h"
        spent = f"{len(curve.steps)} | {curve.steps[-1]:,} | {hours:.2f}"
        scores = f"{curve.returns[0]:,.1f} | {came_to:,.1f} | {curve.final:,.1f}"
        demand = f"{run.above:g}{within} | {verdict(reached)}"
        rows.append(f"{run.task} | {run.sampler} | {run.seed} | {spent} | {scores} | {demand}")
    head = "game | sampler | seed | iterations | decisions | hours | at first | last 10 | evaluated | above | reached"
    return Table(head, rows)


def command(curve: Curve) -> str:
    """The command line that trains what a curve shows."""
    words = ["trpolab", "train", curve.task]
    for name, value in {**curve.given, "seed": curve.seed}.items():
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)


def _train(run: Run, out: Path, report: Report) -> Curve:
    session = _begun(run, out / f"{run.task.removeprefix('ALE/')}-{run.sampler.replace(' ', '-')}-{run.seed}")
    for done in session.iterate() if session.progress.iteration < run.iterations else ():
        row = done.metrics
        report(f"{run.task} {run.sampler}: iteration {row['iteration']}, score {row['return_mean']}")
    final = play_episodes(session.policy, session.source, EPISODES, run.seed, threads=usable_cores())
    return curve_of(session, run.sampler, final, run.given)


def _begun(run: Run, folder: Path) -> Session:
    """The newest run of a folder with the same settings, to be resumed; or a new one."""
    wanted = _settings(resolve(find_task(run.task), overrides={**run.given, "seed": run.seed}))
    for file in sorted(folder.glob("*/run.json"), reverse=True):
        session = Session(resume=file.parent)
        if _settings(session.config) == wanted:
            done = session.progress.iteration
            return session if done >= run.iterations else Session(resume=file.parent, iterations=run.iterations)
    return Session(run.task, out=folder, seed=run.seed, **run.given)


def _settings(config: Config) -> dict[str, Any]:
    """All settings except those that do not affect learning."""
    return {name: value for name, value in config.settings().items() if name not in MACHINES}

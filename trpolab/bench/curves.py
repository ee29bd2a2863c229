"""Learning curves in one JSON file, written after each run, so that a comparison can be resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from trpolab.bench.table import machine
from trpolab.experiments.results import Curve, keep, read_curves
from trpolab.sampling.evaluate import Evaluation
from trpolab.training.session import Session


def curve_of(
    session: Session, method: str, final: Evaluation, given: dict[str, Any], points: int | None = None
) -> Curve:
    """What a session learned, at those iterations in which episodes ended; at most `points` of them."""
    seconds = np.cumsum([row["seconds_total"] for row in session.history]).tolist()
    scored = [(row, spent) for row, spent in zip(session.history, seconds, strict=True) if row["episodes"]]
    kept = np.linspace(0, len(scored) - 1, min(points or len(scored), len(scored))).astype(int)
    scored = [scored[k] for k in kept]
    return Curve(
        session.config.task,
        method,
        session.config.seed,
        steps=tuple(int(row["sim_steps"]) for row, _ in scored),
        seconds=tuple(round(spent, 3) for _, spent in scored),
        returns=tuple(round(float(row["return_mean"]), 2) for row, _ in scored),
        final=round(final.mean, 2),
        length=round(float(final.lengths.mean()), 1),
        parameters=session.policy.size,
        given=given,
    )


class Store:
    """The curves of a file, which need not exist yet. Raises ValueError for a file with other contents."""

    def __init__(self, file: Path, command: str):
        self.file, self.command = file, command
        self.curves: list[Curve] = read_curves(file) if file.exists() else []

    def get(self, task: str, method: str, seed: int) -> Curve | None:
        """The curve of one run, or None."""
        return next((c for c in self.of(task, method) if c.seed == seed), None)

    def of(self, task: str, method: str) -> list[Curve]:
        """All seeds of a method on a task."""
        return [curve for curve in self.curves if (curve.task, curve.method) == (task, method)]

    def methods(self, task: str) -> list[str]:
        """Names of what ran on a task with several seeds, in order."""
        names = dict.fromkeys(curve.method for curve in self.curves if curve.task == task)
        return [name for name in names if len(self.of(task, name)) > 1]

    def add(self, curve: Curve) -> Curve:
        """Add a curve and write the file."""
        self.curves.append(curve)
        keep(self.file, self.command, machine(), self.curves)
        return curve

"""Runs in which one part is broken on purpose, for exercise 10.

    python -m trpolab.workshop.broken_runs trpolab/workshop/broken    # makes them anew

The faults are planted by functions that take a part of the run, so that no setting tells them. What is kept of a run is
what its charts are made of.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trpolab.numerics import conjugate_gradient
from trpolab.runs.disk import write_atomically
from trpolab.sampling.returns import generalized_advantage
from trpolab.training.session import Session

KEPT = ("metrics.jsonl", "status.json")
RUN: dict[str, Any] = {"seed": 4, "iterations": 30, "steps_per_iteration": 1024, "threads": 1, "checkpoint_every": 30}
TASK = "CartPole-v1"


def upside_down(rewards: Any, values: Any, last_value: Any, gamma: Any, lam: Any) -> Any:
    """Advantages with the wrong sign."""
    ends, going_on = np.array([0, len(rewards)]), np.zeros(1, bool)
    return -generalized_advantage(rewards, values, np.array([last_value]), going_on, ends, gamma, lam)


def never_asks_the_kl(surrogate: Any, mean_kl: Any, theta: Any, step: Any, delta: Any) -> Any:
    """A line search that goes on for as long as the surrogate rises."""
    share = 1.0
    while share < 64 and surrogate(theta + 2 * share * step) > surrogate(theta + share * step):
        share *= 2
    return theta + share * step


def does_not_solve(product: Any, b: Any, iterations: Any) -> Any:
    """The right side in the place of the solution."""
    return b


def quarter(mean_kl: Any, theta: Any, v: Any) -> Any:
    """A Fisher product that is a quarter of what it should be."""
    at = theta.clone().requires_grad_()
    (slope,) = torch.autograd.grad(mean_kl(at), at, create_graph=True)
    return torch.autograd.grad(slope @ v, at)[0] / 4


def downhill(product: Any, b: Any, iterations: Any) -> Any:
    """The solution with the wrong sign."""
    return -conjugate_gradient(product, b, iterations=iterations).x


PLANTED: dict[str, dict[str, Any]] = {
    "sound": {},
    "A": {"fisher_product": quarter},
    "B": {"conjugate_gradient": downhill},
    "C": {"advantages": upside_down},
    "D": {"line_search": never_asks_the_kl},
    "E": {"conjugate_gradient": does_not_solve},
}


def make_runs(folder: Path, names: Iterable[str] = PLANTED) -> list[Path]:
    """Train them, a few seconds each, and keep their charts in `folder`; returns their folders."""
    made = []
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            path = Session(TASK, out=scratch, **RUN, **PLANTED[name]).run().path
            assert path is not None
            target = folder / name
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            for file in KEPT:
                shutil.copyfile(path / file, target / file)
            about = json.loads((path / "run.json").read_text(encoding="utf-8"))
            about.pop("functions", None)  # their names tell what they do
            write_atomically(target / "run.json", json.dumps({**about, "id": name, "label": f"run {name}"}, indent=1))
        made.append(target)
    return made


if __name__ == "__main__":
    for made_anew in make_runs(Path(sys.argv[1])):
        print(made_anew)  # noqa: T201

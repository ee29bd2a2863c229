"""Wall time until Hopper-v5 is learned, against sb3-contrib, which the extra `bench` installs.

`sweeps/wall-time/wall-time.json` keeps the runs, each as soon as it is over: they are not run again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trpolab.bench.peers import MUST, TASK, sb3_contrib_model
from trpolab.bench.scores import given
from trpolab.bench.table import Report, Table, verdict
from trpolab.experiments.results import Curve, curves_in, keep, machine
from trpolab.extras import explained
from trpolab.training.session import TORCH_THREADS, Session

OUT = Path("sweeps") / "wall-time"
SEEDS, POINTS = 5, 40
GOAL = 2_500.0  # mean raw return of the last 100 training episodes
STEPS = 1_000_000  # after which a run is given up
PATIENCE = 8  # and sb3-contrib after so many times as long as trpolab took with the same seed
# rl-zoo's for Hopper: https://github.com/DLR-RM/rl-baselines3-zoo/blob/master/hyperparams/trpo.yml
TUNED: dict[str, Any] = {
    "n_steps": 1024,
    "batch_size": 128,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "cg_damping": 0.1,
    "cg_max_steps": 25,
    "learning_rate": 1e-3,
    "n_critic_updates": 20,
    "sub_sampling_factor": 1,
}
ENVIRONMENTS = 2

Progress = tuple[int, float]  # simulator steps so far, and the mean raw return of the last 100 training episodes


def wall_time(report: Report, out: Path = OUT) -> Table:
    """Wall time until Hopper-v5 returns 2,500, against sb3-contrib by its tuned settings.

    Seconds from nothing until the mean return of the last 100 training episodes is 2,500, in at most 1,000,000 steps
    and 8 times as long as trpolab took; a seed of each in turn in one process, one thread. trpolab by the settings of
    `trpolab bench scores`, sb3-contrib by rl-zoo's, two environments. Where a run did not get there, what it took is a
    bound, and so is the ratio.
    """
    with explained("trpolab bench wall-time"):
        import sb3_contrib  # noqa: F401
    file = out / "wall-time.json"
    found = {(one.method, one.seed): one for one in curves_in(file)}
    for seed in range(SEEDS):
        seconds = math.inf
        for method, run, settings in (("trpolab", ours, given(TASK)), ("sb3-contrib", theirs, TUNED)):
            if (method, seed) not in found:
                found[method, seed] = raced(method, seed, run(seed), settings, seconds).thinned(POINTS)
                keep(file, "trpolab bench wall-time", machine(), found.values())
                report(f"{method}, seed {seed}: {told(found[method, seed])}")
            seconds = PATIENCE * found[method, seed].seconds[-1]
    return as_table(list(found.values()))


def raced(method: str, seed: int, progress: Iterator[Progress], settings: dict[str, Any], seconds: float) -> Curve:
    """Run until the goal, the last step or the last of so many seconds."""
    began, rows = time.perf_counter(), []
    for steps, mean in progress:
        rows.append((steps, round(time.perf_counter() - began, 6), round(mean, 1)))
        if mean >= GOAL or steps >= STEPS or rows[-1][1] >= seconds:
            break
    steps_so_far, times, returns = zip(*rows, strict=True)
    return Curve(TASK, method, seed, steps_so_far, times, returns, returns[-1], 0.0, 0, settings)


def ours(seed: int) -> Iterator[Progress]:
    """A run by the settings of the scores."""
    for iteration in Session(TASK, out=None, seed=seed, threads=1, **given(TASK)).iterate():
        yield iteration.metrics["sim_steps"], iteration.metrics["return_recent"] or 0.0


def theirs(seed: int) -> Iterator[Progress]:
    """A run by rl-zoo's settings."""
    threads = torch.get_num_threads()
    torch.set_num_threads(TORCH_THREADS)
    model = sb3_contrib_model(ENVIRONMENTS, False, seed, **TUNED)
    try:
        while True:
            model.learn(ENVIRONMENTS * TUNED["n_steps"], reset_num_timesteps=False)
            returns = [episode["r"] for episode in model.ep_info_buffer]  # raw, of the last 100
            yield model.num_timesteps, float(np.mean(returns)) if returns else 0.0
    finally:
        model.get_env().close()
        torch.set_num_threads(threads)


def as_table(curves: list[Curve]) -> Table:
    """A row for each seed, and the median of the ratios."""
    rows, ratios, got_there = [], [], True
    by = {(one.method, one.seed): one for one in curves}
    for seed in sorted({one.seed for one in curves}):
        mine, other = by["trpolab", seed], by["sb3-contrib", seed]
        got_there = got_there and mine.final >= GOAL
        ratios.append(other.seconds[-1] / mine.seconds[-1])
        sign = "" if other.final >= GOAL else ">= "
        shown = f"{sign}{ratios[-1]:.1f}" if mine.final >= GOAL else "—"
        rows.append(f"{seed} | {told(mine)} | {told(other)} | {shown}")
    reached = verdict(got_there and float(np.median(ratios)) >= MUST)
    bound = "" if all(one.final >= GOAL for one in curves) else "at least "
    summary = f"in the median {bound}{np.median(ratios):.1f} times as long, must be {MUST:g}: {reached}"
    return Table("seed | trpolab | sb3-contrib | ratio", rows, summary)


def told(one: Curve) -> str:
    """How long a run took, in words."""
    took = f"{one.seconds[-1]:,.0f} s, {one.steps[-1]:,} steps"
    return took if one.final >= GOAL else f"not in {took} (at {one.final:,.0f})"

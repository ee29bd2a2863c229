"""Learning, over several seeds, judged by raw returns."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trpolab.bench.table import Report, Table, timed, verdict
from trpolab.sampling.evaluate import play_episodes
from trpolab.training.session import Session

SEEDS = 5
SWIMMER_SEEDS = 3
TIME_STEP = 0.008  # seconds of one decision of the hopper
ENDLESS = 10**6  # iterations
LAST = 5  # iterations whose episodes tell how good a run has become
# A small vine, many iterations; the policy and the update as the paper has them.
SMALL_VINE: dict[str, Any] = {
    "sampler": "vine",
    "vine.trunks": 4,
    "vine.trunk_length": 250,
    "vine.states": 30,
    "vine.actions": 4,
    "vine.rollout_length": 50,
    "vine.tail_value": False,
    "hidden": (50,),
    "policy.output_scale": 0.1,
    "policy.log_std": -0.7,
    "normalize_observations": False,
    "gamma": 0.99,
    "delta": 0.01,
    "damping": 1e-3,
    "fisher_fraction": 0.1,
    "shrink": 0.7,
}


def cartpole(report: Report) -> Table:
    """CartPole-v1 within 100,000 steps.

    Mean raw return of 100 evaluation episodes.
    """
    return _within_budget("CartPole-v1", 475.0, report)


def pendulum(report: Report) -> Table:
    """InvertedPendulum-v5 within 100,000 steps.

    Mean raw return of 100 evaluation episodes.
    """
    return _within_budget("InvertedPendulum-v5", 1000.0, report)


def vine_hopper(report: Report) -> Table:
    """paper/Hopper by a small vine, 500,000 steps.

    4 trunks of 250, 30 states, 4 branches of 50. Mean over the last five iterations' trunks.
    """
    rows, passed = [], 0
    for seed in range(SEEDS):
        session = Session("paper/Hopper", out=None, seed=seed, iterations=ENDLESS, **SMALL_VINE)
        recent = deque[Any](maxlen=LAST)
        for done in session.iterate():
            recent.append(done.batch)
            if done.metrics["sim_steps"] >= 500_000:
                break
        found, forward = mean_of_last(session.history, "return_mean"), _forward_speed([one.paths for one in recent])
        spent = np.cumsum([row["seconds_total"] for row in session.history])
        scores = np.array([row["return_mean"] for row in session.history], float)  # NaN where no episode ended
        tripled = min(spent[scores >= 3 * scores[np.isfinite(scores)][0]], default=math.inf)
        reached = found >= 200 and forward >= 1 and tripled < 30
        passed += reached
        measured = f"{seed} | {found:.0f} | 200 | {forward:.2f} | 1 | {tripled:.1f} | 30"
        rows.append(f"{measured} | {verdict(reached)} | {spent[-1]:.0f}")
        report(f"seed {seed}: return {found:.0f}, {forward:.2f} m/s")
    head = "seed | return | must reach | m/s | must reach | seconds to 3x | at most | reached | seconds"
    return Table(head, rows, f"{passed} of {SEEDS} seeds")


def vine_cartpole(report: Report) -> Table:
    """CartPole-v1 by the vine, every action, tail value, 100,000 steps.

    Mean length of the episodes that the last five iterations' trunks finished.
    """
    rows, passed = [], 0
    for seed in range(SEEDS):
        session = Session("CartPole-v1", out=None, seed=seed, iterations=ENDLESS, sampler="vine")
        for done in session.iterate():
            if done.metrics["sim_steps"] >= 100_000:
                break
        found = mean_of_last(session.history, "length_mean")
        passed += found >= 200
        rows.append(f"{seed} | {found:.0f} | 200 | {verdict(found >= 200)}")
        report(f"seed {seed}: length {found:.0f}")
    return Table("seed | length | must reach | reached", rows, f"{passed} of {SEEDS} seeds")


def vine_swimmer(report: Report) -> Table:
    """paper/Swimmer by the vine of Table 2, 60 iterations.

    16 trunks of 1,000, 125 states, 4 branches of 50. Mean over all trunks, whole episodes.
    """
    rows, passed = [], 0
    paper: dict[str, Any] = {"preset": "paper", "sampler": "vine", "proposal": "policy"}
    for seed in range(SWIMMER_SEEDS):
        session = Session("paper/Swimmer", out=None, seed=seed, iterations=60, checkpoint_every=60, **paper)
        seconds, _ = timed(session.run)
        rewards = [row["return_mean"] / row["length_mean"] for row in session.history]
        first, last = rewards[0], statistics.mean(rewards[-LAST:])
        passed += last > 0.02
        measured = f"{seed} | {session.progress.sim_steps:,} | {first:.3f} | {last:.3f}"
        rows.append(f"{measured} | 0.02 | {verdict(last > 0.02)} | {seconds:.0f}")
        report(f"seed {seed}: {first:.3f} to {last:.3f} a step")
    head = "seed | steps | reward a step, first | last five | must exceed | reached | seconds"
    return Table(head, rows, f"{passed} of {SWIMMER_SEEDS} seeds")


def mean_of_last(history: Sequence[Mapping[str, Any]], name: str) -> float:
    """The mean over the episodes of the last iterations, of which `history` has each one's own; NaN without any."""
    rows = [row for row in history[-LAST:] if row["episodes"]]
    episodes = [row["episodes"] for row in rows]
    return float(np.average([row[name] for row in rows], weights=episodes)) if rows else math.nan


def _within_budget(task: str, target: float, report: Report) -> Table:
    rows, passed = [], 0
    for seed in range(SEEDS):
        session = Session(task, out=None, seed=seed, steps=100_000)
        seconds, _ = timed(session.run)
        mode, sampled = (
            play_episodes(session.policy, task, 100, seed, deterministic=way).mean for way in (True, False)
        )
        report(f"{task} seed {seed}: {mode:,.0f} deterministic, {sampled:,.0f} sampled, {seconds:.0f} s")
        passed += mode >= target
        measured = f"{seed} | {session.progress.sim_steps:,} | {mode:.0f} | {sampled:.0f}"
        rows.append(f"{measured} | {target:.0f} | {verdict(mode >= target)} | {seconds:.1f}")
    head = "seed | steps | return (mode) | return (sampled) | must reach | reached | seconds"
    return Table(head, rows, f"{passed} of {SEEDS} seeds reach {target:.0f}")


def _forward_speed(records: list[Any]) -> float:
    """Metres a second over all trunks; the first observation of the paper's hopper is its position."""
    way = steps = 0.0
    for record in records:
        place, start = record.trunk_obs[:, 0], record.trunk_start
        way += float((place[start[1:] - 1] - place[start[:-1]]).sum())
        steps += float((np.diff(start) - 1).sum())
    return way / (steps * TIME_STEP)

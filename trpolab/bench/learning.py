"""Learning, over several seeds, judged by raw returns of evaluation episodes."""

from __future__ import annotations

import time
from typing import Any

from trpolab.bench.speed import Report
from trpolab.bench.table import Table, machine, verdict
from trpolab.sampling.evaluate import evaluate
from trpolab.training.session import Session

SEEDS = 5


def cartpole(report: Report) -> Table:
    """CartPole-v1: mean return of 100 evaluation episodes within 100,000 steps."""
    return _within_budget("cartpole", "CartPole-v1", 100_000, 475.0, report)


def pendulum(report: Report) -> Table:
    """InvertedPendulum-v5: 1,000 within 100,000 steps."""
    return _within_budget("pendulum", "InvertedPendulum-v5", 100_000, 1000.0, report)


def hopper(report: Report) -> Table:
    """Hopper-v5 with default settings, one million steps."""
    return _after_a_million("hopper", "Hopper-v5", 3000.0, report)


def halfcheetah(report: Report) -> Table:
    """HalfCheetah-v5 with default settings, one million steps."""
    return _after_a_million("halfcheetah", "HalfCheetah-v5", 4800.0, report)


def _train(task: str, seed: int, steps: int, **settings: Any) -> tuple[Session, float]:
    """Train for at most `steps` simulator steps."""
    session = Session(task, out=None, seed=seed, iterations=1_000_000, checkpoint_every=1_000_000, **settings)
    began, loop = time.perf_counter(), session.iterate()
    for done in loop:
        if done.metrics["sim_steps"] + done.metrics["batch_steps"] > steps:
            break
    loop.close()
    return session, time.perf_counter() - began


def _within_budget(name: str, task: str, steps: int, target: float, report: Report) -> Table:
    rows, passed = [], 0
    for seed in range(SEEDS):
        session, seconds = _train(task, seed, steps)
        found = evaluate(session.policy, task, 100, seed, deterministic=True)
        sampled = evaluate(session.policy, task, 100, seed)
        passed += found.mean >= target
        rows.append((f"{seed}", f"{session.history[-1]['sim_steps']:,}", f"{found.mean:.0f}", f"{sampled.mean:.0f}",
                     f"{target:.0f}", verdict(found.mean >= target), f"{seconds:.1f}"))  # fmt: skip
        report(f"{task} seed {seed}: {found.mean:.0f} ± {found.std:.0f} deterministic, {sampled.mean:.0f} sampled")
    return Table(
        name,
        f"{task} within {steps:,} steps: {passed} of {SEEDS} seeds reach {target:.0f}",
        ("seed", "steps", "return (mode)", "return (sampled)", "must reach", "reached", "seconds"),
        tuple(rows),
        ("Mean raw return of 100 evaluation episodes.", machine()),
    )


def _after_a_million(name: str, task: str, target: float, report: Report) -> Table:
    rows, deterministic, stochastic = [], [], []
    for seed in range(SEEDS):
        session, seconds = _train(task, seed, 1_000_000)
        mode = evaluate(session.policy, task, 20, seed, deterministic=True)
        sampled = evaluate(session.policy, task, 20, seed)
        deterministic.append(mode.mean)
        stochastic.append(sampled.mean)
        steps = session.history[-1]["sim_steps"]
        rows.append((f"{seed}", f"{steps:,}", f"{mode.mean:,.0f}", f"{sampled.mean:,.0f}", f"{seconds:.0f}", "", ""))
        report(f"{task} seed {seed}: {mode.mean:,.0f} deterministic, {sampled.mean:,.0f} sampled, {seconds:.0f} s")
    mean, other = sum(deterministic) / SEEDS, sum(stochastic) / SEEDS
    rows.append(("mean", "", f"{mean:,.0f}", f"{other:,.0f}", "", f"{target:,.0f}", verdict(mean >= target)))
    return Table(
        name,
        f"{task}, default settings, 1,000,000 steps, {SEEDS} seeds",
        ("seed", "steps", "return (mode)", "return (sampled)", "seconds", "must reach", "reached"),
        tuple(rows),
        ("Mean raw return of 20 evaluation episodes after training.", machine()),
    )

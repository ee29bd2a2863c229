"""Speed, memory and the cost of checkpoints, as ratios taken in one run."""

from __future__ import annotations

import statistics
import tempfile
import time
from typing import Any

import gymnasium
import numpy as np
import torch

from trpolab.bench.table import Report, Table, resident_mib, timed, verdict
from trpolab.machine import usable_cores
from trpolab.sampling.batch import Batch
from trpolab.sampling.streams import Purpose
from trpolab.training.session import Session
from trpolab.updates import step
from trpolab.updates.surrogate import Samples, log_weights, state_terms, surrogate

UPDATES = 15  # pairs of update and gradient
ITERATIONS = 200  # whose memory, or whose checkpoints are measured
EVERY = 10  # iterations between checkpoints
MOST = 0.01  # share of the time that checkpoints may take


def iteration(report: Report) -> Table:
    """Whole TRPO iterations on Hopper-v5 against a one-core loop of Gymnasium's Hopper with random actions.

    Medians of 5 pairs in turn: 20 iterations of 2,048 steps from the start of training, 4,000 plain steps.
    """
    session = Session("Hopper-v5", out=None, iterations=1000)
    loop, ours, plain = session.iterate(), [], []
    for _ in range(5):
        next(loop)
    for repeat in range(5):
        plain.append(_plain_gymnasium_rate(4000))
        took, steps = timed(lambda: sum(next(loop).metrics["batch_steps"] for _ in range(20)))
        ours.append(steps / took)
        report(f"iteration {repeat + 1}/5: {ours[-1]:,.0f} steps/s, Gymnasium {plain[-1]:,.0f}")
    loop.close()
    ratio = _median_ratio(ours, plain)
    medians = f"{statistics.median(ours):,.0f} | {statistics.median(plain):,.0f}"
    row = f"{medians} | {ratio:.2f} | 2.25 | {verdict(ratio >= 2.25)}"
    return Table("trpolab, steps/s | Gymnasium, steps/s | ratio | must reach | reached", [row])


def update(report: Report) -> Table:
    """TRPO update (10% Fisher subsample, 10 CG iterations, no value fit) over torch's full-batch gradient.

    Medians of 15 pairs in turn, updates of one trial; runs use one thread.
    """
    rows = []
    for size in (2_048, 50_000):
        for threads in sorted({1, usable_cores()}):
            ours, plain = _update_times(size, threads)
            ratio = _median_ratio(ours, plain)
            report(f"update of {size:,} samples, {threads} threads: {ratio:.2f}")
            medians = f"{1e3 * statistics.median(ours):.1f} | {1e3 * statistics.median(plain):.1f}"
            rows.append(f"{size:,} | {threads} | {medians} | {ratio:.2f} | 3 | {verdict(ratio <= 3)}")
    return Table("samples | threads | update, ms | gradient, ms | ratio | at most | reached", rows)


def memory(report: Report) -> Table:
    """Resident memory, Hopper-v5 at 50,000 steps an iteration, 200 iterations."""
    session = Session("Hopper-v5", out=None, iterations=ITERATIONS, steps_per_iteration=50_000)
    found = []
    for done in session.iterate():
        found.append(resident_mib())
        if done.index % 10 == 0:
            report(f"iteration {done.index}/{ITERATIONS}: {found[-1]:,.0f} MiB")
    early, late = statistics.median(found[40:60]), statistics.median(found[-20:])
    reached = verdict(max(found) < 1536 and late - early < 20)
    measured = f"{max(found):,.0f} | {early:,.0f} | {late:,.0f} | {late - early:+,.0f}"
    head = "most, MiB | iterations 41-60, MiB | iterations 181-200, MiB | growth, MiB | must stay | reached"
    return Table(head, [f"{measured} | under 1,536, flat | {reached}"])


def checkpoint(report: Report) -> Table:
    """Hopper-v5, a checkpoint every 10th iteration, as a share of the time.

    200 iterations of 2,048 steps; a checkpoint is written, forced to the disk, read back and compared. All that is
    written: also a line of metrics, the policy and the status of every iteration.
    """
    plain: list[float] = []  # seconds outside iterations, of those without a checkpoint
    kept: list[float] = []  # and of those with one
    wall = 0.0
    with tempfile.TemporaryDirectory(prefix="trpolab-bench-") as folder:
        session = Session("Hopper-v5", out=folder, seed=0, iterations=ITERATIONS, checkpoint_every=EVERY)
        last = time.perf_counter()
        for done in session.iterate():
            now = time.perf_counter()
            if done.index > EVERY:  # the first ones warm up
                (plain if done.index % EVERY else kept).append(now - last - done.metrics["seconds_total"])
                wall += now - last
            if done.index % 50 == 0:
                report(f"iteration {done.index} of {ITERATIONS}")
            last = now
    usual = statistics.median(plain)
    each = 1000 * (statistics.median(kept) - usual)
    share = (sum(kept) - len(kept) * usual) / wall
    all_of_it = (sum(kept) + sum(plain)) / wall
    row = f"{len(kept)} | {each:.1f} | {share:.2%} | {MOST:.0%} | {verdict(share < MOST)} | {all_of_it:.2%}"
    return Table("checkpoints | each, ms | share | at most | reached | all that is written, share", [row])


def _plain_gymnasium_rate(steps: int) -> float:
    """Steps a second of Gymnasium's own Hopper with random actions, one core."""
    env = gymnasium.make("Hopper-v5")
    env.action_space.seed(0)
    env.reset(seed=0)
    began = time.perf_counter()
    for _ in range(steps):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
    took = time.perf_counter() - began
    env.close()
    return steps / took


def _update_times(size: int, threads: int) -> tuple[list[float], list[float]]:
    """Seconds of our update, where one trial was enough, and of torch's gradient on the same batch, in turn."""
    settings: dict[str, Any] = {"steps_per_iteration": size, "slots": 64, "fisher_fraction": 0.1}
    session = Session("Hopper-v5", out=None, iterations=2, seed=1, **settings)
    first, second = session.iterate()
    learner, policy, batch = first.learner, first.learner.policy, second.batch  # what the second one began with
    assert isinstance(batch, Batch)
    features = torch.from_numpy(policy.features(batch.obs))
    samples = Samples.of(batch, torch.float32, torch.device("cpu"))

    def gradient(theta: torch.Tensor) -> None:
        log_w = log_weights(policy.distribution, policy.parameters(features, theta), samples)
        value = surrogate(state_terms(log_w, samples.q_values, samples.estimator), samples.weights)
        torch.autograd.grad(value, theta)

    ours: list[float] = []
    plain: list[float] = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for repeat in range(100):
            alone, _ = timed(gradient, policy.theta.clone().requires_grad_())
            context = session.config.context(session.streams.generator(repeat, Purpose.FISHER_ROWS))
            took, (_, diagnostics) = timed(step, learner, batch, *session.config.of_method(), context)
            if repeat >= 2 and diagnostics.search is not None and len(diagnostics.search.trials) == 1:
                plain.append(alone)
                ours.append(took)
            if len(ours) == UPDATES:
                break
    finally:
        torch.set_num_threads(before)
    return ours, plain


def _median_ratio(ours: list[float], plain: list[float]) -> float:
    """Of pairs that were measured in turn."""
    return float(np.median(np.divide(ours, plain)))

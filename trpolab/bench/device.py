"""The update on a GPU against the same update on two threads of the processor."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from trpolab.bench.table import Report, Table, timed, verdict
from trpolab.numerics.threads import few_threads
from trpolab.policies import Policy
from trpolab.policies.frames import fractions
from trpolab.sampling.batch import Batch
from trpolab.sampling.streams import Purpose
from trpolab.training.loop import Iteration
from trpolab.training.session import Session
from trpolab.updates import step

GAME, ROBOT = "ALE/Pong-v5", "Hopper-v5"
CASES: tuple[tuple[str, int, dict[str, Any]], ...] = (
    (GAME, 100_000, {"preset": "paper"}),  # an iteration of Table 3
    (ROBOT, 2_048, {"slots": 64}),
    (ROBOT, 50_000, {"slots": 64}),
)
THREADS = 2
LEAST = 10.0  # times as fast as the processor must the GPU be for a game
UPDATES = {"cpu": 3, "cuda": 10}
BLOCKS = (8, 16, 256)  # states that a policy is asked about at once; sampling asks about 32 at most
EVALUATIONS = 100


def device(report: Report) -> Table:
    """The update on a GPU against 2 threads of the processor, in one process.

    Medians of updates of the same batch, after one that is not counted; the batch's way to the GPU is part of each. A
    block of states is what sampling waits for, one thread against the GPU, copies included.
    """
    head = "measured | processor, ms | GPU, ms | ratio | at least | reached"
    if not torch.cuda.is_available():
        return Table(head, ["nothing: torch finds no CUDA device here | | | | | "])
    rows = []
    for task, samples, settings in CASES:
        session = Session(task, out=None, seed=1, iterations=1, steps_per_iteration=samples, **settings)
        (done,) = session.iterate()
        assert isinstance(done.batch, Batch)
        report(f"{task}: sampled {done.batch.sim_steps:,} steps in {done.metrics['seconds_sampling']:.0f} s")
        here, there = (_update_ms(place, session, done, done.batch, report) for place in UPDATES)
        rows.append(_row(f"update, {task}, {samples:,} steps", here, there, LEAST if task == GAME else None))
        if task == GAME:
            first = {count: done.batch.obs.take(slice(0, count)) for count in BLOCKS}
            rows += [_row(f"policy, {task}, {n} states", *_block_ms(done.before.policy, first[n])) for n in BLOCKS]
    return Table(head, rows)


def _row(name: str, here: float, there: float, least: float | None = None) -> str:
    ratio = here / there
    judged = f"{least:g} | {verdict(ratio >= least)}" if least else "— | —"
    return f"{name} | {here:,.1f} | {there:,.1f} | {ratio:.2g} | {judged}"


def _update_ms(place: str, session: Session, done: Iteration, batch: Batch, report: Report) -> float:
    """Milliseconds of the update that an iteration made of its batch, done again there."""
    config = done.config.replace(device=place)

    def update() -> str:
        context = config.context(session.streams.generator(1, Purpose.FISHER_ROWS))
        _, found = step(done.before, batch, *config.of_method(), context)
        return f"{found.message}, KL {found.kl_mean}"

    with few_threads(THREADS):
        report(f"on {place}: {update()}")
        return _median_ms(update, UPDATES[place])


def _block_ms(policy: Policy, stacks: np.ndarray) -> tuple[float, float]:
    """Milliseconds of a policy on a block of stacks of frames: as sampling does it, and on the GPU."""
    actor, theta = policy.actor(len(stacks)), policy.theta[: policy.network.size].cuda()

    def there() -> None:
        policy.network.run(theta, fractions(torch.from_numpy(stacks).cuda(), theta)).cpu()

    with few_threads():
        return _median_ms(lambda: actor.parameters(stacks), EVALUATIONS), _median_ms(there, EVALUATIONS)


def _median_ms(work: Callable[[], Any], count: int) -> float:
    return 1000 * statistics.median(timed(work)[0] for _ in range(count))

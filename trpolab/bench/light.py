"""How near a whole iteration comes to the least that its physics and its arithmetic can take on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from trpolab.bench.physics import recorded, replay
from trpolab.bench.table import Report, Table, timed, verdict
from trpolab.machine import usable_cores
from trpolab.numerics.threads import few_threads
from trpolab.policies.actors import Actor
from trpolab.sampling.workers.simulator_pool import never
from trpolab.training.loop import Iteration, iterate
from trpolab.training.samplers import Samplers
from trpolab.training.session import Session

STEPS = 50_000  # of an iteration
WARM_UP, ITERATIONS = 2, 5
REPLAYS = 3  # of each iteration; the fastest counts
CAUSES = ("policy", "glue", "idle", "update", "value fit", "other")


@dataclass(frozen=True)
class Spent:
    """Seconds of one iteration as it ran, and the least that its parts can take; policy, update and value fit."""

    total: float
    sampling: float
    update: float
    value: float
    physics: float  # replayed alone
    policy: float  # distribution parameters alone, laid over the threads
    idle: float  # of a core, while another one still samples; mean over cores
    least: tuple[float, float, float]

    @property
    def share(self) -> float:
        """η: the least that the iteration can take over what it took."""
        return (self.physics + sum(self.least)) / self.total

    @property
    def gap(self) -> dict[str, float]:
        """What is missing to η = 1, by cause."""
        policy, update, value = self.least
        glue = self.sampling - self.physics - self.policy - self.idle
        other = self.total - self.sampling - self.update - self.value
        lost = (self.policy - policy, glue, self.idle, self.update - update, self.value - value, other)
        return {cause: seconds / self.total for cause, seconds in zip(CAUSES, lost, strict=True)}


def light(report: Report) -> Table:
    """The speed-of-light share of whole iterations of 50,000 steps, and what is missing to it, by cause.

    η: the physics alone, replayed (the fastest of 3; its last states equal the sampler's bit for bit), and the
    operations of policy, update and value fit at the rate of a 1024 × 64 × 64 matrix product on all cores, over the
    whole iteration. Of 5 iterations after 2, the one with the middle η. Glue: all else in sampling, threads waiting for
    the interpreter included. Idle: cores that have sampled their part.
    """
    rows = []
    for task in ("Hopper-v5", "Walker2d-v5", "Swimmer-v5"):
        found = []
        for spent in iterations(task, STEPS, WARM_UP, ITERATIONS):
            found.append(spent)
            report(f"{task}: η {spent.share:.1%} of {spent.total:.2f} s")
        middle = sorted(found, key=lambda spent: spent.share)[len(found) // 2]
        gap = " | ".join(f"{middle.gap[cause]:.1%}" for cause in CAUSES)
        measured = f"{task} | {usable_cores()} | {middle.total:.2f} | {middle.physics / middle.total:.0%}"
        rows.append(f"{measured} | {middle.share:.0%} | 85% | {verdict(middle.share >= 0.85)} | {gap}")
    return Table(f"task | threads | s | physics | η | must reach | reached | {' | '.join(CAUSES)}", rows)


def iterations(task: str, steps: int, warm_up: int, measured: int) -> Iterator[Spent]:
    """Iterations of a run from its start; those of the warm-up are left out."""
    threads = usable_cores()
    session = Session(task, out=None, seed=0, iterations=warm_up + measured, steps_per_iteration=steps, threads=threads)
    samplers = Samplers(session.source, session.task, session.config.slots or 1, threads, session.streams)
    loop, rate = iterate(session.controls, session.streams, session.progress.copy(), samplers), product_rate(threads)
    with few_threads():
        for index in range(warm_up + measured):
            before = samplers.running()
            done = next(loop)
            if index < warm_up:
                continue
            sampler = samplers.single_path
            with recorded(sampler.pool) as tapes:
                sampler.restore(before)
                samplers.collect(done.before, done.config, done.index, never)
            physics = min(replay(tapes, threads)[0] for _ in range(REPLAYS))
            idle = sum(max(tape.ended for tape in tapes) - tape.ended for tape in tapes) / threads
            actor = Actor(done.before.policy, sampler.pool.widths[0])
            policy = timed(actor.evaluate, done.batch.obs)[0] / threads  # type: ignore[union-attr]
            total, own = done.metrics["seconds_total"], done.metrics["seconds_sampling"]
            update, value = done.metrics["seconds_update"], done.metrics["seconds_value"]
            yield Spent(total, own, update, value, physics, policy, idle, least(done, rate))
    samplers.close()


def least(done: Iteration, rate: float) -> tuple[float, float, float]:
    """Seconds of the operations of the policy while sampling, the update and the value fit, so many a second.

    With F those of a forward pass: a gradient is 3F, a product with the Fisher matrix or with JᵀJ 4F on its share of
    the rows, and the line search 2F.
    """
    config, forward = done.config, 2.0 * done.metrics["batch_steps"] / rate
    trust, fit = config.trust, config.value
    policy = forward * done.before.policy.network.size
    update = (3 + 4 * trust.cg_iterations * trust.fisher_fraction + 2) * policy
    if done.before.value is None:
        return policy, update, 0.0
    steps = fit.fit_steps * (1 + 4 * fit.cg_iterations) * fit.fit_fraction + 3 * fit.fit_steps + 1
    return policy, update, steps * forward * done.before.value.network.size


def product_rate(threads: int, products: int = 2000) -> float:
    """Operations a second of products [1024, 64] · [64, 64], each thread doing its own."""
    left, right = np.ones((1024, 64), np.float32), np.ones((64, 64), np.float32)

    def work(out: np.ndarray) -> None:
        for _ in range(products):
            np.matmul(left, right, out=out)

    with few_threads(), ThreadPoolExecutor(threads) as team:
        outs = [np.empty_like(left) for _ in range(threads)]
        fastest = min(timed(lambda: list(team.map(work, outs)))[0] for _ in range(3))
    return threads * products * 2 * left.size * right.shape[1] / fastest

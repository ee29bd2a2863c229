"""Workers on Ray against this machine's own: speed, bytes, and the time from nothing to a first batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from trpolab.bench.physics import HOPPER, PAPER
from trpolab.bench.table import Report, Table, timed, verdict
from trpolab.sampling.workers.execution import Execution
from trpolab.sampling.workers.ray_pool import RayPool
from trpolab.sampling.workers.simulator_pool import never
from trpolab.training.samplers import Samplers
from trpolab.training.session import Session

WORKERS = 2
ROUNDS = 5
VINE = {"sampler": "vine", **{f"vine.{name}": getattr(PAPER, name) for name in
        ("trunks", "trunk_length", "states", "actions", "rollout_length", "tail_value")}}  # fmt: skip
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "vine, paper/Hopper, 2,500 branches of 100": (HOPPER, VINE),
    "single path, Pong": ("ALE/Pong-v5", {"preset": "paper", "steps_per_iteration": 20_000, "path.horizon": 10_000}),
}


class Counting(RayPool):
    """Workers on Ray, and what each call of one batch sent and brought back."""

    def __init__(self) -> None:
        super().__init__(Execution(executor="ray", workers=WORKERS))
        self.calls: list[tuple[int, int]] = []  # bytes sent, bytes received

    def map(self, *given: Any, **named: Any) -> list[Any]:
        """As `RayPool.map`."""
        sent, received = self.sent, self.received
        results = super().map(*given, **named)
        self.calls.append((self.sent - sent, self.received - received))
        return results


def ray(report: Report) -> Table:
    """Two workers on Ray against two threads or processes of this machine.

    Medians of 5 batches under the starting policy, both in turn; each pair of batches has the same Q-values bit for
    bit. MB are those of one batch, as packed. Out: θ, and the snapshots that branches begin with. In: the states that
    the update sees with their snapshots, and what branches earned. Start: from no Ray to the first batch.
    """
    rows = []
    for name, (task, settings) in RUNS.items():
        session, pool = Session(task, out=None, seed=0, **settings), Counting()
        made = (session.source, session.task, session.config.slots or 1, WORKERS, session.streams)
        here, there = Samplers(*made), Samplers(*made, pool)
        seconds: list[tuple[float, float]] = []
        try:
            with threadpool_limits(1):
                started, _ = timed(there.collect, session.learner, session.config, 1, never)
                here.collect(session.learner, session.config, 1, never)
                for number in range(2, ROUNDS + 2):
                    pool.calls.clear()
                    ours, one = timed(here.collect, session.learner, session.config, number, never)
                    rays, other = timed(there.collect, session.learner, session.config, number, never)
                    assert np.array_equal(one.batch.q_values, other.batch.q_values)
                    seconds.append((ours, rays))
                    report(f"{name}: {ours:.2f} s here, {rays:.2f} s on Ray")
        finally:
            here.close()
            there.close()
        ours, rays = np.median(seconds, axis=0)
        ratio = float(np.median([one / other for one, other in seconds]))
        out, paths, *branches = sum(sent for sent, _ in pool.calls), *(received for _, received in pool.calls)
        moved = f"{out / 1e6:.2f} | {paths / 1e6:.2f} | {f'{branches[0] / 1e6:.2f}' if branches else '–'}"
        reached = ratio >= 0.9 and started <= 30 and (not branches or out + branches[0] < 1e6)
        rows.append(f"{name} | {ours:.2f} | {rays:.2f} | {ratio:.2f} | {moved} | {started:.0f} | {verdict(reached)}")
    head = (
        "what | here, s | on Ray, s | speed (0.9) | MB out | MB in: states | MB in: branches (1 with those out) | "
        "start, s (30) | reached"
    )
    return Table(head, rows)

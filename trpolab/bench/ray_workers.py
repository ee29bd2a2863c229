"""Workers on Ray against this machine's own: speed, bytes, and the time from nothing to a first batch."""

from __future__ import annotations

import statistics
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
    "single path, Pong": ("ALE/Pong-v5", {"steps_per_iteration": 20_000}),
}


def ray(report: Report) -> Table:
    """Two workers on Ray against two threads or processes of this machine.

    Medians of 5 batches under the starting policy, both in turn; each pair of batches has the same states bit for bit.
    Bytes are those of one batch, as packed: out θ and snapshots, in states, actions, Q-values and snapshots. Start:
    from no Ray to the first batch.
    """
    rows = []
    for name, (task, settings) in RUNS.items():
        session = Session(task, out=None, seed=0, **settings)
        pool = RayPool(Execution(executor="ray", workers=WORKERS))
        made = (session.source, session.task, session.config.slots or 1, WORKERS, session.streams)
        here, there = Samplers(*made), Samplers(*made, pool)
        try:
            with threadpool_limits(1):
                started, _ = timed(there.collect, session.learner, session.config, 1, never)
                here.collect(session.learner, session.config, 1, never)
                ours, rays = [], []
                for number in range(2, ROUNDS + 2):
                    sent, received = pool.sent, pool.received
                    took, one = timed(here.collect, session.learner, session.config, number, never)
                    ours.append(took)
                    took, other = timed(there.collect, session.learner, session.config, number, never)
                    rays.append(took)
                    assert np.array_equal(one.batch.obs, other.batch.obs)
                    report(f"{name}: {ours[-1]:.2f} s here, {rays[-1]:.2f} s on Ray")
        finally:
            here.close()
            there.close()
        ratio = statistics.median(np.divide(ours, rays))
        moved = f"{(pool.sent - sent) / 1e6:.2f} | {(pool.received - received) / 1e6:.2f} | {started:.0f}"
        reached = verdict(ratio >= 0.9 and started <= 30)
        rows.append(f"{name} | {statistics.median(ours):.2f} | {statistics.median(rays):.2f} | {ratio:.2f} | "
                    f"{moved} | {reached}")  # fmt: skip
    head = "what | here, s | on Ray, s | speed (0.9) | MB out | MB in | start, s (30) | reached"
    return Table(head, rows)

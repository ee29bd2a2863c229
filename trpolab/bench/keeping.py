"""The cost of checkpoints, as a share of the training time."""

from __future__ import annotations

import statistics
import tempfile
import time

from trpolab.bench.speed import Report
from trpolab.bench.table import Table, machine, verdict
from trpolab.training.session import Session

ITERATIONS = 200
EVERY = 10  # iterations between checkpoints
MOST = 0.01  # share of the time


def checkpoint(report: Report) -> Table:
    """Hopper-v5 with default settings and a checkpoint every 10th iteration: the time spent outside iterations."""
    plain: list[float] = []  # seconds outside iterations, of those without a checkpoint
    kept: list[float] = []  # and of those with one
    wall = 0.0
    with tempfile.TemporaryDirectory(prefix="trpolab-bench-") as folder:
        session = Session("Hopper-v5", out=folder, seed=0, iterations=ITERATIONS, checkpoint_every=EVERY)
        last = time.perf_counter()
        for done in session.iterate():
            now = time.perf_counter()
            if done.index > EVERY:  # the first ones warm up
                beside = now - last - done.metrics["seconds_total"]
                (kept if done.index % EVERY == 0 else plain).append(beside)
                wall += now - last
            if done.index % 50 == 0:
                report(f"iteration {done.index} of {ITERATIONS}")
            last = now
    each = statistics.median(kept) - statistics.median(plain)
    share, all_of_it = (sum(kept) - len(kept) * statistics.median(plain)) / wall, (sum(kept) + sum(plain)) / wall
    row = (
        f"{len(kept)}",
        f"{1000 * each:.1f}",
        f"{share:.2%}",
        f"{MOST:.0%}",
        verdict(share < MOST),
        f"{all_of_it:.2%}",
    )
    return Table(
        "checkpoint",
        f"Hopper-v5, a checkpoint every {EVERY}th iteration, as a share of the time",
        ("checkpoints", "each, ms", "share", "at most", "reached", "all that is written, share"),
        (row,),
        (
            f"{ITERATIONS} iterations of 2,048 steps; a checkpoint is written, forced to the disk, read back and "
            "compared. All that is written: also a line of metrics, the policy and the status of every iteration.",
            machine(),
        ),
    )

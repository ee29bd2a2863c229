"""What more cores would bring: a simulation, from what the work units of an iteration cost on this machine."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any

from threadpoolctl import threadpool_limits

from trpolab.bench.physics import HOPPER
from trpolab.bench.ray_workers import VINE
from trpolab.bench.table import Report, Table
from trpolab.sampling.workers.simulator_pool import never
from trpolab.training.samplers import Samplers
from trpolab.training.session import Session

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "vine, paper/Hopper, 2,500 branches of 100": (HOPPER, VINE),
    "single path, paper/Hopper, 1,000,000 steps": (HOPPER, {"preset": "paper"}),
    "single path, Pong, 100,000 decisions": ("ALE/Pong-v5", {"preset": "paper"}),
}
CORES = (1, 2, 16, 64, 1000)
A_MACHINE = 16  # cores; each machine gets what its units share once
LINKS = {"1 Gbit/s": 125e6, "10 Gbit/s": 1.25e9}  # bytes a second, of the machine that leads


@dataclass(frozen=True)
class Unit:
    """What a work unit costs."""

    seconds: float
    sent: int  # bytes, besides what it shares with others
    received: int


@dataclass(frozen=True)
class Call:
    """Units that may run at the same time; the next call begins when all have answered."""

    units: Sequence[Unit]
    shared: int = 0  # bytes that all of them need

    def seconds(self, cores: int, rate: float) -> float:
        """On so many cores, a worker each, which take the units in turn; all bytes pass one link, each way."""
        sending, answers = -(-cores // A_MACHINE) * self.shared / rate, []
        free = [0.0] * min(cores, len(self.units))
        for unit in self.units:
            begins = max(heapq.heappop(free), sending)
            sending = begins + unit.sent / rate
            answers.append((sending + unit.seconds, unit.received))
            heapq.heappush(free, answers[-1][0])
        receiving = 0.0
        for ready, size in sorted(answers):
            receiving = max(receiving, ready) + size / rate
        return receiving


class Metered:
    """Runs units here, one after the other, and keeps what each costs."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.calls: list[Call] = []
        self.seconds = 0.0  # spent here, measuring included
        self._bench: dict[Any, Any] = {}

    def map(
        self, unit: Callable[..., Any], rows: Sequence[tuple[Any, ...]], interrupt: Callable[[], bool] = never
    ) -> list[Any]:
        """As every pool of workers has it."""
        began, results, units = time.perf_counter(), [], []
        alike = {at for at, column in enumerate(zip(*rows, strict=True)) if all(one is column[0] for one in column)}
        for row in rows:
            start = time.process_time()  # others may keep this machine busy
            results.append(unit(self._bench, *row, interrupt=interrupt))
            took = time.process_time() - start
            own = [part for at, part in enumerate(row) if at not in alike]
            units.append(Unit(took, len(ForkingPickler.dumps(own)), len(ForkingPickler.dumps(results[-1]))))
        self.calls.append(Call(units, len(ForkingPickler.dumps([rows[0][at] for at in alike]))))
        self.seconds += time.perf_counter() - began
        return results

    def close(self) -> None:
        """Nothing to give back."""


def scaling(report: Report) -> Table:
    """A simulation: seconds of an iteration on so many cores.

    Not measured but worked out from what the work units of one iteration under the starting policy cost on one core
    here, from their bytes, and from the time that the update and all else takes here, which no further core shortens.
    Cores are all like this machine's, 16 to a machine; every byte passes one link of the machine that leads.
    """
    rows = []
    for name, (task, settings) in RUNS.items():
        session, meter = Session(task, out=None, seed=0, **settings), Metered()
        samplers = Samplers(session.source, session.task, session.config.slots or 1, 1, session.streams, meter)
        with threadpool_limits(1):
            for number in (1, 2):  # the first one makes the simulators
                meter.calls.clear()
                began, meter.seconds = time.perf_counter(), 0.0
                collected = samplers.collect(session.learner, session.config, number, never)
                joining = time.perf_counter() - began - meter.seconds
        samplers.close()
        done = next(iter(Session(task, out=None, seed=0, iterations=1, **settings).iterate())).metrics
        alone = joining + done["seconds_total"] - done["seconds_sampling"]
        units = [unit for call in meter.calls for unit in call.units]
        report(f"{name}: {len(units)} units, {sum(unit.seconds for unit in units):.1f} s, {alone:.1f} s besides")
        moved = sum(unit.sent + unit.received for unit in units) / collected.batch.sim_steps
        for link, rate in LINKS.items():
            found = [alone + sum(call.seconds(cores, rate) for call in meter.calls) for cores in CORES]
            cells = " | ".join(f"{seconds:.1f}" for seconds in found)
            most = max(len(call.units) for call in meter.calls)
            rows.append(f"{name} | {link} | {most} | {moved:,.0f} | {alone:.1f} | {cells}")
    head = " | ".join(f"{cores:,} cores" if cores > 1 else "1 core" for cores in CORES)
    return Table(f"what | link | units at a time | bytes a step | update and the like | {head}", rows)

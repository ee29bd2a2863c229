"""The physics' share of the time of sampling: what a sampler did is replayed through MuJoCo alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from typing import Any

import numpy as np
from mujoco.batch import Batch as Physics
from threadpoolctl import threadpool_limits

from trpolab.bench.learning import SMALL_VINE
from trpolab.bench.table import Report, Table, resident_mib, timed, verdict
from trpolab.machine import usable_cores
from trpolab.policies import Learner
from trpolab.sampling.config import Vine
from trpolab.sampling.sampler import Resources, Returns
from trpolab.sampling.single_path import SinglePathSampler
from trpolab.sampling.streams import Streams
from trpolab.sampling.vine.sampler import VineSampler
from trpolab.sampling.workers.simulator_pool import SimulatorPool, never
from trpolab.simulators import find_task
from trpolab.simulators.base import Snapshot, Transition
from trpolab.simulators.mujoco.mujoco_simulator import MujocoSimulator
from trpolab.training.session import Session

FRAME_SKIP = 4  # physics steps of one decision, in all of these tasks
BATCHES, BATCH = 9, 8192  # of single path
REPEATS = 7  # vine iterations that are measured
HOPPER = "paper/Hopper"
PAPER = Vine(trunks=16, trunk_length=1000, states=625, actions=4, rollout_length=100, tail_value=False)


def sampling(report: Report) -> Table:
    """Physics alone, replayed, as a share of the sampling time.

    Medians of 9 batches of 8,192 steps under the starting policy, sampling and replay in turn; the replay's last states
    equal the sampler's bit for bit.
    """
    rows = []
    for task in ("Hopper-v5", "Walker2d-v5", "Swimmer-v5"):
        session, threads = Session(task, out=None), usable_cores()
        share, rate = _single_path_share(session, threads)
        report(f"{task}: physics {share:.1%}, {rate:,.0f} steps/s")
        measured = f"{task} | {session.config.slots} | {threads} | {rate:,.0f} | {share:.0%}"
        rows.append(f"{measured} | 85% | {verdict(share >= 0.85)}")
    return Table("task | slots | threads | steps/s | physics | must reach | reached", rows)


def vine(report: Report) -> Table:
    """One vine iteration on paper/Hopper: 16 trunks of 1,000, 625 states, 4 branches of 100 each.

    Physics: the same actions and restores replayed through mujoco.batch alone, laid over threads alike, as a share of
    sampling; sums over 7 iterations. Restoring: its share of the threads' time.
    """
    rows = []
    for name, iterations in (("fresh", 0), ("after 40 small iterations", 40)):
        session = Session(HOPPER, out=None, seed=0, iterations=max(1, iterations), **SMALL_VINE)
        learner = session.run().learner if iterations else session.learner
        share, restoring, rate, resident = _vine_share(learner, report)
        reached = verdict(share >= 0.85 and restoring < 0.01 and resident < 1024)
        rows.append(
            f"{name} | {rate:,.0f} | {share:.0%} | 85% | {restoring:.2%} | 1% | {resident:,.0f} | 1,024 | {reached}"
        )
    head = "policy | steps/s | physics | at least | restoring | at most | resident, MiB | at most | reached"
    return Table(head, rows)


def _single_path_share(session: Session, threads: int) -> tuple[float, float]:
    """The physics' share of sampling, and steps a second: medians over batches."""
    pool = SimulatorPool(session.source, session.config.slots or 1, threads)
    sampler, steps, shares, rates = SinglePathSampler(pool, session.streams), BATCH // pool.slots, [], []
    with threadpool_limits(1, "blas"):
        sampler.advance(session.policy, steps, 1, never)
        for index in range(2, BATCHES + 3):
            before = sampler.running()
            took, _ = timed(sampler.advance, session.policy, steps, index, never)
            with recorded(pool) as tapes:
                sampler.restore(before)
                sampler.advance(session.policy, steps, index, never)
            physics, _ = replay(tapes, threads)
            shares.append(physics / took)
            rates.append(pool.slots * steps / took)
    pool.close()
    return float(np.median(shares[1:])), float(np.median(rates[1:]))  # the first one warms up


def _vine_share(learner: Learner, report: Report) -> tuple[float, float, float, float]:
    """Physics' share of sampling, restoring's share of the threads' time, steps a second, resident MiB."""
    threads = usable_cores()
    sampler = VineSampler(Resources(HOPPER, find_task(HOPPER), 1, threads, Streams(0)))
    found, resident = [], 0.0
    with threadpool_limits(1, "blas"):
        for index in range(REPEATS + 1):
            took, collected = timed(sampler.collect, learner, PAPER, Returns(0.99), index, never)
            resident = max(resident, resident_mib())
            pools = (sampler.trunk_pool(PAPER.trunks), sampler.branch_pool(PAPER.states * PAPER.actions))
            with recorded(pools[0]) as trunks, recorded(pools[1]) as branches:
                sampler.collect(learner, PAPER, Returns(0.99), index, never)
            physics, restoring = np.sum([replay(tapes, threads) for tapes in (trunks, branches)], axis=0)
            found.append((took, physics, restoring / threads, collected.batch.sim_steps))
            report(f"iteration {index}: physics {physics / took:.1%}, {found[-1][-1] / took:,.0f} steps/s")
    sampler.close()
    took, physics, restoring, steps = np.sum(found[1:], axis=0)  # the first one warms up
    return physics / took, restoring / took, steps / took, resident


class Tape:
    """A simulator that records the states written into its slots (None: all) and the actions, and times restores."""

    def __init__(self, simulator: MujocoSimulator):
        self.simulator = simulator
        self.events: list[tuple[str, np.ndarray | None, np.ndarray]] = []  # (kind, slots, states or actions)
        self.restoring = 0.0
        self.ended = 0.0  # when the last step was done

    def __getattr__(self, name: str) -> Any:
        return getattr(self.simulator, name)

    def reset(self, slots: np.ndarray | None, seeds: np.ndarray) -> np.ndarray:
        obs = self.simulator.reset(slots, seeds)
        self.events.append(("write", copy(slots), self.simulator.snapshot(slots).parts["state"]))
        return obs

    def restore(self, slots: np.ndarray | None, snapshot: Snapshot, seeds: np.ndarray | None = None) -> np.ndarray:
        took, obs = timed(self.simulator.restore, slots, snapshot, seeds)
        self.restoring += took
        self.events.append(("write", copy(slots), snapshot.parts["state"]))
        return np.asarray(obs)

    def step(self, slots: np.ndarray | None, actions: np.ndarray) -> Transition:
        self.events.append(("step", copy(slots), np.array(actions, np.float64)))
        result = self.simulator.step(slots, actions)
        self.ended = time.perf_counter()
        return result


@contextmanager
def recorded(pool: SimulatorPool) -> Iterator[tuple[Tape, ...]]:
    """Inside, a pool's simulators record what is done with them."""
    simulators = pool.simulators
    pool.simulators = tapes = tuple(Tape(simulator) for simulator in simulators)
    try:
        yield tapes
    finally:
        pool.simulators = simulators


def replay(tapes: Sequence[Tape], threads: int) -> tuple[float, float]:
    """Seconds of what was recorded through the physics alone, and seconds of restoring, summed over simulators.

    Raises AssertionError unless the last states are the sampler's.
    """
    batches = [Physics(tape.simulator._model, tape.simulator.width, 1) for tape in tapes]
    with ThreadPoolExecutor(threads) as team:
        took, _ = timed(lambda: list(team.map(_play, batches, tapes)))
    for physics, tape in zip(batches, tapes, strict=True):
        if not np.array_equal(physics.state, tape.simulator.snapshot(None).parts["state"]):
            raise AssertionError("the replay's last states differ from the sampler's")
    return took, sum(tape.restoring for tape in tapes)


def _play(physics: Physics, tape: Tape) -> None:
    control = physics.bind("ctrl")
    for kind, slots, rows in tape.events:
        where = slice(None) if slots is None else slots
        if kind == "write":
            physics.state[where] = rows
        else:
            control[where] = rows
            physics.step(slots, nstep=FRAME_SKIP)

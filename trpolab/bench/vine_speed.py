"""The vine: the physics' share of its sampling time, and what it learns."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from mujoco.batch import Batch as Physics
from threadpoolctl import threadpool_limits

from trpolab.bench.speed import Report, _resident_mib
from trpolab.bench.table import Table, machine, verdict
from trpolab.machine import usable_cores
from trpolab.policies import Learner
from trpolab.sampling.config import Vine
from trpolab.sampling.sampler import Returns
from trpolab.sampling.streams import Streams
from trpolab.sampling.vine.sampler import VineSampler
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators import find_task
from trpolab.simulators.base import Snapshot, Transition
from trpolab.simulators.mujoco.mujoco_simulator import MujocoSimulator
from trpolab.training.session import Session

FRAME_SKIP = 4  # physics steps of one decision of the hopper
TIME_STEP = 0.008  # seconds of one decision
SEEDS = 5
SWIMMER_SEEDS = 3
REPEATS = 7  # measured iterations
PAPER = Vine(trunks=16, trunk_length=1000, states=625, actions=4, rollout_length=100, tail_value=False)
# A small vine, many iterations; the policy and the update as the paper has them.
SMALL: dict[str, Any] = {
    "sampler": Vine(trunks=4, trunk_length=250, states=30, actions=4, rollout_length=50, tail_value=False),
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


def speed(report: Report) -> Table:
    """The physics' share of a vine iteration's sampling time, the share of restoring, and memory."""
    rows = []
    for name, iterations in (("fresh", 0), ("after 40 small iterations", 40)):
        learner = _practised(iterations)
        share, restoring, rate, resident = _physics_share(learner, report)
        rows.append((name, f"{rate:,.0f}", f"{share:.0%}", "85%", f"{restoring:.2%}", "1%", f"{resident:,.0f}",
                     "1,024", verdict(share >= 0.85 and restoring < 0.01 and resident < 1024)))  # fmt: skip
    return Table(
        "vine",
        "One vine iteration on paper/Hopper: 16 trunks of 1,000, 625 states, 4 branches of 100 each",
        ("policy", "steps/s", "physics", "at least", "restoring", "at most", "resident, MiB", "at most", "reached"),
        tuple(rows),
        ("Physics: the same actions and restores replayed through mujoco.batch alone, laid over threads alike, as a "
         f"share of sampling; sums over {REPEATS} iterations. Restoring: its share of the threads' time.", machine()),
    )  # fmt: skip


def hopper(report: Report) -> Table:
    """A small vine on the paper's hopper, 500,000 steps: return and forward speed of the last five iterations."""
    rows, passed = [], 0
    for seed in range(SEEDS):
        session = Session("paper/Hopper", out=None, seed=seed, iterations=100_000, checkpoint_every=100_000, **SMALL)
        began, recent = time.perf_counter(), deque[Any](maxlen=5)
        first = 0.0
        for done in session.iterate():
            recent.append(done)
            if not first and (done.metrics["return_mean"] or 0) >= 3 * session.history[0]["return_mean"]:
                first = time.perf_counter() - began
            if done.metrics["sim_steps"] >= 500_000:
                break
        found = float(np.concatenate([done.batch.episodes.returns for done in recent]).mean())
        forward = _forward_speed([done.batch.paths for done in recent])
        reached = found >= 200 and forward >= 1 and 0 < first < 30
        passed += reached
        rows.append((f"{seed}", f"{found:.0f}", "200", f"{forward:.2f}", "1", f"{first:.1f}", "30", verdict(reached),
                     f"{time.perf_counter() - began:.0f}"))  # fmt: skip
        report(f"seed {seed}: return {found:.0f}, {forward:.2f} m/s")
    return Table(
        "vine-hopper",
        f"paper/Hopper by a small vine, 500,000 steps: {passed} of {SEEDS} seeds",
        ("seed", "return", "must reach", "m/s", "must reach", "seconds to 3x", "at most", "reached", "seconds"),
        tuple(rows),
        ("4 trunks of 250, 30 states, 4 branches of 50. Mean over the last five iterations' trunks.", machine()),
    )


def swimmer(report: Report) -> Table:
    """The paper's swimmer with the paper's vine: 60 iterations of Table 2, reward a step over whole trunks."""
    rows, passed = [], 0
    for seed in range(SWIMMER_SEEDS):
        session = Session("paper/Swimmer", out=None, preset="paper", sampler="vine", proposal="policy", seed=seed,
                          iterations=60, checkpoint_every=60)  # fmt: skip
        began, rewards = time.perf_counter(), []
        for done in session.iterate():
            assert done.batch is not None
            episodes = done.batch.episodes
            rewards.append(float(episodes.returns.sum() / episodes.lengths.sum()))
        first, last = rewards[0], statistics.mean(rewards[-5:])
        passed += last > 0.02
        steps = session.history[-1]["sim_steps"]
        rows.append((f"{seed}", f"{steps:,}", f"{first:.3f}", f"{last:.3f}", "0.02", verdict(last > 0.02),
                     f"{time.perf_counter() - began:.0f}"))  # fmt: skip
        report(f"seed {seed}: {first:.3f} to {last:.3f} a step")
    return Table(
        "vine-swimmer",
        f"paper/Swimmer by the vine of Table 2, 60 iterations: {passed} of {SWIMMER_SEEDS} seeds",
        ("seed", "steps", "reward a step, first", "last five", "must exceed", "reached", "seconds"),
        tuple(rows),
        ("16 trunks of 1,000, 125 states, 4 branches of 50. Mean over all trunks, whole episodes.", machine()),
    )


def cartpole(report: Report) -> Table:
    """CartPole-v1 with every action tried and a tail value: mean length within 100,000 steps."""
    rows, passed = [], 0
    for seed in range(SEEDS):
        session = Session("CartPole-v1", out=None, seed=seed, iterations=100_000, sampler="vine",
                          checkpoint_every=100_000)  # fmt: skip
        lengths: deque[np.ndarray] = deque(maxlen=5)
        for done in session.iterate():
            if done.batch is not None:
                lengths.append(done.batch.episodes.lengths)
            if done.metrics["sim_steps"] >= 100_000:
                break
        found = float(np.concatenate(lengths).mean())
        passed += found >= 200
        rows.append((f"{seed}", f"{found:.0f}", "200", verdict(found >= 200)))
        report(f"seed {seed}: length {found:.0f}")
    return Table(
        "vine-cartpole",
        f"CartPole-v1 by the vine, every action, tail value, 100,000 steps: {passed} of {SEEDS} seeds",
        ("seed", "length", "must reach", "reached"),
        tuple(rows),
        ("Mean length of the episodes that the last five iterations' trunks finished.", machine()),
    )


def _forward_speed(records: list[Any]) -> float:
    """Metres a second over all trunks; the first observation of the paper's hopper is its position."""
    way = steps = 0.0
    for record in records:
        place, start = record.trunk_obs[:, 0], record.trunk_start
        way += float((place[start[1:] - 1] - place[start[:-1]]).sum())
        steps += float((np.diff(start) - 1).sum())
    return way / (steps * TIME_STEP)


def _practised(iterations: int) -> Learner:
    """A learner after `iterations` small iterations."""
    session = Session("paper/Hopper", out=None, seed=0, iterations=max(1, iterations), **SMALL)
    return session.run().learner if iterations else session.learner


@dataclass(frozen=True)
class _Write:
    """Rows written into a simulator's state before the next step."""

    slots: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class _Step:
    """One decision of some slots (None: all)."""

    slots: np.ndarray | None
    actions: np.ndarray


class _BranchTape:
    """A simulator that records what was written into it and which actions were taken, and times restores."""

    def __init__(self, simulator: MujocoSimulator):
        self._simulator = simulator
        self.events: list[_Write | _Step] = []
        self.restoring = 0.0

    def __getattr__(self, name: str) -> object:
        return getattr(self._simulator, name)

    def reset(self, slots: np.ndarray | None, seeds: np.ndarray) -> np.ndarray:
        obs = self._simulator.reset(slots, seeds)
        ids = np.arange(self._simulator.width) if slots is None else np.array(slots)
        self.events.append(_Write(ids, self._simulator.snapshot(slots).parts["state"]))
        return obs

    def restore(self, slots: np.ndarray, snapshot: Snapshot, seeds: np.ndarray | None = None) -> np.ndarray:
        began = time.perf_counter()
        obs = self._simulator.restore(slots, snapshot, seeds)
        self.restoring += time.perf_counter() - began
        self.events.append(_Write(np.array(slots), snapshot.parts["state"]))
        return obs

    def step(self, slots: np.ndarray | None, actions: np.ndarray) -> Transition:
        self.events.append(_Step(None if slots is None else np.array(slots), np.array(actions, np.float64)))
        return self._simulator.step(slots, actions)


def _physics_share(learner: Learner, report: Report) -> tuple[float, float, float, float]:
    """Physics' share of sampling, restoring's share of the threads' time, steps a second, resident MiB."""
    threads = usable_cores()
    sampler = VineSampler("paper/Hopper", find_task("paper/Hopper"), threads, Streams(0))
    sampling, physics, steps, restoring, resident = [], [], [], [], 0.0
    with threadpool_limits(1, "blas"):
        for index in range(REPEATS + 1):  # the first one warms up
            began = time.perf_counter()
            collected = sampler.collect(learner, PAPER, Returns(0.99), index, lambda: False)
            took = time.perf_counter() - began
            resident = max(resident, _resident_mib())
            pools = (sampler.trunk_pool(PAPER.trunks), sampler.branch_pool(PAPER.states * PAPER.actions))
            tapes = [_on_tape(pool) for pool in pools]
            sampler.collect(learner, PAPER, Returns(0.99), index, lambda: False)
            for pool, own in zip(pools, tapes, strict=True):
                pool.simulators = tuple(tape._simulator for tape in own)
            if index == 0:
                continue
            sampling.append(took)
            physics.append(sum(_replay(own, threads) for own in tapes))
            steps.append(collected.batch.sim_steps)
            restoring.append(sum(tape.restoring for own in tapes for tape in own) / threads)
            report(f"iteration {index}: physics {physics[-1] / took:.1%}, {steps[-1] / took:,.0f} steps/s")
    sampler.close()
    spent = sum(sampling)
    return sum(physics) / spent, sum(restoring) / spent, sum(steps) / spent, resident


def _on_tape(pool: SimulatorPool) -> list[_BranchTape]:
    """Replace a pool's simulators by recording ones; returns those."""
    tapes = [_BranchTape(simulator) for simulator in pool.simulators]  # type: ignore[arg-type]
    pool.simulators = tuple(tapes)  # type: ignore[arg-type]
    return tapes


def _replay(tapes: list[_BranchTape], threads: int) -> float:
    """Seconds of the recorded events through the physics alone; the last states must be the sampler's."""
    batches = [(Physics(tape._simulator._model, tape._simulator.width, 1), tape) for tape in tapes]
    waiting = deque(batches)

    def work() -> None:
        while True:
            try:
                physics, tape = waiting.popleft()
            except IndexError:
                return
            control = physics.bind("ctrl")
            for event in tape.events:
                if isinstance(event, _Write):
                    physics.state[event.slots] = event.rows
                    continue
                if event.slots is None:
                    control[:] = event.actions
                else:
                    control[event.slots] = event.actions
                physics.step(event.slots, nstep=FRAME_SKIP)

    workers = [threading.Thread(target=work) for _ in range(min(threads, len(batches)))]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.perf_counter() - began
    for physics, tape in batches:
        if not np.array_equal(physics.state, tape._simulator.snapshot(None).parts["state"]):
            raise AssertionError("the replay's last states differ from the sampler's")
    return took

"""Speed and memory, as ratios taken in one run."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import torch
from mujoco.batch import Batch as Physics
from threadpoolctl import threadpool_limits

from trpolab.bench.table import Table, machine, verdict
from trpolab.machine import usable_cores
from trpolab.policies import Learner
from trpolab.sampling.batch import Batch
from trpolab.sampling.single_path import SinglePathSampler, single_path_batch
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators.base import Snapshot, Transition
from trpolab.simulators.mujoco.mujoco_simulator import MujocoSimulator
from trpolab.training.config import resolve
from trpolab.training.loop import start_learner
from trpolab.training.session import Session, with_chosen_resources
from trpolab.updates import step
from trpolab.updates.surrogate import Samples, surrogate

Report = Callable[[str], None]
UPDATES = 15  # pairs of update and gradient
FRAME_SKIPS = {"Hopper-v5": 4, "Walker2d-v5": 4, "Swimmer-v5": 4}


def sampling(report: Report) -> Table:
    """The physics' share of sampling time: recorded actions replayed through the physics alone, against sampling."""
    rows = []
    for task in FRAME_SKIPS:
        share, rate, slots, threads = _physics_share(task, report)
        rows.append((task, f"{slots}", f"{threads}", f"{rate:,.0f}", f"{share:.0%}", "85%", verdict(share >= 0.85)))
    return Table(
        "sampling",
        "Physics alone, replayed, as a share of the sampling time",
        ("task", "slots", "threads", "steps/s", "physics", "must reach", "reached"),
        tuple(rows),
        ("Medians of 9 batches of 8,192 steps under the starting policy, sampling and replay in turn; the replay's "
         "last states equal the sampler's bit for bit.", machine()),
    )  # fmt: skip


def iteration(report: Report) -> Table:
    """Whole iterations, update and value fit included, against a plain loop of Gymnasium's own Hopper."""
    session = Session("Hopper-v5", out=None, iterations=1000)
    loop, ours, plain = session.iterate(), [], []
    for _ in range(5):
        next(loop)
    for repeat in range(5):
        plain.append(_plain_gymnasium_rate(4000))
        began, steps = time.perf_counter(), 0
        for _ in range(20):
            steps += next(loop).metrics["batch_steps"]
        ours.append(steps / (time.perf_counter() - began))
        report(f"iteration {repeat + 1}/5: {ours[-1]:,.0f} steps/s, Gymnasium {plain[-1]:,.0f}")
    loop.close()
    ratio = statistics.median(a / b for a, b in zip(ours, plain, strict=True))
    row = (f"{statistics.median(ours):,.0f}", f"{statistics.median(plain):,.0f}", f"{ratio:.2f}", "2.25")
    return Table(
        "iteration",
        "Whole TRPO iterations on Hopper-v5 against a one-core loop of Gymnasium's Hopper with random actions",
        ("trpolab, steps/s", "Gymnasium, steps/s", "ratio", "must reach", "reached"),
        ((*row, verdict(ratio >= 2.25)),),
        ("Medians of 5 pairs in turn: 20 iterations of 2,048 steps from the start of training, 4,000 plain steps.",
         machine()),
    )  # fmt: skip


def update(report: Report) -> Table:
    """The update with a 10 % Fisher subsample, one trial, no value fit, against torch's own full-batch gradient."""
    rows = []
    for size in (2_048, 50_000):
        for threads in sorted({1, usable_cores()}):
            ours, plain = _update_times(size, threads)
            ratio = statistics.median(a / b for a, b in zip(ours, plain, strict=True))
            report(f"update of {size:,} samples, {threads} threads: {ratio:.2f}")
            times = (f"{1e3 * statistics.median(ours):.1f}", f"{1e3 * statistics.median(plain):.1f}")
            rows.append((f"{size:,}", f"{threads}", *times, f"{ratio:.2f}", "3", verdict(ratio <= 3)))
    return Table(
        "update",
        "TRPO update (10% Fisher subsample, 10 CG iterations, no value fit) over torch's full-batch gradient",
        ("samples", "threads", "update, ms", "gradient, ms", "ratio", "at most", "reached"),
        tuple(rows),
        (
            f"Medians of {UPDATES} pairs in turn, updates of one trial; runs use one thread.",
            machine(),
        ),
    )


def memory(report: Report) -> Table:
    """Resident memory of Hopper at 50,000 steps an iteration, over 200 iterations."""
    session = Session("Hopper-v5", out=None, iterations=200, steps_per_iteration=50_000)
    found = []
    for done in session.iterate():
        found.append(_resident_mib())
        if done.index % 10 == 0:
            report(f"iteration {done.index}/200: {found[-1]:,.0f} MiB")
    early, late = statistics.median(found[40:60]), statistics.median(found[-20:])
    growth = late - early
    return Table(
        "memory",
        "Resident memory, Hopper-v5 at 50,000 steps an iteration, 200 iterations",
        ("most, MiB", "iterations 41-60, MiB", "iterations 181-200, MiB", "growth, MiB", "must stay", "reached"),
        ((f"{max(found):,.0f}", f"{early:,.0f}", f"{late:,.0f}", f"{growth:+,.0f}", "under 1,536, flat",
          verdict(max(found) < 1536 and growth < 20)),),
        (machine(),),
    )  # fmt: skip


class _Tape:
    """A simulator that records which rows episodes start from and which actions are taken."""

    def __init__(self, simulator: MujocoSimulator):
        self._simulator = simulator
        self.starts: list[tuple[int, np.ndarray, np.ndarray]] = []  # (step, slots, rows)
        self.actions: list[np.ndarray] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._simulator, name)

    def reset(self, slots: np.ndarray | None, seeds: np.ndarray) -> np.ndarray:
        obs = self._simulator.reset(slots, seeds)
        ids = np.arange(self._simulator.width) if slots is None else slots
        self.starts.append((len(self.actions), ids, self._simulator.snapshot(slots).parts["state"]))
        return obs

    def step(self, slots: np.ndarray | None, actions: np.ndarray) -> Transition:
        self.actions.append(np.array(actions, np.float64))
        return self._simulator.step(slots, actions)


def _physics_share(task: str, report: Report) -> tuple[float, float, int, int]:
    found = with_chosen_resources(resolve(SimulatorPool(task, 1, 1).task), SimulatorPool(task, 1, 1).task)
    slots, threads = found.slots or 1, usable_cores()
    pool, streams = SimulatorPool(task, slots, threads), Streams(0)
    learner = start_learner(pool.task, found, streams)
    sampler, steps, pairs = SinglePathSampler(pool, streams), 8192 // slots, []
    with threadpool_limits(1, "blas"):
        for index in range(1, 12):
            before = [simulator.snapshot(None) for simulator in pool.simulators] if index > 1 else None
            ongoing = sampler.ongoing
            began = time.perf_counter()
            sampler.advance(learner.policy, steps, index, lambda: False)
            took = time.perf_counter() - began
            if before is None:
                continue
            after, ended = [simulator.snapshot(None) for simulator in pool.simulators], sampler.ongoing
            tapes = _record(pool, sampler, learner, before, ongoing, steps, index)
            sampler.ongoing = ended
            pairs.append((_replay(pool, tapes, before, after, FRAME_SKIPS[task]), took))
            for simulator, snapshot in zip(pool.simulators, after, strict=True):
                simulator.restore(None, snapshot)
    pairs = pairs[1:]
    share = statistics.median(physics / took for physics, took in pairs)
    rate = statistics.median(slots * steps / took for _, took in pairs)
    report(f"{task}: physics {share:.1%}, {rate:,.0f} steps/s")
    pool.close()
    return share, rate, slots, threads


def _record(
    pool: SimulatorPool,
    sampler: SinglePathSampler,
    learner: Learner,
    before: list[Snapshot],
    ongoing: object,
    steps: int,
    index: int,
) -> list[_Tape]:
    """Sample the same batch once more and record it."""
    plain = pool.simulators
    for simulator, snapshot in zip(plain, before, strict=True):
        simulator.restore(None, snapshot)
    tapes = [_Tape(simulator) for simulator in plain]  # type: ignore[arg-type]
    pool.simulators, sampler.ongoing = tuple(tapes), ongoing  # type: ignore[arg-type, assignment]
    sampler.advance(learner.policy, steps, index, lambda: False)
    pool.simulators = plain
    return tapes


def _replay(
    pool: SimulatorPool, tapes: list[_Tape], before: list[Snapshot], after: list[Snapshot], frame_skip: int
) -> float:
    """Seconds for the recorded actions through the physics alone, on threads as the sampler uses them."""
    batches = []
    for tape, snapshot in zip(tapes, before, strict=True):
        physics = Physics(tape._simulator._model, tape._simulator.width, 1)
        physics.state[:] = snapshot.parts["state"]
        batches.append((physics, tape))

    def run_all(own: list[tuple[Physics, _Tape]]) -> None:
        for pair in own:
            run(*pair)

    def run(physics: Physics, tape: _Tape) -> None:
        control, starts = physics.bind("ctrl"), iter([*tape.starts, (-1, None, None)])
        at, slots, rows = next(starts)
        for number, action in enumerate(tape.actions):
            if number == at:
                physics.state[slots] = rows
                at, slots, rows = next(starts)
            control[:] = action
            physics.step(nstep=frame_skip)
        if at == len(tape.actions):
            physics.state[slots] = rows

    threads = min(usable_cores(), len(batches))
    workers = [threading.Thread(target=run_all, args=[batches[first::threads]]) for first in range(threads)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.perf_counter() - began
    for (physics, _), snapshot in zip(batches, after, strict=True):
        if not np.array_equal(physics.state, snapshot.parts["state"]):
            raise AssertionError("the replay's last states differ from the sampler's")
    return took


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
    pool, streams = SimulatorPool("Hopper-v5", 64, usable_cores()), Streams(0)
    config = resolve(pool.task, overrides={"fisher_fraction": 0.1})
    learner = Session("Hopper-v5", out=None, iterations=2, seed=1).run().learner
    sampler = SinglePathSampler(pool, streams)
    trajectories = sampler.advance(learner.policy, -(-size // 64), 1, lambda: False)
    batch = single_path_batch(trajectories, learner, config.path, config.gamma, "equal").batch
    pool.close()
    assert isinstance(batch, Batch)
    policy = learner.policy
    features = torch.from_numpy(policy.features(batch.obs))
    samples = Samples.of(batch, torch.float32, torch.device("cpu"))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    ours, plain = [], []
    try:
        for repeat in range(100):
            theta = policy.theta.clone().requires_grad_()
            began = time.perf_counter()
            value = surrogate(policy.distribution, policy.parameters(features, theta), samples)
            torch.autograd.grad(value, theta)
            middle = time.perf_counter()
            _, diagnostics = step(
                learner, batch, *config.of_method(), config.context(streams.generator(repeat, Purpose.FISHER_ROWS))
            )
            ended = time.perf_counter()
            if repeat >= 2 and diagnostics.search is not None and len(diagnostics.search.trials) == 1:
                plain.append(middle - began)
                ours.append(ended - middle)
            if len(ours) == UPDATES:
                break
    finally:
        torch.set_num_threads(before)
    return ours, plain


def _resident_mib() -> float:
    """Resident memory of this process, MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20

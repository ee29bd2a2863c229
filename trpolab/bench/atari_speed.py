"""Atari: the network's share of sampling, the update's time, memory, and the time that the paper's run takes."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from trpolab.bench.table import Report, Table, timed, verdict
from trpolab.machine import usable_cores
from trpolab.policies.frames import Frames
from trpolab.sampling.streams import Purpose
from trpolab.sampling.trajectories import Trajectories
from trpolab.sampling.workers.processes import Bench, ProcessPool
from trpolab.sampling.workers.simulator_pool import never
from trpolab.simulators import make
from trpolab.training.samplers import Samplers
from trpolab.training.session import Session
from trpolab.updates import step

GAME = "ALE/Pong-v5"
DECISIONS = 100_000  # of an iteration, Table 3
ITERATIONS = 500
PAIRS, PAIR_STEPS = 3, 100_000  # sampling and replay in turn
WIDTH = 32


def atari(report: Report) -> Table:
    """ALE/Pong-v5, the paper's preset.

    Share: medians of 3 pairs in turn, the same actions replayed in as many worker processes. The paper's run took about
    30 hours on 16 cores.
    """
    session = Session(GAME, preset="paper", out=None, steps_per_iteration=DECISIONS)
    threads = usable_cores()
    samplers = Samplers(session.source, session.task, session.config.slots or 1, threads, session.streams)
    workers, torch_threads = samplers.processes, torch.get_num_threads()
    assert isinstance(workers, ProcessPool) and session.task.observation_space.shape is not None
    try:
        torch.set_num_threads(threads)
        with threadpool_limits(1, "blas"):
            share = _emulators_share(session, samplers, workers, report)
            copying = _copying(workers, session.task.observation_space.shape[1:], DECISIONS)
            sampling, updating, decisions = _iteration(session, samplers, report)
        resident = sum(_peak_mib(pid) for pid in ("self", *map(str, workers.pids())))
    finally:
        torch.set_num_threads(torch_threads)
        samplers.close()
    # games under way are finished, so a batch is larger than asked: scale the seconds to the size asked for
    hours = ITERATIONS * DECISIONS / decisions * (sampling + updating) / 3600
    copied, update = copying / sampling, updating / sampling
    emulators = "emulators and preprocessing alone, as a share of sampling"
    copies = "copying frames from the workers, as a share of sampling"
    run = f"{ITERATIONS} iterations of {DECISIONS:,} decisions, hours"
    rows = [
        f"{emulators} | {share:.0%} | at least 80% | {verdict(share >= 0.8)}",
        f"{copies} | {copied:.1%} | at most 5% | {verdict(copied <= 0.05)}",
        f"update over sampling, {decisions:,} decisions | {update:.2f} | at most 1 | {verdict(update <= 1)}",
        f"most memory, workers included, MiB | {resident:,.0f} | under 3,072 | {verdict(resident < 3072)}",
        f"{run} | {hours:.1f} | under 10 | {verdict(hours < 10)}",
    ]
    summary = f"{decisions / sampling:,.0f} decisions/s while sampling on {threads} cores"
    return Table("measured | value | must be | reached", rows, summary)


def _emulators_share(session: Session, samplers: Samplers, workers: ProcessPool, report: Report) -> float:
    """Time of emulators and preprocessing for a batch's actions, divided by the time of sampling the batch."""
    path = replace(session.config.path, steps_per_iteration=PAIR_STEPS)
    shares = []
    for pair in range(PAIRS + 1):
        took, trajectories = timed(samplers.single_path.trajectories, session.policy, path, pair, never)
        alone, _ = timed(_replay, workers, trajectories)
        shares.append(alone / took)
        report(f"sampling {took:.1f} s, emulators alone {alone:.1f} s")
    return statistics.median(shares[1:])  # the first pair opens the emulators


def _replay(pool: ProcessPool, trajectories: Trajectories) -> None:
    """Play recorded games again, distributed over the workers as before."""
    games = [trajectories.actions[a:b] for a, b in zip(trajectories.start[:-1], trajectories.start[1:], strict=True)]
    rows = [(GAME, games[first :: pool.count]) for first in range(pool.count)]
    pool.map(_play_again, rows)


def _play_again(bench: Bench, game: str, games: list[np.ndarray], *, interrupt: Callable[[], bool]) -> None:
    """Work unit: recorded games in the slots of one simulator, without a policy."""
    if "replay" not in bench:
        bench["replay"] = make(game, WIDTH)
    simulator, waiting = bench["replay"], list(games)
    left: dict[int, list[np.ndarray]] = {}  # actions still to be taken in a slot, the next one last
    while waiting or left:
        for slot in range(WIDTH):
            if slot not in left and waiting:
                simulator.reset(np.array([slot]), np.zeros(1, np.int64))
                left[slot] = list(waiting.pop()[::-1])
        simulator.step(np.array(sorted(left)), np.stack([left[slot].pop() for slot in sorted(left)]))
        left = {slot: actions for slot, actions in left.items() if actions}


def _copying(pool: ProcessPool, frame: tuple[int, ...], decisions: int) -> float:
    """Seconds to copy a batch's frames from the workers into one array; the best of three."""
    rows = [(decisions // pool.count, frame)] * pool.count

    def travel() -> None:
        none = torch.zeros((0, 4), dtype=torch.int64)
        Frames.join([Frames(torch.from_numpy(frames), none) for frames in pool.map(_blank_frames, rows)])

    travel()  # workers make their frames and keep them
    return min(timed(travel)[0] for _ in range(PAIRS))


def _blank_frames(bench: Bench, count: int, frame: tuple[int, ...], *, interrupt: Callable[[], bool]) -> np.ndarray:
    """Work unit: blank frames [count, H, W], as many as a worker's share of a batch."""
    if "blank" not in bench:
        bench["blank"] = np.zeros((count, *frame), np.uint8)
    frames: np.ndarray = bench["blank"]
    return frames


def _iteration(session: Session, samplers: Samplers, report: Report) -> tuple[float, float, int]:
    """One iteration of the paper's size: seconds of sampling, seconds of the update, decisions."""
    sampling, collected = timed(samplers.collect, session.learner, session.config, 1, never)
    decisions = len(collected.batch.obs)
    report(f"sampled {decisions:,} decisions in {sampling:.0f} s")
    context = session.config.context(session.streams.generator(1, Purpose.FISHER_ROWS))
    updating, (_, diagnostics) = timed(step, session.learner, collected.batch, *session.config.of_method(), context)
    trials = len(diagnostics.search.trials) if diagnostics.search else 0
    report(f"update in {updating:.0f} s, {trials} line-search trials: {diagnostics.outcome.value}")
    return sampling, updating, decisions


def _peak_mib(pid: str) -> float:
    """The most memory that a process has had resident so far, MiB (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024

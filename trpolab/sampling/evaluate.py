"""Evaluation on raw rewards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from trpolab.policies import Policy
from trpolab.sampling.fresh_episodes import Draw, Quota
from trpolab.sampling.play import Interrupt, never
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import join
from trpolab.sampling.whole_paths import whole_paths
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators import Source

LONGEST = 10_000  # steps of an episode, on tasks without a time limit


@dataclass(frozen=True)
class Evaluation:
    """Scores of E complete episodes, raw and undiscounted."""

    mean: float
    std: float
    returns: np.ndarray  # [E]
    lengths: np.ndarray  # [E]


def evaluate(
    policy: Policy,
    task: Source,
    episodes: int = 100,
    seed: int = 0,
    deterministic: bool = False,
    threads: int = 1,
    interrupt: Interrupt = never,
) -> Evaluation:
    """Run whole episodes under a frozen policy (its normaliser included) and report their raw returns.

    `deterministic` takes the distribution's mode instead of sampling. Episode e's randomness is keyed by (seed, e).
    A task without a time limit is cut after 10,000 steps. Raises ValueError for a policy with other observations or
    actions than the task's, NonFinite for a NaN or infinity, ArithmeticError if the physics blew up in every episode,
    and Interrupted when told to.
    """
    if episodes < 1:
        raise ValueError(f"episodes = {episodes}: must be >= 1")
    pool = SimulatorPool(task, min(episodes, 32), threads)
    try:
        if misfit := policy.misfit(pool.task.observation_space, pool.task.action_space):
            raise ValueError(f"this policy does not fit {pool.task.name}: {misfit}")
        horizon = LONGEST if pool.task.time_limit is None else None
        draw = Draw(Streams(seed), 0, Purpose.EVALUATION, Purpose.EVALUATION_RESET, deterministic)
        quota = Quota(len(pool), episodes)
        unit = partial(whole_paths, policy=policy, draw=draw, quota=quota, horizon=horizon)
        scores = join(pool.map(unit, range(len(pool)), interrupt=interrupt)).episodes
    finally:
        pool.close()
    if len(scores.returns) == 0:
        raise ArithmeticError("every evaluation episode was cut because the physics blew up")
    return Evaluation(float(scores.returns.mean()), float(scores.returns.std()), scores.returns, scores.lengths)

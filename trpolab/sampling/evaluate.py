"""Evaluation on raw rewards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from trpolab.numerics.threads import few_threads
from trpolab.policies import Policy
from trpolab.sampling.fresh_episodes import Draw, Quota
from trpolab.sampling.play import Interrupt, never
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import Trajectories, join
from trpolab.sampling.whole_paths import whole_paths
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.settings import PlainError, whole_number
from trpolab.simulators import Source

ALIKE = (
    "all episodes are one and the same, for neither the task nor the policy's mode is random: this is the score of one "
    "episode; sampled actions (deterministic=False) make episodes differ"
)
LONGEST = 10_000  # steps of an episode, on tasks without a time limit


@dataclass(frozen=True)
class Evaluation:
    """Scores of E complete episodes, raw and undiscounted."""

    mean: float
    std: float
    returns: np.ndarray  # [E]
    lengths: np.ndarray  # [E]
    alike: bool = False  # all of them are one and the same episode


def play_episodes(
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
    episodes, threads = whole_number("episodes", episodes, 1), whole_number("threads", threads, 1)
    streams = Streams(seed)
    pool = SimulatorPool(task, min(episodes, 32), threads)
    try:
        if misfit := policy.misfit(pool.task.observation_space, pool.task.action_space):
            raise PlainError(f"this policy does not fit {pool.task.name}: {misfit}")
        horizon = LONGEST if pool.task.time_limit is None else None
        draw = Draw(streams, 0, Purpose.EVALUATION, Purpose.EVALUATION_RESET, deterministic)
        quota = Quota(len(pool), episodes)
        unit = partial(whole_paths, policy=policy, draw=draw, quota=quota, horizon=horizon)
        with few_threads(threads if policy.network.parallel else 1):
            paths = join(pool.map(unit, range(len(pool)), interrupt=interrupt))
    finally:
        pool.close()
    scores = paths.episodes
    if len(scores.returns) == 0:
        raise ArithmeticError("every evaluation episode was cut because the physics blew up")
    alike = len(scores.returns) > 1 == _different(paths)
    return Evaluation(float(scores.returns.mean()), float(scores.returns.std()), scores.returns, scores.lengths, alike)


def _different(paths: Trajectories) -> int:
    """How many of the paths differ, by their observations (of frames: what the policy made of them) and rewards."""
    seen = paths.obs if isinstance(paths.obs, np.ndarray) else paths.old
    pieces = [slice(*ends) for ends in pairwise(paths.start.tolist())]
    return len({(seen[piece].tobytes(), paths.rewards[piece].tobytes()) for piece in pieces})

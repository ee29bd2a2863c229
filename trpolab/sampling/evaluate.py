"""Evaluation on raw rewards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from trpolab.policies import Policy
from trpolab.sampling.crew import Crew
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import join
from trpolab.sampling.whole_paths import Draw, whole_paths


@dataclass(frozen=True)
class Evaluation:
    """Scores of E complete episodes, raw and undiscounted."""

    mean: float
    std: float
    returns: np.ndarray  # [E]
    lengths: np.ndarray  # [E]


def evaluate(
    policy: Policy,
    task: str | Callable[[], Any],
    episodes: int = 100,
    seed: int = 0,
    deterministic: bool = False,
    threads: int = 1,
) -> Evaluation:
    """Run whole episodes under a frozen policy (its normaliser included) and report their raw returns.

    `deterministic` takes the distribution's mode instead of sampling. Episode e's randomness is keyed by (seed, e).
    A policy for other observations or actions than the task's raises ValueError.
    """
    if episodes < 1:
        raise ValueError(f"episodes = {episodes}: must be >= 1")
    crew = Crew(task, min(episodes, 32), threads)
    try:
        space = crew.task.observation_space
        if tuple(space.shape or ()) != tuple(policy.obs_shape):
            raise ValueError(
                f"this policy observes arrays of shape {tuple(policy.obs_shape)}, {crew.task.name} gives {space.shape}"
            )
        blocks = len(crew.simulators)
        draw = Draw(Streams(seed), 0, Purpose.EVALUATION, Purpose.EVALUATION_RESET, deterministic)

        def unit(simulator, block):  # type: ignore[no-untyped-def]
            share = len(range(block, episodes, blocks))
            return whole_paths(
                simulator, policy, draw, None, lambda j: block + blocks * j, lambda started, _: started < share
            )

        scores = join(crew.map(unit, range(blocks))).episodes
    finally:
        crew.close()
    if len(scores.returns) == 0:
        raise ArithmeticError("every evaluation episode was cut because the physics blew up")
    return Evaluation(float(scores.returns.mean()), float(scores.returns.std()), scores.returns, scores.lengths)

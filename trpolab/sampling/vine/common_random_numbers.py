"""The variance of differences between Q̂ with common random numbers, and without."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from trpolab.policies import Learner, Policy
from trpolab.sampling.config import Vine
from trpolab.sampling.play import Interrupt, never
from trpolab.sampling.sampler import Returns
from trpolab.sampling.vine.sampler import VineSampler, q_values


@dataclass(frozen=True)
class NoiseRatio:
    """Var[Q̂(a_1) - Q̂(a_2)] over the noise, in each state, for two actions that stay the same."""

    shared: np.ndarray  # [N] with common random numbers
    separate: np.ndarray  # [N] without
    sim_steps: int

    @property
    def pooled(self) -> float:
        """Mean variance with common random numbers over mean variance without; single states vary widely."""
        return float(self.shared.mean() / self.separate.mean())


def noise_ratio(
    sampler: VineSampler,
    policy: Policy,
    config: Vine,
    gamma: float,
    states: int = 16,
    draws: int = 8,
    iteration: int = 0,
    interrupt: Interrupt = never,
) -> NoiseRatio:
    """Roll out two actions of π_old from each of `states` trunk states, `draws` times with and without shared noise."""
    vine = replace(config, states=states, choose="uniform", actions=2, proposal="policy", adaptive_length=False)
    trunks, roots, _, first = sampler.prepare(Learner(policy), vine, Returns(gamma), iteration, interrupt)
    found, steps = {}, trunks.sim_steps
    for common in (True, False):
        differences = np.empty((draws, states))
        for draw in range(draws):
            shared = replace(vine, common_random_numbers=common)
            rollouts = sampler.roll_out(policy, roots, first, shared, gamma, iteration + draw, interrupt)
            q = q_values(rollouts, policy, None, gamma)
            differences[draw] = q[:, 0] - q[:, 1]
            steps += rollouts.rolled.sim_steps
        found[common] = differences.var(axis=0, ddof=1)
    return NoiseRatio(found[True], found[False], steps)

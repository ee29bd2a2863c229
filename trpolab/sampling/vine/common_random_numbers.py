"""The variance of differences between Q̂ with common random numbers, and without."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from trpolab.policies import Policy
from trpolab.sampling.config import Vine
from trpolab.sampling.play import Interrupt, never
from trpolab.sampling.streams import Purpose
from trpolab.sampling.vine.proposals import draw_first_actions
from trpolab.sampling.vine.sampler import VineSampler, parameters_at, q_values
from trpolab.sampling.vine.trunks import choose_states, run_trunks


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
    vine = replace(config, states=states, actions=2, proposal="policy")
    chosen = choose_states(sampler.streams, iteration, vine.trunks, vine.trunk_length, states)
    pool = sampler.trunk_pool(vine.trunks)
    trunks, roots = run_trunks(pool, policy, vine.trunk_length, chosen, sampler.streams, iteration, interrupt)
    if roots is None:
        raise ValueError(f"states = {states}: no state was chosen")
    generator = sampler.streams.generator(iteration, Purpose.VINE_ACTIONS)
    first = draw_first_actions(policy.distribution, parameters_at(policy, roots.obs), vine, generator)
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

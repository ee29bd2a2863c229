"""Section 5.1, single path: states and actions along trajectories, one action per state."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from trpolab.policies import Learner, Policy
from trpolab.sampling.batch import Batch, Estimator
from trpolab.sampling.config import SinglePath
from trpolab.sampling.population import Population
from trpolab.sampling.returns import discounted_sums, generalized_advantage, nothing_earned, standardized
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import Interrupt, Ongoing, Trajectories, advance, begin, join
from trpolab.sampling.whole_paths import Draw, whole_paths
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators.base import Simulator

FIRST_STATISTICS = 1024  # steps under the starting policy that give the normaliser its first statistics


@dataclass(frozen=True)
class Collected:
    """What one iteration sampled: the batch, and what the value function and the normaliser learn from."""

    batch: Batch | Population
    observed: Any  # [M, *O] trunk states, for the normaliser; the batch's constraint states
    features: Any  # [M, F] network inputs at `observed`, for the update and the value function
    targets: np.ndarray | None  # [M] regression targets of the value function at `observed`; None without one
    values: np.ndarray | None  # [M] what the old value function said there
    clipped_fraction: float


@dataclass
class SinglePathSampler:
    """Episodes under way between iterations, one `Ongoing` a block; None where the next batch starts afresh."""

    pool: SimulatorPool
    streams: Streams
    ongoing: list[Ongoing] | None = field(default=None)

    def trajectories(self, policy: Policy, config: SinglePath, iteration: int, interrupt: Interrupt) -> Trajectories:
        """Raw trajectories of one iteration under a frozen policy."""
        if config.whole:
            self.ongoing = None
            return self._whole(policy, config, iteration, interrupt)
        steps = -(-config.steps_per_iteration // self.pool.slots)
        return self.advance(policy, steps, iteration, interrupt)

    def advance(self, policy: Policy, steps: int, iteration: int, interrupt: Interrupt) -> Trajectories:
        """`steps` more steps in every slot. On any error the episodes under way are given up."""
        pool = self.pool
        ongoing, self.ongoing = self.ongoing or self._begin(iteration), None
        noise = [self.streams.generator(iteration, Purpose.ACTION, first) for first in pool.first_slots]
        resets = [self.streams.generator(iteration, Purpose.RESET, first) for first in pool.first_slots]

        unit = partial(_advance, policy=policy, steps=steps)
        results = pool.map(unit, ongoing, noise, resets, pool.first_slots, interrupt=interrupt, goes_on=True)
        self.ongoing = [going for _, going in results]
        return join([piece for piece, _ in results])

    def _begin(self, iteration: int) -> list[Ongoing]:
        pool = self.pool

        # games of half an hour are not cut to bring their slots out of step: they end when they end
        limit = None if pool.task.typical else pool.task.time_limit
        unit = partial(_begin, streams=self.streams, iteration=iteration, slots=pool.slots, limit=limit)
        return pool.map(unit, pool.first_slots, goes_on=True)

    def _whole(self, policy: Policy, config: SinglePath, iteration: int, interrupt: Interrupt) -> Trajectories:
        """Each block starts paths until its share of the budget is spent, and finishes every path it started."""
        blocks = len(self.pool)
        unit = partial(
            _whole_paths,
            policy=policy,
            draw=Draw(self.streams, iteration),
            horizon=config.horizon,
            blocks=blocks,
            share=-(-config.steps_per_iteration // blocks),
            typical=self.pool.task.typical,
        )
        return join(self.pool.map(unit, range(blocks), interrupt=interrupt))


def _advance(
    simulator: Simulator,
    ongoing: Ongoing,
    noise: np.random.Generator,
    reset_seeds: np.random.Generator,
    first_slot: int,
    *,
    policy: Policy,
    steps: int,
    interrupt: Interrupt,
) -> tuple[Trajectories, Ongoing]:
    """Work unit: `steps` more steps of one block."""
    return advance(simulator, ongoing, policy, steps, noise, reset_seeds, first_slot, interrupt)


def _begin(
    simulator: Simulator,
    first_slot: int,
    *,
    streams: Streams,
    iteration: int,
    slots: int,
    limit: int | None,
    interrupt: Interrupt,
) -> Ongoing:
    """Work unit: fresh episodes in one block."""
    seeds = streams.seeds(simulator.width, iteration, Purpose.STAGGER, first_slot)
    return begin(simulator, seeds, first_slot, slots, limit)


def _whole_paths(
    simulator: Simulator,
    block: int,
    *,
    policy: Policy,
    draw: Draw,
    horizon: int,
    blocks: int,
    share: int,
    typical: int | None,
    interrupt: Interrupt,
) -> Trajectories:
    """Work unit: one block's share of whole paths."""
    return whole_paths(
        simulator,
        policy,
        draw,
        horizon,
        path_id=lambda j: block + blocks * j,
        wanted=lambda _, steps: steps < share,
        interrupt=interrupt,
        typical=typical,
    )


def estimates(
    tr: Trajectories, features: Any, learner: Learner, config: SinglePath, gamma: float
) -> tuple[np.ndarray, np.ndarray | None]:
    """Q̂ or advantages [N] by the returns that the config chooses; and V [N] where they come from a value function.

    `features` [N, F] are the network's inputs at the states.
    """
    if config.advantage != "gae":
        q = discounted_sums(tr.rewards, tr.start, gamma)
        return (q - q.mean() if config.advantage == "centred" else q), None
    if learner.value is None:
        raise ValueError("advantage = 'gae' needs a value function; the learner has none")
    if nothing_earned(learner.value.fits, tr.rewards):
        return np.zeros(len(tr)), None
    values = learner.value.values(features)
    last_values = learner.value.values(learner.policy.features(tr.last_obs))
    q = generalized_advantage(tr.rewards, values, last_values, tr.terminated, tr.start, gamma, config.lam)
    return q, values


def single_path_batch(
    trajectories: Trajectories, learner: Learner, config: SinglePath, gamma: float, state_weighting: str
) -> Collected:
    """Q̂ for every state-action pair by the returns that the config chooses; Eq. 14 with q = π_old."""
    tr, policy = trajectories, learner.policy
    features = policy.features(tr.obs)
    q, values = estimates(tr, features, learner, config, gamma)
    targets = None if values is None else q + values
    if config.standardize:
        q = standardized(q)
    old = torch.from_numpy(tr.old)
    log_q = policy.distribution.log_prob(old, torch.from_numpy(tr.actions)).numpy()
    lengths = np.diff(tr.start)
    batch = Batch(
        obs=tr.obs,
        actions=tr.actions[:, None],
        log_q=log_q[:, None],
        q_values=q[:, None],
        weights=np.power(gamma, tr.t) if state_weighting == "discounted" else np.ones(len(tr)),
        path=np.repeat(tr.path, lengths),
        t=tr.t,
        old=tr.old,
        constraint_obs=tr.obs,
        constraint_old=tr.old,
        estimator=Estimator.IMPORTANCE,
        episodes=tr.episodes,
        sim_steps=tr.sim_steps,
    )
    components = max(1, tr.actions.size)
    return Collected(batch, tr.obs, features, targets, values, tr.clipped / components)

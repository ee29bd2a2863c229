"""Candidate parameters, each judged by whole episodes: what CEM, CMA-ES and REPS learn from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from trpolab.policies import Policy
from trpolab.policies.batched_actor import BatchedActor
from trpolab.sampling.batch import Episodes
from trpolab.sampling.errors import Interrupted, NonFinite
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import ActionBounds, Interrupt
from trpolab.sampling.whole_paths import NOISE_CHUNK
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators.base import Simulator


@dataclass(frozen=True)
class Population:
    """P candidates and what they earned. Arrays are never written to."""

    candidates: np.ndarray  # [P, D] float64
    returns: np.ndarray  # [P] mean raw return of a candidate's episodes; NaN if the physics blew up in all of them
    episodes: Episodes
    sim_steps: int
    clipped_fraction: float  # of the action components
    paths: None = None  # nothing is kept for drawing

    def __post_init__(self) -> None:
        if self.candidates.ndim != 2 or self.returns.shape != (len(self.candidates),):
            raise ValueError(
                f"Population: candidates {self.candidates.shape} and returns {self.returns.shape} do not fit"
            )


@dataclass(frozen=True)
class Played:
    """E episodes of one block, in the order in which they were given."""

    returns: np.ndarray  # [E] float64
    lengths: np.ndarray  # [E] int64
    unstable: np.ndarray  # [E] bool
    sim_steps: int
    outside: int  # action components beyond the bounds
    components: int


def roll_out_population(
    pool: SimulatorPool,
    policy: Policy,
    candidates: np.ndarray,
    episodes: int,
    horizon: int,
    streams: Streams,
    iteration: int,
    interrupt: Interrupt,
) -> Population:
    """Play `episodes` episodes of each candidate [P, D], spread over all slots as one batch.

    `policy` lends its shape and its normaliser. Episode e of candidate p has the streams p · episodes + e, so results
    depend neither on slots nor on threads. Raises NonFinite, Interrupted.
    """
    blocks = len(pool)
    jobs = np.arange(len(candidates) * episodes)
    unit = partial(
        play, policy=policy, candidates=candidates.astype(np.float32), horizon=horizon, streams=streams,
        iteration=iteration,
    )  # fmt: skip
    shares = [jobs[block::blocks] for block in range(blocks)]
    played = pool.map(unit, shares, [share // episodes for share in shares], interrupt=interrupt)
    returns, lengths, unstable = np.zeros(len(jobs)), np.zeros(len(jobs), np.int64), np.zeros(len(jobs), bool)
    for block, part in enumerate(played):
        returns[block::blocks], lengths[block::blocks] = part.returns, part.lengths
        unstable[block::blocks] = part.unstable
    whole = ~unstable.reshape(-1, episodes)
    counted = whole.sum(axis=1)
    earned = np.where(whole, returns.reshape(-1, episodes), 0.0).sum(axis=1)
    return Population(
        candidates=candidates,
        returns=np.where(counted > 0, earned / np.maximum(counted, 1), np.nan),
        episodes=Episodes(returns[~unstable], lengths[~unstable], 0, int(unstable.sum())),
        sim_steps=sum(part.sim_steps for part in played),
        clipped_fraction=sum(part.outside for part in played) / max(1, sum(part.components for part in played)),
    )


@np.errstate(invalid="ignore")  # a NaN is looked for, and named, below
def play(
    simulator: Simulator,
    jobs: np.ndarray,
    who: np.ndarray,
    *,
    policy: Policy,
    candidates: np.ndarray,
    horizon: int,
    streams: Streams,
    iteration: int,
    interrupt: Interrupt,
) -> Played:
    """Episodes of one block: job j [E] is played by candidate who[j] of candidates [P, D] float32.

    A slot whose episode has ended takes the next one, with that candidate's parameters. An episode ends where the task
    ends or is cut, where the physics blows up, or after `horizon` steps.
    """
    width, distribution = simulator.width, policy.distribution
    crowd, bounds = BatchedActor(policy, width), ActionBounds.of(simulator.action_space)
    total = len(jobs)
    returns, lengths, unstable = np.zeros(total), np.zeros(total, np.int64), np.zeros(total, bool)
    obs = np.zeros((width, *policy.obs_shape), np.float32)
    chunk = np.zeros((width, NOISE_CHUNK, distribution.noise_size), np.float32)
    noise: list[np.random.Generator | None] = [None] * width
    job, age = np.full(width, -1), np.zeros(width, np.int64)
    started = steps = outside = components = 0
    while True:
        for slot in np.flatnonzero(job < 0)[: total - started]:
            name = int(jobs[started])
            seed = streams.seeds(1, iteration, Purpose.RESET, name)
            obs[slot] = simulator.reset(np.array([slot]), seed)[0]
            crowd.assign(slot, candidates[who[started]])
            noise[slot] = streams.generator(iteration, Purpose.ACTION, name)
            job[slot], age[slot] = started, 0
            started += 1
        slots = np.flatnonzero(job >= 0)
        if not len(slots):
            return Played(returns, lengths, unstable, steps, outside, components)
        if interrupt():
            raise Interrupted
        parameters = crowd.parameters(obs)[slots]
        running, ages = job[slots], age[slots]
        if not np.isfinite(parameters).all():
            row = int(np.argwhere(~np.isfinite(parameters))[0, 0])
            what = "policy output" if np.isfinite(obs[slots[row]]).all() else "observation"
            raise NonFinite(f"candidate {who[running[row]]}, step {ages[row]}: non-finite {what}", steps)
        for slot in slots[ages % NOISE_CHUNK == 0]:
            generator = noise[slot]
            assert generator is not None
            chunk[slot] = distribution.noise(generator, (NOISE_CHUNK,))
        actions = distribution.sample_from(parameters, chunk[slots, ages % NOISE_CHUNK])
        outside += bounds.count_outside(actions)
        components += actions.size
        now = simulator.step(None if len(slots) == width else slots, bounds.clip(actions))
        steps += len(slots)
        kept = ~now.unstable
        if not np.isfinite(now.reward[kept]).all():
            row = int(np.argmax(kept & ~np.isfinite(now.reward)))
            raise NonFinite(f"candidate {who[running[row]]}, step {ages[row]}: non-finite reward", steps)
        returns[running[kept]] += now.reward[kept]
        obs[slots] = now.obs
        age[slots] += 1
        over = now.terminated | now.truncated | now.unstable | (age[slots] == horizon)
        ended = running[over]
        lengths[ended], unstable[ended] = age[slots][over], now.unstable[over]
        job[slots[over]] = -1

"""Candidate parameters, each judged by whole episodes: what CEM, CMA-ES and REPS learn from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from trpolab.policies import Policy
from trpolab.policies.actors import BatchedActor
from trpolab.sampling.batch import Episodes
from trpolab.sampling.fresh_episodes import Draw, FreshEpisodes, Quota
from trpolab.sampling.play import Interrupt, Play, never, quietly
from trpolab.sampling.streams import Streams
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
    """What one block played of all E episodes; the others are 0."""

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
    theta, draw = candidates.astype(np.float32), Draw(streams, iteration)
    quota = Quota(len(pool), len(candidates) * episodes)
    unit = partial(play_candidates, policy=policy, candidates=theta, draw=draw, quota=quota, horizon=horizon)
    played = pool.map(unit, range(len(pool)), interrupt=interrupt)
    returns = np.sum([part.returns for part in played], axis=0)
    lengths = np.sum([part.lengths for part in played], axis=0)
    unstable = np.any([part.unstable for part in played], axis=0)
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


@quietly
def play_candidates(
    simulator: Simulator,
    block: int,
    *,
    policy: Policy,
    candidates: np.ndarray,
    draw: Draw,
    quota: Quota,
    horizon: int,
    interrupt: Interrupt = never,
) -> Played:
    """Work unit: a block's share of the episodes of the candidates [P, D] float32, which have equally many.

    Episode e of candidate p is called p · episodes + e. It ends where the task ends or is cut, where the physics blows
    up, or after `horizon` steps.
    """
    total = quota.episodes or 0
    episodes = total // len(candidates)

    def who(slot: int, name: int) -> str:
        return f"candidate {name // episodes}"

    starter = FreshEpisodes(simulator, policy.distribution, draw, quota, block, horizon, who)
    actor = BatchedActor(policy, simulator.width)
    obs = np.zeros((simulator.width, *policy.obs_shape))

    def parameters(seen: np.ndarray) -> np.ndarray:
        """Of the candidates in the slots that play; the actor evaluates those in all slots."""
        if len(seen) == len(obs):
            return actor.parameters(seen)
        obs[play.slots] = seen
        return actor.parameters(obs)[play.slots]

    play = Play(simulator, parameters, starter, interrupt, scaled=policy.scaled_actions)
    returns, lengths, unstable = np.zeros(total), np.zeros(total, np.int64), np.zeros(total, bool)
    outside = components = 0
    while play.fill():
        for row in play.fresh.tolist():
            actor.assign(play.slots[row], candidates[play.names[row] // episodes])
        done = play.step()
        outside += play.bounds.count_outside(done.actions)
        components += done.actions.size
        sound = ~done.result.unstable
        returns[play.names[sound]] += done.result.reward[sound]
        ended = play.names[done.over]
        lengths[ended], unstable[ended] = play.ages[done.over], ~sound[done.over]
    return Played(returns, lengths, unstable, play.sim_steps, outside, components)

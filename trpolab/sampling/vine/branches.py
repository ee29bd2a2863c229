"""The branches of a vine: short rollouts from saved states, as many at a time as a simulator has slots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from trpolab.policies import Policy
from trpolab.sampling.observations import kept_dtype
from trpolab.sampling.play import Begun, Interrupt, Play, never, quietly
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import Trajectories
from trpolab.sampling.vine.steps import LoggedPlay
from trpolab.simulators.base import Simulator, Snapshot


@dataclass(frozen=True)
class BranchPlan:
    """One block's B branches: from which saved state, with which first action, on which noise."""

    snapshot: Snapshot  # the states that they start from, each once
    state: np.ndarray  # [B] which state of the rollout set
    place: np.ndarray  # [B] its row in the snapshot
    first: np.ndarray  # [B, *A] unclipped
    noise: np.ndarray  # [B] the name of its noise: equal names share the policy's noise and the task's
    traced: np.ndarray  # [B] bool: whether observations are kept for drawing

    def __len__(self) -> int:
        return len(self.state)


@dataclass(frozen=True)
class Rolled:
    """What B branches earned."""

    returns: np.ndarray  # [B] discounted sums of rewards, without a tail
    lengths: np.ndarray  # [B] steps taken
    terminated: np.ndarray  # [B] bool: the task ended, nothing comes after
    unstable: np.ndarray  # [B] bool: the physics blew up
    last_obs: np.ndarray  # [B, *O] float64 or bytes, where the branch stopped
    traces: list[tuple[np.ndarray, np.ndarray, np.ndarray]]  # (branches [n], steps taken [n], obs [n, *O])
    sim_steps: int
    steps: Trajectories | None = None  # all that they did, if it was asked for: piece b is branch b


class FromSnapshots:
    """A plan's branches in order, each from its saved state: the first action is given, π_old takes the others."""

    def __init__(
        self, simulator: Simulator, policy: Policy, plan: BranchPlan, streams: Streams, iteration: int, horizon: int
    ):
        self._simulator, self._distribution, self._plan = simulator, policy.distribution, plan
        self._horizon, self._begun = horizon, 0
        names, self._row = np.unique(plan.noise, return_inverse=True)
        self._noise, self._seeds = draw_noise(policy, streams, horizon, iteration, names)

    def begin(self, free: np.ndarray, play: Play) -> Begun | None:
        """The next branches."""
        plan, taken = self._plan, np.arange(self._begun, min(self._begun + len(free), len(self._plan)))
        if not len(taken):
            return None
        self._begun += len(taken)
        states, seeds = plan.snapshot.take(plan.place[taken]), self._seeds[self._row[taken]]
        return Begun(taken, self._simulator.restore(free[: len(taken)], states, seeds), cut_at=self._horizon)

    def actions(self, parameters: np.ndarray, play: Play) -> np.ndarray:
        """Sampled with the noise of the branch's step, whatever was done before; the first ones as planned."""
        actions = self._distribution.sample_from(parameters, self._noise[self._row[play.names], play.ages])
        if len(play.fresh):
            actions[play.fresh] = self._plan.first[play.names[play.fresh]]
        return actions

    def called(self, row: int, play: Play) -> str:
        """By the state that the branch starts from, and its age."""
        return f"branch of state {self._plan.state[play.names[row]]}, step {play.ages[row]}"


def draw_noise(
    policy: Policy, streams: Streams, length: int, iteration: int, names: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """By name: the policy's noise [R, H, noise_size], row h for step h, and the seed of the task's own noise [R]."""
    distribution = policy.distribution
    if not len(names):  # fewer branches than blocks
        return np.zeros((0, length, distribution.noise_size)), np.zeros(0, np.int64)
    generators = [streams.generator(iteration, Purpose.VINE_NOISE, int(name)) for name in names]
    seeds = [streams.seeds(1, iteration, Purpose.VINE_TASK, int(name)) for name in names]
    return np.stack([distribution.noise(each, (length,)) for each in generators]), np.concatenate(seeds)


@quietly
def run_branches(
    simulator: Simulator,
    plan: BranchPlan,
    *,
    policy: Policy,
    streams: Streams,
    iteration: int,
    horizon: int,
    gamma: float,
    signs: bool = False,
    trace_every: int = 1,
    every_step: bool = False,
    interrupt: Interrupt = never,
) -> Rolled:
    """Work unit: roll out a plan's branches in the slots of one block.

    A slot whose branch has ended takes the next one, so that the block stays full. A branch ends where the task ends or
    is cut, where the physics blows up, or after `horizon` steps. `signs`: a reward counts by its sign alone. Raises
    NonFinite, Interrupted.
    """
    total, kind = len(plan), kept_dtype(policy)
    starter = FromSnapshots(simulator, policy, plan, streams, iteration, horizon)
    loop: Any = partial(LoggedPlay, policy=policy) if every_step else Play
    play = loop(simulator, policy.actor(simulator.width).parameters, starter, interrupt, scaled=policy.scaled_actions)
    discounts = gamma ** np.arange(horizon)
    returns, lengths = np.zeros(total), np.zeros(total, np.int64)
    terminated, unstable = np.zeros(total, bool), np.zeros(total, bool)
    last_obs = np.zeros((total, *policy.obs_shape), kind)
    traces: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    anything_traced = bool(plan.traced.any())
    while play.fill():
        names, ages = play.names, play.ages
        if anything_traced and (traced := plan.traced[names] & (ages % trace_every == 0)).any():
            traces.append((names[traced], ages[traced], play.obs[traced].astype(kind)))
        done = play.step()
        result, over = done.result, done.over
        returns[names] += discounts[ages] * (np.sign(result.reward) if signs else result.reward)
        if not len(over):
            continue
        ended = names[over]
        lengths[ended], last_obs[ended] = ages[over] + 1, play.obs[over]
        terminated[ended], unstable[ended] = result.terminated[over], result.unstable[over]
        if anything_traced:
            traced = plan.traced[ended] & ~unstable[ended]
            traces.append((ended[traced], lengths[ended][traced], last_obs[ended][traced]))
    steps = play.trajectories() if every_step else None
    return Rolled(returns, lengths, terminated, unstable, last_obs, traces, play.sim_steps, steps)

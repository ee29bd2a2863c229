"""Whole trajectories from s_0: the paper's batches, and evaluation."""

from __future__ import annotations

import itertools

import numpy as np

from trpolab.policies import Policy
from trpolab.sampling.batch import Episodes
from trpolab.sampling.fresh_episodes import Draw, FreshEpisodes, Quota
from trpolab.sampling.observations import ObservationLog, kept_dtype
from trpolab.sampling.play import Interrupt, Play, PlayedStep, never, quietly
from trpolab.sampling.trajectories import Trajectories
from trpolab.simulators.base import Simulator


class PathLog:
    """What the paths of a block did, in the order in which it happened: rows of arrays, a path's name before each."""

    def __init__(self, policy: Policy, simulator: Simulator):
        distribution, none, flags = policy.distribution, np.zeros(0, np.int64), np.zeros(0, bool)
        actions = np.zeros((0, *distribution.action_shape), distribution.action_dtype)
        old = np.zeros((0, distribution.parameter_count), np.float32)
        obs = np.zeros((0, *policy.obs_shape), kept_dtype(policy))
        self.observed = ObservationLog(policy, simulator)
        self.steps: list[tuple[np.ndarray, ...]] = [(none, none, actions, old, np.zeros(0))]
        self.ends: list[tuple[np.ndarray, ...]] = [(none, none, obs, flags, flags)]

    def add(self, first: int, done: PlayedStep, play: Play) -> list[int]:
        """Keep a step, its observations from the place `first` on. Returns the lengths of the paths that it ended."""
        result, names, over = done.result, play.names, done.over
        places = np.arange(first, first + len(names))
        rows = (names.copy(), places, done.actions, done.parameters.copy(), result.reward.copy())
        if not len(over):
            self.steps.append(rows)
            return []
        self.steps.append(tuple(values[~result.unstable] for values in rows))  # a step that blew up is left out
        lengths = play.ages[over] - result.unstable[over]
        self.ends.append((names[over], lengths, play.obs[over], result.terminated[over], result.unstable[over]))
        return lengths.tolist()


def _by_name(rows: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    """A log's columns, path after path in the order of their names."""
    names, *columns = (np.concatenate(column) for column in zip(*rows, strict=True))
    order = np.argsort(names, kind="stable")
    return names[order], *(column[order] for column in columns)


@quietly
def whole_paths(
    simulator: Simulator,
    block: int,
    *,
    policy: Policy,
    draw: Draw,
    quota: Quota,
    horizon: int | None,
    interrupt: Interrupt = never,
) -> Trajectories:
    """Work unit: a block's share of paths from s_0 to their end or the horizon. Every path that begins is finished.

    Raises NonFinite, Interrupted.
    """
    starter = FreshEpisodes(simulator, policy.distribution, draw, quota, block, horizon)
    play = Play(simulator, policy.actor(simulator.width).parameters, starter, interrupt, scaled=policy.scaled_actions)
    log = PathLog(policy, simulator)
    while play.fill():
        first = log.observed.see(play.obs, play.fresh)
        starter.lengths += log.add(first, play.step(), play)
    return lay_out(log, policy, play)


def lay_out(log: PathLog, policy: Policy, play: Play) -> Trajectories:
    """Paths in the order of their names."""
    ends = _by_name(log.ends)
    names, counts, last_obs, terminated, unstable = (column[ends[1] > 0] for column in ends)
    start = np.cumsum([0, *counts])
    _, places, actions, old, rewards = _by_name(log.steps)
    returns = np.array([rewards[begin:end].sum() for begin, end in itertools.pairwise(start.tolist())])
    return Trajectories(
        obs=log.observed.along_paths(places, start),
        actions=actions,
        old=old,
        rewards=rewards,
        t=np.arange(len(rewards)) - np.repeat(start[:-1], counts),
        start=start,
        path=names,
        last_obs=last_obs.astype(kept_dtype(policy)),
        terminated=terminated,
        episodes=Episodes(returns[~unstable], counts[~unstable], unstable=int(ends[4].sum())),
        sim_steps=play.sim_steps,
        clipped=play.bounds.count_outside(actions),
    )

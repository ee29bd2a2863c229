"""Whole trajectories from s_0: the paper's batches, and evaluation."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from trpolab.policies import Policy
from trpolab.sampling.batch import Episodes
from trpolab.sampling.fresh_episodes import Draw, FreshEpisodes, Quota
from trpolab.sampling.observations import ObservationLog, kept_dtype
from trpolab.sampling.play import Interrupt, Play, PlayedStep, never, quietly
from trpolab.sampling.trajectories import Trajectories
from trpolab.simulators.base import Simulator


class _Ended(NamedTuple):
    """A path that is over."""

    name: int
    length: int  # a step that blew up not counted
    last_obs: np.ndarray  # [*O]
    terminated: bool
    unstable: bool


class _PathLog:
    """What the paths of a block did, in the order in which it happened."""

    def __init__(self, policy: Policy):
        distribution = policy.distribution
        none, old = np.zeros(0, np.int64), np.zeros((0, distribution.parameter_count), np.float32)
        actions = np.zeros((0, *distribution.action_shape), distribution.action_dtype)
        self.observed = ObservationLog(policy)
        self._steps: list[tuple[np.ndarray, ...]] = [(none, none, actions, old, np.zeros(0))]
        self.ended: list[_Ended] = []

    def add(self, first: int, done: PlayedStep, play: Play) -> list[_Ended]:
        """Keep a step, its observations from the place `first` on. Returns the paths that it ended."""
        result, names = done.result, play.names
        places = np.arange(first, first + len(names))
        rows = (names.copy(), places, done.actions, done.parameters.copy(), result.reward.copy())
        if not len(done.over):
            self._steps.append(rows)
            return []
        sound = ~result.unstable  # a step that blew up is left out
        self._steps.append(tuple(values[sound] for values in rows))
        ended, ages = [], play.ages
        for row in done.over.tolist():
            blown = bool(result.unstable[row])
            length, terminated = int(ages[row]) - blown, bool(result.terminated[row])
            ended.append(_Ended(int(names[row]), length, play.obs[row].copy(), terminated, blown))
        self.ended += ended
        return ended

    def in_order(self) -> tuple[np.ndarray, ...]:
        """[N, ...] each: the observations' places, actions, parameters and rewards, path after path by name."""
        path, *fields = (np.concatenate(values) for values in zip(*self._steps, strict=True))
        order = np.argsort(path, kind="stable")
        return tuple(values[order] for values in fields)


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
    play = Play(simulator, policy.actor(simulator.width).parameters, starter, interrupt)
    log = _PathLog(policy)
    while play.fill():
        first = log.observed.see(play.obs, play.fresh)
        starter.lengths += [path.length for path in log.add(first, play.step(), play)]
    return _lay_out(log, policy, play)


def _lay_out(log: _PathLog, policy: Policy, play: Play) -> Trajectories:
    """Paths in the order of their names."""
    kept = [path for path in sorted(log.ended, key=lambda path: path.name) if path.length]
    counts = np.array([path.length for path in kept], np.int64)
    sound = np.array([not path.unstable for path in kept], bool)  # whose scores are reported
    start = np.cumsum([0, *counts])
    places, actions, old, rewards = log.in_order()
    returns = [rewards[begin:end].sum() for begin, end in itertools.pairwise(start.tolist())]
    last_obs = np.array([path.last_obs for path in kept], kept_dtype(policy))
    return Trajectories(
        obs=log.observed.along_paths(places, start),
        actions=actions,
        old=old,
        rewards=rewards,
        t=np.arange(len(rewards)) - np.repeat(start[:-1], counts),
        start=start,
        path=np.array([path.name for path in kept], np.int64),
        last_obs=last_obs.reshape(len(kept), *policy.obs_shape),
        terminated=np.array([path.terminated for path in kept], bool),
        episodes=Episodes(np.array(returns)[sound], counts[sound], 0, sum(path.unstable for path in log.ended)),
        sim_steps=play.sim_steps,
        clipped=play.bounds.count_outside(actions),
    )

"""Section 5.1, single path: states and actions along trajectories, one action per state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from trpolab.own import LIBRARY, OwnFunctions
from trpolab.policies import Learner, Policy
from trpolab.sampling.batch import Batch, Estimator
from trpolab.sampling.config import SinglePath
from trpolab.sampling.fresh_episodes import Draw, Quota
from trpolab.sampling.play import Interrupt
from trpolab.sampling.returns import advantages_and_values, discounted_sums, standardized
from trpolab.sampling.running_episodes import RunningEpisodes, keep_episodes, restore_episodes
from trpolab.sampling.sampler import SAMPLERS, Collected, Resources, Returns, Sampler, SamplerKind, first_steps
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import Ongoing, Trajectories, advance, begin, join
from trpolab.sampling.whole_paths import whole_paths
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators.base import Task


@dataclass
class SinglePathSampler(Sampler):
    """Holds the episodes under way between iterations, one `Ongoing` a block; None: the next batch starts afresh."""

    pool: SimulatorPool
    streams: Streams
    ongoing: list[Ongoing] | None = field(default=None)

    def collect(
        self, learner: Learner, settings: SinglePath, returns: Returns, iteration: int, interrupt: Interrupt
    ) -> Collected:
        """One iteration's batch under a frozen policy. Raises NonFinite, Interrupted."""
        trajectories = self.trajectories(learner.policy, settings, iteration, interrupt)
        if returns.signs:
            trajectories = replace(trajectories, rewards=np.sign(trajectories.rewards))
        return single_path_batch(trajectories, learner, settings, returns.gamma, returns.state_weighting, returns.own)

    def first_look(self, policy: Policy, settings: Any, interrupt: Interrupt) -> Trajectories:
        """Steps under the starting policy, in the episodes that the first batch goes on with."""
        return self.advance(policy, -(-first_steps(self.pool.task) // self.pool.slots), 0, interrupt)

    def give_up(self) -> int:
        """Drop the episodes under way; returns how many had begun."""
        ongoing, self.ongoing = self.ongoing or [], None
        return sum(int((episodes.t > 0).sum()) for episodes in ongoing)

    def running(self) -> RunningEpisodes:
        """The episodes that go on across iterations, as they stand now."""
        return keep_episodes(self.pool.simulators, self.ongoing)

    def restore(self, episodes: RunningEpisodes) -> None:
        """Go on with these episodes. Raises SnapshotUnsupported."""
        self.ongoing = restore_episodes(self.pool.simulators, episodes)

    def close(self) -> None:
        """Give back simulators, threads and processes."""
        self.pool.close()

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
        unit = partial(advance, policy=policy, steps=steps, streams=self.streams, iteration=iteration)
        results = pool.map(unit, ongoing, pool.first_slots, interrupt=interrupt, goes_on=True)
        self.ongoing = [going for _, going in results]
        return join([piece for piece, _ in results])

    def _begin(self, iteration: int) -> list[Ongoing]:
        pool, blocks = self.pool, zip(self.pool.widths, self.pool.first_slots, strict=True)
        seeds = [self.streams.seeds(width, iteration, Purpose.STAGGER, first) for width, first in blocks]
        # games of half an hour are not cut to bring their slots out of step: they end when they end
        limit = None if pool.task.typical else pool.task.time_limit
        return pool.map(partial(begin, slots=pool.slots, limit=limit), seeds, pool.first_slots, goes_on=True)

    def _whole(self, policy: Policy, config: SinglePath, iteration: int, interrupt: Interrupt) -> Trajectories:
        """Each block begins paths until its share of the budget is spent, and finishes every path that it began."""
        pool = self.pool.for_paths(config.steps_per_iteration, config.horizon)
        quota = Quota(len(pool), steps=-(-config.steps_per_iteration // len(pool)), typical=pool.task.typical)
        draw = Draw(self.streams, iteration)
        unit = partial(whole_paths, policy=policy, draw=draw, quota=quota, horizon=config.horizon)
        return join(pool.map(unit, range(len(pool)), interrupt=interrupt))


def estimates(
    tr: Trajectories, features: Any, learner: Learner, config: SinglePath, gamma: float, own: OwnFunctions = LIBRARY
) -> tuple[np.ndarray, np.ndarray | None]:
    """Q̂ or advantages [N] by the returns that the config chooses; and V [N] where they come from a value function.

    `features` [N, F] are the network's inputs at the states.
    """
    if config.advantage != "gae":
        q = (
            discounted_sums(tr.rewards, tr.start, gamma)
            if own.returns is None
            else own.by_piece("returns", tr.start, (tr.rewards,), gamma)
        )
        return (q - q.mean() if config.advantage == "centred" else q), None
    if learner.value is None:
        raise ValueError("advantage = 'gae' needs a value function; the learner has none")
    return advantages_and_values(tr, features, learner.policy, learner.value, gamma, config.lam, own)


def single_path_batch(
    trajectories: Trajectories, learner: Learner, config: SinglePath, gamma: float, state_weighting: str,
    own: OwnFunctions = LIBRARY,
) -> Collected:  # fmt: skip
    """Q̂ for every state-action pair by the returns that the config chooses; Eq. 14 with q = π_old."""
    tr, policy = trajectories, learner.policy
    features = policy.features(tr.obs)
    q, values = estimates(tr, features, learner, config, gamma, own)
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


def make(resources: Resources) -> SinglePathSampler:
    """The sampler with simulators of its own."""
    pool = SimulatorPool(resources.source, resources.slots, resources.threads, processes=resources.processes)
    return SinglePathSampler(pool, resources.streams)


def problems(settings: SinglePath, task: Task) -> list[str]:
    """Why single path can't run on the task with these settings."""
    found = []
    if settings.whole:
        longest = min(settings.horizon, task.time_limit or settings.horizon)
        if settings.steps_per_iteration < longest:
            found.append(
                f"steps_per_iteration = {settings.steps_per_iteration}: whole paths were asked and one may take "
                f"{longest} steps; give at least {longest}, a shorter path.horizon, or path.whole = false"
            )
    elif settings.advantage != "gae":
        found.append(
            f"advantage = {settings.advantage!r}: discounted sums need whole paths (path.whole = true); "
            "episodes that go on across iterations need advantage = 'gae'"
        )
    if not settings.whole and task.runs_in_processes and not task.can_restore:
        found.append(
            "path.whole = false: episodes that go on across iterations must be restored exactly, and "
            f"{task.name} can't be ({task.restore_reason}); play whole episodes (path.whole = true, "
            "advantage = 'monte_carlo' or 'centred')"
        )
    return found


def cost(settings: SinglePath, task: Task, slots: int) -> int:
    """Simulator steps of an iteration. Whole paths may go beyond it by the rest of the paths under way."""
    steps = settings.steps_per_iteration
    return steps if settings.whole else -(-steps // slots) * slots


SAMPLERS.add(
    SamplerKind(
        name="single-path",
        label="single path",
        doc="trajectories from s_0, one action a state",
        source="Section 5.1",
        settings=SinglePath,
        part="path",
        make=make,
        cost=cost,
        needs_value=lambda settings: settings.advantage == "gae",
        problems=problems,
        keeps=lambda settings, task: (
            settings.steps_per_iteration,
            f"steps_per_iteration = {settings.steps_per_iteration:,}",
        ),
    )
)

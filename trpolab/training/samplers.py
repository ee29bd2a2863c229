"""The samplers of a run behind one call: which of them collects is a setting that may change between iterations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from trpolab.policies import Learner, Policy
from trpolab.sampling.population import roll_out_population
from trpolab.sampling.single_path import FIRST_STATISTICS, Collected, SinglePathSampler, single_path_batch
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import Interrupt, Trajectories
from trpolab.sampling.vine.sampler import VineSampler
from trpolab.sampling.workers.processes import ProcessPool
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators import Source
from trpolab.simulators.base import SnapshotUnsupported, Task
from trpolab.training.config import Config, task_under
from trpolab.training.state import RunningEpisodes, stand, take_up
from trpolab.updates import METHODS, propose


class Samplers:
    """Single path and vine on one task; simulators are made when a sampler is first used, and kept."""

    def __init__(self, source: Source, task: Task, slots: int, threads: int, streams: Streams):
        self.source, self.task, self.slots, self.threads, self.streams = source, task, slots, threads, streams
        self.processes = ProcessPool(threads) if task.runs_in_processes else None  # shared by both samplers
        self._single: SinglePathSampler | None = None
        self._vine: VineSampler | None = None

    @property
    def single_path(self) -> SinglePathSampler:
        """The single-path sampler; it holds the episodes that go on across iterations."""
        if self._single is None:
            pool = SimulatorPool(self.source, self.slots, self.threads, processes=self.processes)
            self._single = SinglePathSampler(pool, self.streams)
        return self._single

    def stand(self) -> RunningEpisodes:
        """The episodes that go on across iterations, as they stand now."""
        return (
            stand(self._single.pool.simulators, self._single.ongoing) if self._single is not None else RunningEpisodes()
        )

    def take_up(self, episodes: RunningEpisodes) -> str:
        """Go on with episodes from where they stood; returns why they begin anew instead, or ""."""
        if episodes.blocks:
            try:
                self.single_path.ongoing = take_up(self.single_path.pool.simulators, episodes)
            except SnapshotUnsupported as error:
                return str(error)
        return episodes.cut

    @property
    def vine(self) -> VineSampler:
        """The vine sampler."""
        if self._vine is None:
            self._vine = VineSampler(self.source, self.task, self.threads, self.streams, self.processes)
        return self._vine

    def collect(self, learner: Learner, config: Config, iteration: int, interrupt: Interrupt) -> Collected:
        """One iteration's batch by the sampler that the config names. Raises NonFinite, Interrupted.

        A switch to the vine, or to a method that searches over θ, gives up the episodes that single path has under way;
        they are counted as dropped.
        """
        if METHODS[config.method].searches:
            return self._with_dropped(self._drop_episodes(), self._population(learner, config, iteration, interrupt))
        if config.sampler == "single-path":
            trajectories = self.single_path.trajectories(learner.policy, config.path, iteration, interrupt)
            if task_under(config, self.task).clip_rewards:
                trajectories = replace(trajectories, rewards=np.sign(trajectories.rewards))
            return single_path_batch(trajectories, learner, config.path, config.gamma, config.state_weighting)
        dropped = self._drop_episodes()
        signs = task_under(config, self.task).clip_rewards
        collected = self.vine.sample(
            learner, config.vine, config.gamma, config.state_weighting, iteration, interrupt, signs
        )
        return self._with_dropped(dropped, collected)

    def first_look(self, policy: Policy, config: Config, interrupt: Interrupt) -> Trajectories:
        """Some steps under the starting policy, for the normaliser. Raises NonFinite, Interrupted."""
        if config.sampler == "vine":
            return self.vine.first_look(policy, config.vine, interrupt)
        seen = self.single_path.advance(policy, -(-FIRST_STATISTICS // self.slots), 0, interrupt)
        if METHODS[config.method].searches:
            self.single_path.ongoing = None  # candidates start afresh; nothing scored is lost
        return seen

    def take_events(self) -> list[dict[str, Any]]:
        """What happened to worker processes since the last call."""
        if self.processes is None:
            return []
        events, self.processes.events = self.processes.events, []
        return events

    def close(self) -> None:
        """Give back simulators and threads."""
        if self._single is not None:
            self._single.pool.close()
        if self._vine is not None:
            self._vine.close()
        if self.processes is not None:
            self.processes.close()
        self._single = self._vine = None

    def _population(self, learner: Learner, config: Config, iteration: int, interrupt: Interrupt) -> Collected:
        """Candidates of a search over θ, played. The normaliser sees none of it: θ keeps its meaning."""
        kind, own = config.of_method()
        context = config.context(self.streams.generator(iteration, Purpose.POPULATION))
        candidates = propose(learner, kind, own, context)
        population = roll_out_population(
            self.single_path.pool,
            learner.policy,
            candidates,
            kind.episodes(own),
            config.path.horizon,
            self.streams,
            iteration,
            interrupt,
        )
        unseen = np.zeros((0, *learner.policy.obs_shape), np.float32)
        return Collected(population, unseen, None, None, None, population.clipped_fraction)

    @staticmethod
    def _with_dropped(dropped: int, collected: Collected) -> Collected:
        if not dropped:
            return collected
        episodes = replace(collected.batch.episodes, dropped=collected.batch.episodes.dropped + dropped)
        return replace(collected, batch=replace(collected.batch, episodes=episodes))

    def _drop_episodes(self) -> int:
        """Give up single path's episodes under way; returns how many had begun."""
        if self._single is None or self._single.ongoing is None:
            return 0
        dropped = sum(int((going.t > 0).sum()) for going in self._single.ongoing)
        self._single.ongoing = None
        return dropped

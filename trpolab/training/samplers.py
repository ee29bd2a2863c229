"""The samplers of a run behind one call: which of them collects is a setting that may change between iterations."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from trpolab.machine import usable_cores
from trpolab.policies import Learner, Policy
from trpolab.sampling.errors import Interrupted
from trpolab.sampling.play import Interrupt
from trpolab.sampling.population import roll_out_population
from trpolab.sampling.running_episodes import RunningEpisodes
from trpolab.sampling.sampler import SAMPLERS, Collected, Resources, Returns, Sampler
from trpolab.sampling.single_path import SinglePathSampler
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import Trajectories
from trpolab.sampling.workers.processes import Executor, ProcessPool
from trpolab.simulators import Source
from trpolab.simulators.base import SnapshotUnsupported, Task
from trpolab.training.config import Config, task_under
from trpolab.updates import METHODS, propose

HORIZONS = 1.5  # a slot's share of an iteration that the library aims at, in units of GAE's horizon 1 / (1 - γλ)
SLOTS = (8, 64)  # fewest and most slots that it picks
SINGLE_PATH = "single-path"  # its simulators also play the candidates of searches, and give first statistics


class Samplers:
    """The samplers of one run by name; each is made when it is first used, and kept.

    `executor` lends workers, for any task, which are closed with the samplers.
    """

    def __init__(
        self, source: Source, task: Task, slots: int, threads: int, streams: Streams, executor: Executor | None = None
    ):
        self.processes = executor or (ProcessPool(threads) if task.runs_in_processes else None)  # shared by all
        task = replace(task, runs_in_processes=self.processes is not None)
        self._resources = Resources(source, task, slots, threads, streams, self.processes)
        self._made: dict[str, Sampler] = {}

    def __getitem__(self, name: str) -> Sampler:
        if name not in self._made:
            kind = SAMPLERS[name]
            self._made[name] = kind.answer("make", kind.make(self._resources), Sampler)
        return self._made[name]

    @property
    def single_path(self) -> SinglePathSampler:
        """The single-path sampler."""
        sampler = self[SINGLE_PATH]
        assert isinstance(sampler, SinglePathSampler)
        return sampler

    def running(self) -> RunningEpisodes:
        """The episodes that go on across iterations, as they stand now."""
        kept = [sampler.running() for sampler in self._made.values()]
        return next((episodes for episodes in kept if episodes.blocks or episodes.cut), RunningEpisodes())

    def restore(self, episodes: RunningEpisodes, config: Config) -> str:
        """Go on with these episodes; returns why they begin anew instead, or "". Raises Interrupted."""
        if episodes.blocks:
            try:
                self[config.sampler].restore(episodes)
            except Interrupted:
                raise
            except SnapshotUnsupported as error:
                return str(error)
            except Exception as error:  # noqa: BLE001  an environment may fail in any way in what it did before
                return f"they can't be brought back ({type(error).__name__}: {error})"
        return episodes.cut

    def collect(self, learner: Learner, config: Config, iteration: int, interrupt: Interrupt) -> Collected:
        """One iteration's batch by the sampler that the config names. Raises NonFinite, Interrupted.

        A switch to another sampler, or to a method that searches over θ, gives up the episodes that are under way; they
        are counted as dropped.
        """
        searches = METHODS[config.method].searches
        others = [sampler for name, sampler in self._made.items() if searches or name != config.sampler]
        dropped = sum(sampler.give_up() for sampler in others)
        if searches:
            collected = self._population(learner, config, iteration, interrupt)
        else:
            signs = task_under(config, self._resources.task).clip_rewards
            returns = Returns(config.gamma, config.state_weighting, signs, config.own)
            collected = self[config.sampler].collect(learner, config.sampler_settings, returns, iteration, interrupt)
            SAMPLERS[config.sampler].answer("collect", collected, Collected)
        if not dropped:
            return collected
        episodes = collected.batch.episodes
        batch = replace(collected.batch, episodes=replace(episodes, dropped=episodes.dropped + dropped))
        return replace(collected, batch=batch)

    def first_look(self, policy: Policy, config: Config, interrupt: Interrupt) -> Trajectories:
        """Some steps under the starting policy, for the normaliser. Raises NonFinite, Interrupted."""
        seen = self[config.sampler].first_look(policy, config.sampler_settings, interrupt)
        if seen is None:
            seen = self.single_path.first_look(policy, config.path, interrupt)
        if METHODS[config.method].searches:
            self.single_path.give_up()  # candidates begin their own episodes; no score is lost
        return seen

    def take_events(self) -> list[dict[str, Any]]:
        """What happened to worker processes since the last call."""
        if self.processes is None:
            return []
        events, self.processes.events = self.processes.events, []
        return events

    def close(self) -> None:
        """Give back simulators, threads and processes."""
        while self._made:
            self._made.popitem()[1].close()
        if self.processes is not None:
            self.processes.close()

    def _population(self, learner: Learner, config: Config, iteration: int, interrupt: Interrupt) -> Collected:
        """Candidates of a search over θ, played. The normaliser is not updated, so that θ keeps its meaning."""
        streams = self._resources.streams
        method, own = config.of_method()
        candidates = propose(learner, method, own, config.context(streams.generator(iteration, Purpose.POPULATION)))
        population = roll_out_population(
            self.single_path.pool,
            learner.policy,
            candidates,
            method.episodes(own),
            config.path.horizon,
            streams,
            iteration,
            interrupt,
        )
        unseen = np.zeros((0, *learner.policy.obs_shape), np.float32)
        return Collected(population, unseen, None, None, None, population.clipped_fraction)


def suited_slots(config: Config) -> int:
    """The power of two between 8 and 64 that gives each slot 1.5 horizons of GAE, 1 / (1 - γλ) steps, an iteration.

    An advantage near the end of a slot's share rests on the value function's guess of what comes after it. With shorter
    shares most advantages do: Swimmer-v5 then learns a third of what it can. Whole paths are not cut: 32 steps do.
    """
    path = config.path
    share = 32 if path.whole else HORIZONS / max(1 - config.gamma * path.lam, 1e-6)
    suited = 2 ** int(math.log2(max(path.steps_per_iteration / share, 1)))
    return min(max(suited, SLOTS[0]), SLOTS[1])


def with_chosen_resources(config: Config) -> Config:
    """Slots and threads filled in where the config leaves them open.

    Slots follow from the settings alone, never from the machine. They are part of what a seed means, and recorded.
    """
    return replace(config, slots=config.slots or suited_slots(config), threads=config.threads or usable_cores())

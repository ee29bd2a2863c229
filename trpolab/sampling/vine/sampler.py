"""Section 5.2, vine: trunks under π_old, K branches from each state of a rollout set, Q̂ from the branches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from trpolab.policies import Learner, Policy, ValueFunction
from trpolab.sampling.batch import Batch
from trpolab.sampling.config import Vine
from trpolab.sampling.errors import NonFinite
from trpolab.sampling.play import Interrupt
from trpolab.sampling.returns import advantages_and_values
from trpolab.sampling.sampler import SAMPLERS, Collected, Resources, Returns, Sampler, SamplerKind, first_steps
from trpolab.sampling.streams import Purpose
from trpolab.sampling.trajectories import Trajectories
from trpolab.sampling.vine.adaptive import agreement, cut, length_that_tells, q_by_length
from trpolab.sampling.vine.branches import Rolled, run_branches
from trpolab.sampling.vine.budget import CANDIDATES, longest_branch, replays, states_kept, vine_cost, vine_problems
from trpolab.sampling.vine.choice import chosen_by_size
from trpolab.sampling.vine.every_step import with_steps
from trpolab.sampling.vine.plans import plan_branches
from trpolab.sampling.vine.proposals import FirstActions, draw_first_actions
from trpolab.sampling.vine.record import make_record, trace_interval
from trpolab.sampling.vine.repeats import other_future
from trpolab.sampling.vine.rollouts import Rollouts, joined, merged, steps_of
from trpolab.sampling.vine.trunks import RolloutSet, choose_states, run_trunks
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators.base import SnapshotUnsupported
from trpolab.simulators.gym_adapter.copies import global_generators, touched_since

FEW_BLOCKS, MOST_BLOCKS = 4, 8  # blocks that branches are spread over
PROCESS_BLOCKS = 64  # the same where worker processes take one block after another
LEAST_WIDTH, MOST_WIDTH = 16, 128  # branches that a block rolls out at a time
MOST_COPIES = 64  # the same for tasks that step in Python, a whole environment each
WIDEST = 512  # the same for tasks that step all slots in one NumPy call
ACTOR_ROWS = 64  # states at a time when π_old is evaluated on the rollout set


class VineSampler(Sampler):
    """Vine batches of one task. Simulators are kept for reuse, episodes never go on across iterations."""

    def __init__(self, resources: Resources):
        self._resources, self.task, self.streams = resources, resources.task, resources.streams
        self._pools: dict[str, SimulatorPool] = {}

    def collect(
        self, learner: Learner, config: Vine, returns: Returns, iteration: int, interrupt: Interrupt
    ) -> Collected:
        """One iteration's batch under a frozen policy.

        Raises NonFinite, Interrupted, and SnapshotUnsupported where the task does not repeat itself after a restore.
        """
        policy, gamma, signs = learner.policy, returns.gamma, returns.signs
        generators = {} if self.task.proven else global_generators()
        trunks, roots, old, first = self.prepare(learner, config, returns, iteration, interrupt)
        tail = learner.value if config.tail_value and learner.value is not None and learner.value.fits else None
        try:
            rollouts = self.roll_out(policy, roots, first, config, gamma, iteration, interrupt, signs, tail)
        except NonFinite as error:
            raise NonFinite(str(error), trunks.sim_steps + error.sim_steps) from None
        if not self.task.proven and not trunks.episodes.unstable:  # which leaves out steps
            touched = touched_since(generators)
            wanted = len(roots) if touched else replays(len(rollouts.state), self.task)
            chosen = self.streams.generator(iteration, Purpose.VINE_REPLAY).permutation(len(roots))[:wanted]
            replayed, pool = roots.take(np.sort(chosen)), self.branch_pool(rollouts.of.size)
            lengths = config.trunk_length, longest_branch(config, self.task)
            why, steps = other_future(pool, trunks, replayed, *lengths, interrupt, policy.scaled_actions)
            if why:
                noise = f" (the global generator of {touched} was touched meanwhile)" if touched else ""
                raise SnapshotUnsupported(f"{why}{noise}")
            trunks = replace(trunks, sim_steps=trunks.sim_steps + steps)
        if signs:
            trunks = replace(trunks, rewards=np.sign(trunks.rewards))
        q = q_values(rollouts, policy, tail, gamma)
        weight_factor = gamma if returns.state_weighting == "discounted" else 1.0
        batch = vine_batch(trunks, roots, old, first, rollouts, q, weight_factor)
        if config.learn_from != "first":
            return with_steps(batch, trunks, steps_of(rollouts, roots, signs), learner, config, returns)
        features, targets, values = policy.features(trunks.obs), None, None
        if config.tail_value and learner.value is not None:  # the discounted returns, bootstrapped where cut
            advantages, values = advantages_and_values(trunks, features, policy, learner.value, gamma, 1.0)
            targets = advantages + values
        components = max(1, trunks.actions.size)
        return Collected(batch, trunks.obs, features, targets, values, trunks.clipped / components)

    def first_look(self, policy: Policy, config: Vine, interrupt: Interrupt) -> Trajectories:
        """Some steps of trunks under the starting policy, before the first iteration."""
        steps, none = -(-first_steps(self.task) // config.trunks), np.zeros(0, np.int64)
        return run_trunks(self.trunk_pool(config.trunks), policy, steps, none, self.streams, 0, interrupt)[0]

    def prepare(
        self, learner: Learner, config: Vine, returns: Returns, iteration: int, interrupt: Interrupt
    ) -> tuple[Trajectories, RolloutSet, np.ndarray, FirstActions]:
        """Trunks, the rollout set, the parameters of π_old there [N, U], and the first actions of the branches.

        Raises ValueError where the set depends on advantages and the learner has no value function.
        """
        policy, streams, length = learner.policy, self.streams, config.trunk_length
        paying = config.choose == "advantage"
        wanted = min(CANDIDATES * config.states, config.trunks * length) if paying else config.states
        chosen = choose_states(streams, iteration, config.trunks, length, wanted, config.choose)
        pool = self.trunk_pool(config.trunks)
        trunks, roots = run_trunks(pool, policy, length, chosen, streams, iteration, interrupt)
        if roots is None:
            raise ValueError(f"vine.states = {config.states}: no state was chosen")
        if paying:
            if learner.value is None:
                raise ValueError("vine.choose = 'advantage' needs a value function; the learner has none")
            seen = replace(trunks, rewards=np.sign(trunks.rewards)) if returns.signs else trunks
            given = (policy.features(trunks.obs), policy, learner.value, returns.gamma, config.lam, returns.own)
            size = np.zeros(len(roots))
            if not trunks.episodes.unstable:  # which leaves out steps, so that it is not known whose advantage is whose
                size = np.abs(advantages_and_values(seen, *given)[0][chosen])
            roots = chosen_by_size(roots, size, config.states, streams.generator(iteration, Purpose.VINE_STATES, 1))
        old = policy.actor(ACTOR_ROWS).evaluate(roots.obs)
        generator = streams.generator(iteration, Purpose.VINE_ACTIONS)
        return trunks, roots, old, draw_first_actions(policy.distribution, old, config, generator)

    def roll_out(
        self,
        policy: Policy,
        roots: RolloutSet,
        first: FirstActions,
        config: Vine,
        gamma: float,
        iteration: int,
        interrupt: Interrupt,
        signs: bool = False,
        tail: ValueFunction | None = None,
    ) -> Rollouts:
        """Run the branches of all states.

        With `vine.adaptive_length` those of every fourth state first, in two futures: the others, and what these are
        taken for, are no longer than the two agree (judged with the `tail`, if there is one). Raises NonFinite.
        """
        horizon, pilots = longest_branch(config, self.task), np.array(config.pilots, np.int64)
        unit = partial(run_branches, policy=policy, streams=self.streams, iteration=iteration, gamma=gamma, signs=signs)
        run, every = partial(self._branches, unit, roots, first, config, interrupt), np.arange(len(roots))
        if not len(pilots):
            return run(every, horizon)
        pair = [run(pilots, horizon, future) for future in (0, 1)]
        q = [q_by_length(one.rolled, policy, tail, gamma, horizon)[:, one.of] for one in pair]
        length, others = length_that_tells(agreement(*q)), np.setdiff1d(every, pilots)
        pair[0] = replace(pair[0], rolled=cut(pair[0].rolled, length, gamma))
        if config.learn_from != "all":
            pair = [replace(one, rolled=replace(one.rolled, steps=None)) for one in pair]
        if not len(others):
            return merged(pair[:1], [pilots], pair[1])
        try:
            rest = run(others, length)
        except NonFinite as error:
            raise NonFinite(str(error), sum(one.rolled.sim_steps for one in pair) + error.sim_steps) from None
        return merged([pair[0], rest], [pilots, others], pair[1])

    def _branches(
        self,
        unit: Callable[..., Rolled],
        roots: RolloutSet,
        first: FirstActions,
        config: Vine,
        interrupt: Interrupt,
        rows: np.ndarray,
        horizon: int,
        future: int | None = None,
    ) -> Rollouts:
        """Run the branches of the states `rows` as one list, spread over blocks; all steps of those with a `future`
        are kept.
        """
        pool = self.branch_pool(first.log_q.size)
        drawn = roots.obs.dtype != np.uint8 and not future
        plans, state, of = plan_branches(
            roots, first, rows, config.common_random_numbers, len(pool), drawn, future or 0
        )
        every_step = config.learn_from == "all" or future is not None
        given = {"horizon": horizon, "trace_every": trace_interval(horizon), "every_step": every_step}
        return Rollouts(joined(pool.map(partial(unit, **given), plans, interrupt=interrupt)), state, of)

    def trunk_pool(self, trunks: int) -> SimulatorPool:
        """One slot a trunk, in at least two blocks where the task steps in threads."""
        width = trunks if self.task.block is None else min(self.task.block, -(-trunks // 2))
        return self._pool("trunks", trunks, width)

    def branch_pool(self, branches: int) -> SimulatorPool:
        """Slots for so many branches; where there are more branches than slots, they take turns."""
        if self.task.runs_in_processes and self.task.block is not None:
            width = min(self.task.block, branches)
            return self._pool("branches", width * min(PROCESS_BLOCKS, -(-branches // width)), width)
        if self.task.block is None:
            width = min(branches, MOST_COPIES if self.task.python else WIDEST)
            return self._pool("branches", width, width)
        width = min(MOST_WIDTH, max(LEAST_WIDTH, -(-branches // FEW_BLOCKS)), branches)
        return self._pool("branches", width * min(MOST_BLOCKS, -(-branches // width)), width)

    def close(self) -> None:
        """Give back simulators and threads."""
        while self._pools:
            self._pools.popitem()[1].close()

    def _pool(self, role: str, slots: int, width: int) -> SimulatorPool:
        pool = self._pools.get(role)
        if pool is None or (pool.slots, pool.widths[0]) != (slots, width):
            if pool is not None:
                pool.close()
            given = self._resources
            pool = self._pools[role] = SimulatorPool(given.source, slots, given.threads, width, given.processes)
        return pool


def q_values(rollouts: Rollouts, policy: Policy, value: ValueFunction | None, gamma: float) -> np.ndarray:
    """Q̂ [N, K]: the branches' discounted rewards, plus γ^h V(s_h) where a value function is given.

    A branch that terminated earns nothing more; V stands for what follows one cut by the horizon or a time limit.
    """
    rolled = rollouts.rolled
    q = rolled.returns
    if value is not None:
        live = ~rolled.terminated & ~rolled.unstable
        tail = np.zeros(len(q))
        tail[live] = value.values(policy.features(rolled.last_obs[live]))
        q = q + gamma**rolled.lengths * tail
    return q[rollouts.of]


def vine_batch(
    trunks: Trajectories,
    roots: RolloutSet,
    old: np.ndarray,
    first: FirstActions,
    rollouts: Rollouts,
    q: np.ndarray,
    weight_factor: float,
) -> Batch:
    """The batch: K actions of N states with Q̂ [N, K], and all trunk states for the constraint.

    A state is left out if the physics blew up in one of its branches: its Q̂ would be that of a spliced path.
    """
    rolled = rollouts.rolled
    rows = np.flatnonzero(~rolled.unstable[rollouts.of].any(axis=1))
    batch = Batch(
        obs=roots.obs[rows],
        actions=first.actions[rows],
        log_q=first.log_q[rows],
        q_values=q[rows],
        weights=roots.weight[rows] * weight_factor ** roots.t[rows].astype(np.float64),
        path=roots.trunk[rows],
        t=roots.t[rows],
        old=old[rows],
        constraint_obs=trunks.obs,
        constraint_old=trunks.old,
        estimator=first.estimator,
        episodes=replace(trunks.episodes, unstable=trunks.episodes.unstable + int(rolled.unstable.sum())),
        sim_steps=trunks.sim_steps + rolled.sim_steps,
        paths=make_record(trunks, roots, rollouts.state, rollouts.of, rolled, q),
    )
    return batch.without_offset()


SAMPLERS.add(
    SamplerKind(
        name="vine",
        label="vine",
        doc="trunks, and K branches from each state of a rollout set",
        source="Section 5.2",
        settings=Vine,
        make=VineSampler,
        cost=lambda settings, task, slots: vine_cost(settings, task),
        ends_early=True,
        needs_restore=True,
        needs_value=lambda settings: settings.tail_value,
        problems=vine_problems,
        keeps=states_kept,
    )
)

"""Pieces of trajectories: the raw material of batches, from blocks of slots that step under a frozen policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from trpolab.policies import Policy
from trpolab.sampling.batch import Episodes
from trpolab.sampling.errors import Interrupted, NonFinite
from trpolab.sampling.observations import join_observations, newest
from trpolab.sampling.segments import SegmentLog, cut
from trpolab.simulators.base import Simulator

Interrupt = Callable[[], bool]
Visit = Callable[[int, np.ndarray, np.ndarray], None]  # (step of the batch, obs [G, *O], t [G])


@dataclass(frozen=True)
class Trajectories:
    """S pieces of trajectories laid end to end, N steps in all.

    A piece ends where its episode ended (`terminated`), or where a time limit, the batch or an unstable simulator cut
    it: there `last_obs`, the true next state, is what a value function may be asked about.
    """

    obs: Any  # [N, *O] float32, or Frames
    actions: np.ndarray  # [N, *A] unclipped
    old: np.ndarray  # [N, U] float32
    rewards: np.ndarray  # [N] float64
    t: np.ndarray  # [N] time step within the episode
    start: np.ndarray  # [S + 1] offsets of the pieces
    path: np.ndarray  # [S] which slot or path
    last_obs: np.ndarray  # [S, *O] float32, or uint8 where obs are Frames
    terminated: np.ndarray  # [S] bool
    episodes: Episodes
    sim_steps: int
    clipped: int  # action components outside the bounds

    def __len__(self) -> int:
        return len(self.rewards)


@dataclass(frozen=True)
class Ongoing:
    """The episodes that a block of G slots has under way."""

    obs: np.ndarray  # [G, *O]
    t: np.ndarray  # [G] steps since the episode began
    score: np.ndarray  # [G] undiscounted return so far
    cut_at: np.ndarray  # [G] step at which a staggered first episode is cut; 0: never


@dataclass(frozen=True)
class ActionBounds:
    """What the sampler clips actions to; None where the action space has no bounds to clip to."""

    low: np.ndarray | None
    high: np.ndarray | None

    @staticmethod
    def of(space: spaces.Space) -> ActionBounds:
        """The bounds of an action space."""
        if not isinstance(space, spaces.Box) or not (np.isfinite(space.low).any() or np.isfinite(space.high).any()):
            return ActionBounds(None, None)
        return ActionBounds(space.low.astype(np.float32), space.high.astype(np.float32))

    def clip(self, actions: np.ndarray) -> np.ndarray:
        """Actions within the bounds."""
        if self.low is None or self.high is None:
            return actions
        return np.minimum(np.maximum(actions, self.low), self.high)

    def count_outside(self, actions: np.ndarray) -> int:
        """How many components of actions [..., *A] lie outside."""
        return 0 if self.low is None or self.high is None else int(((actions < self.low) | (actions > self.high)).sum())


def begin(simulator: Simulator, seeds: np.ndarray, first_slot: int, slots: int, limit: int | None) -> Ongoing:
    """Fresh episodes in every slot of a block, staggered over the time limit.

    Without staggering, tasks that never terminate run all slots in phase and each batch sees one slice of the
    episode only. Slot i's first episode is cut after (i + 1) / W of the limit; it reports no score.
    """
    obs = simulator.reset(None, seeds).copy()
    g = simulator.width
    cut_at = np.zeros(g, np.int64)
    if limit is not None:
        cut_at = np.maximum(1, (np.arange(first_slot, first_slot + g) + 1) * limit // slots)
        cut_at[cut_at >= limit] = 0
    return Ongoing(obs, np.zeros(g, np.int64), np.zeros(g), cut_at)


def first_bad_action(obs: np.ndarray, parameters: np.ndarray, actions: np.ndarray) -> tuple[int, str] | None:
    """The first row whose action must not be taken, and what is not finite there; None where all may be.

    obs [n, *O], parameters [n, U], actions [n, *A]. Whatever is wrong with a Gaussian's parameters shows in its action;
    a whole number never tells.
    """
    telling = actions if actions.dtype.kind == "f" else parameters
    if np.isfinite(telling).all():
        return None
    row = int(np.argwhere(~np.isfinite(telling))[0, 0])
    sources = {"observation": obs, "policy output": parameters}
    return row, next((name for name, values in sources.items() if not np.isfinite(values[row]).all()), "action")


@np.errstate(invalid="ignore", over="ignore")  # what is not finite is looked for, and named, below
def advance(
    simulator: Simulator,
    ongoing: Ongoing,
    policy: Policy,
    steps: int,
    noise: np.random.Generator,
    reset_seeds: np.random.Generator,
    first_slot: int,
    interrupt: Interrupt,
    visit: Visit | None = None,
) -> tuple[Trajectories, Ongoing]:
    """`steps` steps in each of the G slots of a block; episodes that end start anew, the rest go on afterwards.

    `visit` is told of every state before an action is taken there; the simulator then stands in just that state.

    Raises NonFinite for a NaN or infinity in an action, an observation or a reward, and Interrupted when told to.
    """
    g, distribution = simulator.width, policy.distribution
    actor, bounds = policy.actor(g), ActionBounds.of(simulator.action_space)
    draws = distribution.noise(noise, (steps, g))
    u, shape, kind = distribution.parameter_count, distribution.action_shape, distribution.action_dtype
    log = SegmentLog.empty(steps, ongoing.obs, u, shape, kind)
    cut_at, births = ongoing.cut_at.copy(), -ongoing.t  # births: step of this batch at which an episode began
    next_cut = _next_cut(cut_at, births)
    obs = ongoing.obs
    for step in range(steps):
        if interrupt():
            raise Interrupted
        seen = log.see(step, obs)
        if visit is not None:
            visit(step, seen, step - births)
        parameters = actor.parameters(seen)
        actions = distribution.sample_from(parameters, draws[step])
        if (bad := first_bad_action(obs, parameters, actions)) is not None:
            _require_finite(first_slot, log, step, obs)
            raise NonFinite(f"slot {first_slot + bad[0]}, step {step}: non-finite {bad[1]}", g * step)
        log.old[step] = parameters
        log.actions[step] = actions
        now = simulator.step(None, bounds.clip(actions))
        obs, log.rewards[step] = now.obs, now.reward
        ended = now.terminated | now.truncated | now.unstable
        if step + 1 >= next_cut:
            ended |= (cut_at > 0) & (step + 1 - births >= cut_at)
        if not ended.any():
            continue
        slots = np.flatnonzero(ended)
        log.ended[step], log.terminated[step] = ended, now.terminated
        log.truncated[step], log.unstable[step] = now.truncated, now.unstable
        obs = obs.copy()  # a reset may write into the simulator's own buffer
        true_next = np.where(_along(now.unstable[slots], obs), seen[slots], obs[slots])
        log.ends.append((step, slots, true_next))
        births[slots] = step + 1
        if next_cut <= steps:
            cut_at[slots] = 0
            next_cut = _next_cut(cut_at, births)
        obs[slots] = simulator.reset(slots, reset_seeds.integers(0, 2**63 - 1, size=len(slots), dtype=np.int64))
        log.begin(step + 1, slots, obs[slots])
    obs = obs.copy()
    _require_finite(first_slot, log, steps, obs)
    cut_at[births > 0] = 0
    pieces = cut(log, ongoing.t, ongoing.score, obs)
    trajectories = Trajectories(
        obs=log.observations(pieces, policy.obs_shape),
        actions=log.actions[pieces.rows],
        old=log.old[pieces.rows],
        rewards=log.rewards[pieces.rows],
        t=pieces.t,
        start=pieces.start,
        path=first_slot + pieces.slot,
        last_obs=pieces.last_obs,
        terminated=pieces.terminated,
        episodes=pieces.episodes,
        sim_steps=g * steps,
        clipped=bounds.count_outside(log.actions),
    )
    return trajectories, Ongoing(obs, pieces.age, pieces.score, cut_at)


def join(parts: list[Trajectories]) -> Trajectories:
    """Pieces of several blocks as one, in block order."""
    if len(parts) == 1:
        return parts[0]
    offsets = np.cumsum([0, *(len(part) for part in parts)])
    starts = [part.start[:-1] + offset for part, offset in zip(parts, offsets, strict=False)]

    def stack(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    episodes = Episodes(
        np.concatenate([part.episodes.returns for part in parts]),
        np.concatenate([part.episodes.lengths for part in parts]),
        sum(part.episodes.dropped for part in parts),
        sum(part.episodes.unstable for part in parts),
    )
    names = ("actions", "old", "rewards", "t", "path", "last_obs", "terminated")
    return Trajectories(
        obs=join_observations([part.obs for part in parts]),
        **{name: stack(name) for name in names},
        start=np.concatenate([*starts, offsets[-1:]]),
        episodes=episodes,
        sim_steps=sum(part.sim_steps for part in parts),
        clipped=sum(part.clipped for part in parts),
    )


def _next_cut(cut_at: np.ndarray, births: np.ndarray) -> int:
    """The step count of this batch at which the next staggered first episode is cut."""
    return int(np.min(cut_at + births, where=cut_at > 0, initial=np.iinfo(np.int64).max))


def _along(flags: np.ndarray, obs: np.ndarray) -> np.ndarray:
    """Flags [n] shaped to choose between rows of observations [n, *O]."""
    return flags.reshape(-1, *([1] * (obs.ndim - 1)))


def _require_finite(first_slot: int, log: SegmentLog, steps: int, last: np.ndarray) -> None:
    """Name the first NaN or infinity by slot, step and field; steps that were already reported unstable don't count."""
    obs, rewards, unstable = log.obs[:steps], log.rewards[:steps], log.unstable[:steps]
    if np.isfinite(rewards).all() and np.isfinite(obs).all() and np.isfinite(last).all():
        return
    fields = {"reward": rewards, "observation": np.concatenate([obs, newest(last)[None].astype(obs.dtype)])}
    found = []
    for order, (name, values) in enumerate(fields.items()):
        bad = ~np.isfinite(values).reshape(*values.shape[:2], -1).all(axis=2)
        if name == "reward":
            bad &= ~unstable
        for step, slot in np.argwhere(bad)[:1]:
            # the observation after step k is logged as the one before step k + 1
            found.append((int(step) - (name == "observation"), order, int(slot), name))
    if found:
        step, _, slot, name = min(found)
        raise NonFinite(f"slot {first_slot + slot}, step {max(step, 0)}: non-finite {name}", rewards.size)

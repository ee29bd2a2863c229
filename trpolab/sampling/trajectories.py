"""Pieces of trajectories: the raw material of batches, from blocks of slots that step under a frozen policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from gymnasium import spaces

from trpolab.policies import Policy
from trpolab.sampling.batch import Episodes
from trpolab.sampling.crew import Interrupted, NonFinite
from trpolab.simulators.base import Simulator

Interrupt = Callable[[], bool]
Visit = Callable[[int, np.ndarray, np.ndarray], None]  # (step of the batch, obs [G, *O], t [G])


@dataclass(frozen=True)
class Trajectories:
    """S pieces of trajectories laid end to end, N steps in all.

    A piece ends where its episode ended (`terminated`), or where a time limit, the batch or an unstable simulator cut
    it: there `last_obs`, the true next state, is what a value function may be asked about.
    """

    obs: np.ndarray  # [N, *O] float32
    actions: np.ndarray  # [N, *A] unclipped
    old: np.ndarray  # [N, U] float32
    rewards: np.ndarray  # [N] float64
    t: np.ndarray  # [N] time step within the episode
    start: np.ndarray  # [S + 1] offsets of the pieces
    path: np.ndarray  # [S] which slot or path
    last_obs: np.ndarray  # [S, *O] float32
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
class Bounds:
    """What the sampler clips actions to; None where the action space has no bounds to clip to."""

    low: np.ndarray | None
    high: np.ndarray | None

    @staticmethod
    def of(space: spaces.Space) -> Bounds:
        """The bounds of an action space."""
        if not isinstance(space, spaces.Box) or not (np.isfinite(space.low).any() or np.isfinite(space.high).any()):
            return Bounds(None, None)
        return Bounds(space.low.astype(np.float32), space.high.astype(np.float32))

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


@np.errstate(invalid="ignore")  # a NaN is looked for, and named, below
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
    actor, bounds = policy.actor(g), Bounds.of(simulator.action_space)
    draws = distribution.noise(noise, (steps, g))
    obs_log = np.empty((steps, *ongoing.obs.shape), np.float32)
    old_log = np.empty((steps, g, distribution.parameter_count), np.float32)
    action_log = np.empty((steps, g, *distribution.action_shape), distribution.action_dtype)
    reward_log = np.empty((steps, g))
    ended_log = np.zeros((steps, g), bool)
    terminated_log = np.zeros((steps, g), bool)
    unstable_log = np.zeros((steps, g), bool)
    t_first, score, cut_at = ongoing.t.copy(), ongoing.score.copy(), ongoing.cut_at.copy()
    births = -t_first  # step of this batch at which the slot's episode began
    next_cut = _next_cut(cut_at, births)
    last: dict[tuple[int, int], np.ndarray] = {}
    returns: list[float] = []
    lengths: list[int] = []
    staggered = unstable_episodes = 0
    obs = ongoing.obs
    for step in range(steps):
        if interrupt():
            raise Interrupted
        obs_log[step] = obs
        if visit is not None:
            visit(step, obs_log[step], step - births)
        parameters = actor.parameters(obs_log[step])
        if not np.isfinite(parameters).all():
            _require_finite(first_slot, obs_log[:step], reward_log[:step], unstable_log[:step], obs, g * step)
            bad = int(np.argwhere(~np.isfinite(parameters))[0, 0])
            raise NonFinite(f"slot {first_slot + bad}, step {step}: non-finite policy output", g * step)
        old_log[step] = parameters
        actions = distribution.sample_from(parameters, draws[step])
        action_log[step] = actions
        now = simulator.step(None, bounds.clip(actions))
        obs, reward_log[step] = now.obs, now.reward
        ended = now.terminated | now.truncated | now.unstable
        if step + 1 >= next_cut:
            ended = ended | ((cut_at > 0) & (step + 1 - births >= cut_at))
        if not ended.any():
            continue
        slots = np.flatnonzero(ended)
        ended_log[step], terminated_log[step], unstable_log[step] = ended, now.terminated, now.unstable
        for slot in slots:
            key, complete = (step, int(slot)), now.terminated[slot] or now.truncated[slot]
            last[key] = np.array(obs_log[step, slot] if now.unstable[slot] else obs[slot], np.float32)
            if complete and not now.unstable[slot]:
                began = births[slot]
                carried = score[slot] if began <= 0 else 0.0
                returns.append(carried + float(reward_log[max(began, 0) : step + 1, slot].sum()))
                lengths.append(int(step + 1 - began))
            else:
                unstable_episodes += bool(now.unstable[slot])
                staggered += not now.unstable[slot]
        births[slots], cut_at[slots], score[slots] = step + 1, 0, 0.0
        next_cut = _next_cut(cut_at, births)
        obs = obs.copy()  # a reset may write into the simulator's own buffer
        obs[slots] = simulator.reset(slots, reset_seeds.integers(0, 2**63 - 1, size=len(slots), dtype=np.int64))
    obs = obs.copy()
    _require_finite(first_slot, obs_log, reward_log, unstable_log, obs, g * steps)
    for g_slot in range(g):  # what this batch adds to the scores of episodes that go on
        score[g_slot] += reward_log[max(births[g_slot], 0) :, g_slot].sum()
    pieces = _cut_into_pieces(first_slot, ongoing.t, ended_log, terminated_log, unstable_log, last, obs)
    rows = pieces.rows
    flat = np.unravel_index(rows, (g, steps))[::-1]
    trajectories = Trajectories(
        obs=obs_log[flat],
        actions=action_log[flat],
        old=old_log[flat],
        rewards=reward_log[flat],
        t=pieces.t,
        start=pieces.start,
        path=pieces.path,
        last_obs=pieces.last_obs,
        terminated=pieces.terminated,
        episodes=Episodes(np.array(returns), np.array(lengths, np.int64), staggered, unstable_episodes),
        sim_steps=g * steps,
        clipped=bounds.count_outside(action_log),
    )
    return trajectories, replace(ongoing, obs=obs, t=steps - births, score=score, cut_at=cut_at)


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
    names = ("obs", "actions", "old", "rewards", "t", "path", "last_obs", "terminated")
    return Trajectories(
        **{name: stack(name) for name in names},
        start=np.concatenate([*starts, offsets[-1:]]),
        episodes=episodes,
        sim_steps=sum(part.sim_steps for part in parts),
        clipped=sum(part.clipped for part in parts),
    )


def _next_cut(cut_at: np.ndarray, births: np.ndarray) -> int:
    """The step count of this batch at which the next staggered first episode is cut."""
    return int(np.min(cut_at + births, where=cut_at > 0, initial=np.iinfo(np.int64).max))


@dataclass(frozen=True)
class _Pieces:
    rows: np.ndarray  # indices into [G, T], laid end to end
    t: np.ndarray
    start: np.ndarray
    path: np.ndarray
    last_obs: np.ndarray
    terminated: np.ndarray


def _cut_into_pieces(
    first_slot: int,
    t_first: np.ndarray,
    ended: np.ndarray,
    terminated: np.ndarray,
    unstable: np.ndarray,
    last: dict[tuple[int, int], np.ndarray],
    obs: np.ndarray,
) -> _Pieces:
    """Slot by slot, the pieces between ends; the step in which a simulator blew up is left out."""
    steps, g = ended.shape
    rows, t, lengths, path, last_obs, done = [], [], [], [], [], []
    for slot in range(g):
        begin_step, age = 0, int(t_first[slot])
        ends = [int(end) for end in np.flatnonzero(ended[:, slot])]
        for end in [*ends, steps - 1]:
            stop = end if unstable[end, slot] else end + 1
            if stop > begin_step:
                rows.append(slot * steps + np.arange(begin_step, stop))
                t.append(age + np.arange(stop - begin_step))
                lengths.append(stop - begin_step)
                path.append(first_slot + slot)
                final = last.get((end, slot))
                last_obs.append(np.asarray(obs[slot], np.float32) if final is None else final)
                done.append(bool(terminated[end, slot]))
            begin_step, age = end + 1, 0
    empty = np.zeros(0, np.int64)
    return _Pieces(
        rows=np.concatenate(rows) if rows else empty,
        t=np.concatenate(t) if t else empty,
        start=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64),
        path=np.array(path, np.int64),
        last_obs=np.array(last_obs, np.float32).reshape(len(path), *obs.shape[1:]),
        terminated=np.array(done, bool),
    )


def _require_finite(
    first_slot: int,
    obs: np.ndarray,
    rewards: np.ndarray,
    unstable: np.ndarray,
    last: np.ndarray,
    sim_steps: int,
) -> None:
    """Name the first NaN or infinity by slot, step and field; steps that were already reported unstable don't count."""
    if np.isfinite(rewards).all() and np.isfinite(obs).all() and np.isfinite(last).all():
        return
    fields = {"reward": rewards, "observation": np.concatenate([obs, last[None].astype(np.float32)])}
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
        raise NonFinite(f"slot {first_slot + slot}, step {max(step, 0)}: non-finite {name}", sim_steps)

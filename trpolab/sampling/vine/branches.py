"""The branches of a vine: short rollouts from saved states, as many at a time as a simulator has slots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trpolab.policies import Policy
from trpolab.sampling.errors import Interrupted, NonFinite
from trpolab.sampling.observations import finite_rows
from trpolab.sampling.trajectories import ActionBounds, Interrupt, first_bad_action
from trpolab.simulators.base import Simulator, Snapshot, Transition


@dataclass(frozen=True)
class BranchPlan:
    """B branches: from which saved state, with which first action, on which noise."""

    snapshot: Snapshot  # the states, one row each
    state: np.ndarray  # [B] which state of the rollout set
    first: np.ndarray  # [B, *A] unclipped
    noise: np.ndarray  # [R, H, noise_size]: row h is for step h, whatever was done before; row 0 is not used
    noise_row: np.ndarray  # [B] which of the R sequences
    seeds: np.ndarray  # [B] the task's own noise
    traced: np.ndarray  # [B] bool: whether observations are kept for drawing
    signs: bool = False  # whether a reward counts by its sign alone
    place: np.ndarray | None = None  # [B] row of the snapshot, where it holds fewer states than the rollout set

    def __len__(self) -> int:
        return len(self.state)


@dataclass(frozen=True)
class Rolled:
    """What B branches earned."""

    returns: np.ndarray  # [B] discounted sums of rewards, without a tail
    lengths: np.ndarray  # [B] steps taken
    terminated: np.ndarray  # [B] bool: the task ended, nothing comes after
    unstable: np.ndarray  # [B] bool: the physics blew up
    last_obs: np.ndarray  # [B, *O] float32 or bytes, where the branch stopped
    traces: list[tuple[np.ndarray, np.ndarray, np.ndarray]]  # (branches [n], steps taken [n], obs [n, *O])
    sim_steps: int

    @staticmethod
    def join(parts: list[Rolled]) -> Rolled:
        """Shares of one list of branches, in order."""
        names = ("returns", "lengths", "terminated", "unstable", "last_obs")
        offsets = np.cumsum([0, *(len(part.returns) for part in parts)])
        traces = [
            (branches + offset, ages, obs)
            for part, offset in zip(parts, offsets, strict=False)
            for branches, ages, obs in part.traces
        ]
        stacked = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return Rolled(**stacked, traces=traces, sim_steps=sum(part.sim_steps for part in parts))


@np.errstate(invalid="ignore", over="ignore")  # what is not finite is looked for, and named, below
def run_branches(
    simulator: Simulator, policy: Policy, plan: BranchPlan, gamma: float, trace_every: int, interrupt: Interrupt
) -> Rolled:
    """Roll out a plan's branches in the slots of one block: the first action is given, π_old takes all others.

    A slot whose branch has ended takes the next one, so ended branches cost nothing and the block stays full. A branch
    ends where the task ends or is cut, where the physics blows up, or after H steps. Raises NonFinite, Interrupted.
    """
    total, width, distribution = len(plan), simulator.width, policy.distribution
    horizon = plan.noise.shape[1]
    place = plan.state if plan.place is None else plan.place
    actor, bounds = policy.actor(width), ActionBounds.of(simulator.action_space)
    discounts = gamma ** np.arange(horizon)
    returns, lengths = np.zeros(total), np.zeros(total, np.int64)
    terminated, unstable = np.zeros(total, bool), np.zeros(total, bool)
    kind = np.uint8 if policy.sees_pixels else np.float32
    last_obs = np.zeros((total, *policy.obs_shape), kind)
    traces: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    obs = np.zeros((width, *policy.obs_shape), kind)
    branch, age = np.full(width, -1), np.zeros(width, np.int64)
    started = steps = 0
    free = np.arange(width)
    anything_traced = bool(plan.traced.any())
    while True:
        if len(free) and started < total:
            free = free[: total - started]
            taken = np.arange(started, started + len(free))
            started += len(free)
            obs[free] = simulator.restore(free, plan.snapshot.take(place[taken]), plan.seeds[taken])
            branch[free], age[free] = taken, 0
        slots = np.flatnonzero(branch >= 0)
        if not len(slots):
            break
        if interrupt():
            raise Interrupted
        full = len(slots) == width
        running, ages = (branch, age) if full else (branch[slots], age[slots])
        if anything_traced:
            seen = plan.traced[running] & (ages % trace_every == 0)
            if seen.any():
                traces.append((running[seen], ages[seen], obs[slots[seen]]))
        seen_obs = obs if full else obs[slots]
        parameters = actor.parameters(seen_obs)
        actions = distribution.sample_from(parameters, plan.noise[plan.noise_row[running], ages])
        fresh = ages == 0
        if fresh.any():
            actions[fresh] = plan.first[running[fresh]]
        if (bad := first_bad_action(seen_obs, parameters, actions)) is not None:
            raise NonFinite(
                f"branch of state {plan.state[running[bad[0]]]}, step {ages[bad[0]]}: non-finite {bad[1]}", steps
            )
        now = simulator.step(None if full else slots, bounds.clip(actions))
        steps += len(slots)
        _require_finite(plan, running, ages, now, steps)
        returns[running] += discounts[ages] * (np.sign(now.reward) if plan.signs else now.reward)
        obs[slots] = now.obs
        age[slots] += 1
        over = now.terminated | now.truncated | now.unstable | (age[slots] == horizon)
        if not over.any():
            free = free[:0]
            continue
        free = slots[over]
        ended = branch[free]
        lengths[ended], terminated[ended], unstable[ended] = age[free], now.terminated[over], now.unstable[over]
        last_obs[ended] = obs[free]
        branch[free] = -1
        if anything_traced:
            seen = plan.traced[ended] & ~unstable[ended]
            traces.append((ended[seen], age[free][seen], obs[free][seen]))
    return Rolled(returns, lengths, terminated, unstable, last_obs, traces, steps)


def _require_finite(plan: BranchPlan, running: np.ndarray, ages: np.ndarray, now: Transition, steps: int) -> None:
    """Name the first NaN or infinity of a step; what a blown-up simulation says does not count."""
    if np.isfinite(now.reward).all() and finite_rows(now.obs).all():
        return
    for what, values in (("reward", now.reward), ("observation", now.obs)):
        bad = ~np.isfinite(values).reshape(len(running), -1).all(axis=1) & ~now.unstable
        if bad.any():
            row = int(np.argmax(bad))
            raise NonFinite(f"branch of state {plan.state[running[row]]}, step {ages[row]}: non-finite {what}", steps)

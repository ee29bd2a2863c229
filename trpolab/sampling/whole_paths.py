"""Whole trajectories from s_0: the paper's batches, and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trpolab.policies import Policy
from trpolab.sampling.batch import Episodes
from trpolab.sampling.observations import along_paths, finite_rows, newest
from trpolab.sampling.outcomes import Interrupted, NonFinite
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import Bounds, Interrupt, Trajectories, first_bad_action
from trpolab.simulators.base import Simulator

NOISE_CHUNK = 64  # steps of noise drawn at once for a path; part of the meaning of a seed


@dataclass(frozen=True)
class Draw:
    """How the paths of a batch get their randomness: path p's streams are keyed by (iteration, purpose, p)."""

    streams: Streams
    iteration: int
    action: Purpose = Purpose.ACTION
    reset: Purpose = Purpose.RESET
    deterministic: bool = False  # take the distribution's mode


@dataclass
class _Running:
    """A path under way in one slot."""

    path: int
    noise: np.random.Generator
    first: np.ndarray  # [*O]
    obs: list[np.ndarray] = field(default_factory=list)
    actions: list[np.ndarray] = field(default_factory=list)
    old: list[np.ndarray] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class _Finished:
    run: _Running
    last_obs: np.ndarray
    terminated: bool
    unstable: bool


@np.errstate(invalid="ignore", over="ignore")  # what is not finite is looked for, and named, below
def whole_paths(
    simulator: Simulator,
    policy: Policy,
    draw: Draw,
    horizon: int | None,
    path_id: Callable[[int], int],
    wanted: Callable[[int, int], bool],
    interrupt: Interrupt = lambda: False,
    typical: int | None = None,
) -> Trajectories:
    """Paths from s_0 to their end or the horizon, in the slots of one block.

    `path_id(j)` names the block's j-th path; `wanted(started, steps)` says whether another one is to be started when
    `started` were and `steps` steps are spent or due: a path under way is expected to get as old as the oldest so far,
    or as `typical`, or the horizon, while none has ended. Every path that was started is finished.
    Raises NonFinite, Interrupted.
    """
    distribution, width = policy.distribution, simulator.width
    actor, bounds = policy.actor(width), Bounds.of(simulator.action_space)
    kind = np.uint8 if policy.sees_pixels else np.float32
    obs = np.zeros((width, *policy.obs_shape), kind)
    chunk = np.zeros((width, NOISE_CHUNK, distribution.noise_size), np.float32)
    running: dict[int, _Running] = {}
    finished: list[_Finished] = []
    started = steps = 0
    limit = min((steps for steps in (horizon, simulator.time_limit, typical) if steps is not None), default=0)
    while True:
        expected = max((len(path.run.rewards) for path in finished), default=limit)
        due = sum(max(0, expected - len(run.rewards)) for run in running.values())
        for slot in [slot for slot in range(width) if slot not in running]:
            if not wanted(started, steps + due):
                break
            due += expected
            path = path_id(started)
            seed = draw.streams.seeds(1, draw.iteration, draw.reset, path)
            obs[slot] = simulator.reset(np.array([slot]), seed)[0]
            noise = draw.streams.generator(draw.iteration, draw.action, path)
            running[slot] = _Running(path, noise, obs[slot].copy())
            started += 1
        if not running:
            break
        if interrupt():
            raise Interrupted
        slots = np.array(sorted(running))
        parameters = actor.parameters(obs[slots]).copy()
        ages = np.array([len(running[slot].rewards) for slot in slots])
        if draw.deterministic:
            actions = distribution.mode(parameters)
        else:
            for slot in slots[ages % NOISE_CHUNK == 0]:
                chunk[slot] = distribution.noise(running[slot].noise, (NOISE_CHUNK,))
            actions = distribution.sample_from(parameters, chunk[slots, ages % NOISE_CHUNK])
        if (bad := first_bad_action(obs[slots], parameters, actions)) is not None:
            raise NonFinite(f"slot {slots[bad[0]]}, step {ages[bad[0]]}: non-finite {bad[1]}", steps)
        now = simulator.step(None if len(slots) == width else slots, bounds.clip(actions))
        steps += len(slots)
        sound = finite_rows(now.obs)
        kept = newest(obs[slots])
        for row, slot in enumerate(slots):
            run = running[slot]
            if now.unstable[row]:
                finished.append(_Finished(run, obs[slot].copy(), False, True))
                del running[slot]
                continue
            if not np.isfinite(now.reward[row]):
                raise NonFinite(f"slot {slot}, step {len(run.rewards)}: non-finite reward", steps)
            if not sound[row]:  # the normaliser would clip an infinity, and nobody notice
                raise NonFinite(f"slot {slot}, step {len(run.rewards)}: non-finite observation", steps)
            run.obs.append(kept[row])
            run.actions.append(actions[row])
            run.old.append(parameters[row])
            run.rewards.append(float(now.reward[row]))
            obs[slot] = now.obs[row]
            if now.terminated[row] or now.truncated[row] or len(run.rewards) == horizon:
                finished.append(_Finished(run, obs[slot].copy(), bool(now.terminated[row]), False))
                del running[slot]
    return _lay_out(finished, policy, obs.dtype, steps, bounds)


def _lay_out(finished: list[_Finished], policy: Policy, kind: Any, steps: int, bounds: Bounds) -> Trajectories:
    """Finished paths in the order of their names."""
    obs_shape = policy.obs_shape
    finished = sorted(finished, key=lambda path: path.run.path)
    scored = [path for path in finished if not path.unstable]
    lengths = np.array([len(path.run.rewards) for path in scored], np.int64)
    returns = np.array([float(np.sum(path.run.rewards)) for path in scored])
    kept = [path for path in finished if path.run.rewards]
    distribution, counts = policy.distribution, [len(path.run.rewards) for path in kept]
    n = sum(counts)
    actions = np.array([a for path in kept for a in path.run.actions], distribution.action_dtype)
    actions = actions.reshape(n, *distribution.action_shape)
    return Trajectories(
        obs=along_paths([path.run.first for path in kept], [np.array(path.run.obs) for path in kept], obs_shape),
        actions=actions,
        old=np.array([u for path in kept for u in path.run.old], np.float32).reshape(n, distribution.parameter_count),
        rewards=np.array([r for path in kept for r in path.run.rewards], np.float64),
        t=np.concatenate([np.arange(count) for count in counts]) if counts else np.zeros(0, np.int64),
        start=np.cumsum([0, *counts]),
        path=np.array([path.run.path for path in kept], np.int64),
        last_obs=np.array([path.last_obs for path in kept], kind).reshape(len(kept), *obs_shape),
        terminated=np.array([path.terminated for path in kept], bool),
        episodes=Episodes(returns, lengths, 0, len(finished) - len(scored)),
        sim_steps=steps,
        clipped=bounds.count_outside(actions),
    )

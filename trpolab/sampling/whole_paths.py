"""Whole trajectories from s_0: the paper's batches, and evaluation."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from trpolab.policies import Policy
from trpolab.sampling.batch import Episodes
from trpolab.sampling.errors import Interrupted, NonFinite
from trpolab.sampling.observations import Kept, finite_rows, newest
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import ActionBounds, Interrupt, Trajectories, first_bad_action
from trpolab.simulators.base import Simulator, Transition

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
    birth: int  # what the log says of its beginning
    age: int = 0  # steps taken when a slot last came free, one that blew up not counted


@dataclass(frozen=True)
class _Finished:
    run: _Running
    last_obs: np.ndarray
    terminated: bool
    unstable: bool


class _Log:
    """What the paths of a block did, in the order in which it happened."""

    def __init__(self, policy: Policy, obs: np.ndarray):
        """Before the first step of slots that observe `obs` [G, *O]."""
        distribution = policy.distribution
        actions = np.zeros((0, *distribution.action_shape), distribution.action_dtype)
        old = np.zeros((0, distribution.parameter_count), np.float32)
        self.obs = Kept(obs)
        self.steps: list[tuple[np.ndarray, ...]] = [
            (np.zeros(0, np.int64), np.zeros(0, np.int64), actions, old, np.zeros(0))
        ]

    def see(self, obs: np.ndarray) -> np.ndarray:
        """What some paths observe before a step, [n, *O]; returns its places [n]."""
        place = self.obs.add(newest(obs))
        return np.arange(place, place + len(obs))

    def add(self, sound: np.ndarray, *rows: np.ndarray) -> None:
        """The step [n]: paths, places, actions, parameters, rewards; what is not `sound` [n] is left out."""
        self.steps.append(rows if sound.all() else tuple(values[sound] for values in rows))

    def in_order(self) -> tuple[np.ndarray, ...]:
        """[N, ...] each: the observations' places, actions, parameters and rewards, path after path by name."""
        path, *fields = (np.concatenate(values) for values in zip(*self.steps, strict=True))
        order = np.argsort(path, kind="stable")
        return tuple(values[order] for values in fields)


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
    or as `typical`, or the horizon, while fewer have ended than are under way. Every path that was started is finished.
    Raises NonFinite, Interrupted.
    """
    distribution, width = policy.distribution, simulator.width
    actor, bounds = policy.actor(width), ActionBounds.of(simulator.action_space)
    kind = np.uint8 if policy.sees_pixels else np.float32
    obs = np.zeros((width, *policy.obs_shape), kind)
    chunk = np.zeros((width, NOISE_CHUNK, distribution.noise_size), np.float32)
    running: dict[int, _Running] = {}
    finished: list[_Finished] = []
    log = _Log(policy, obs)
    started = steps = 0
    limit = min((given for given in (horizon, simulator.time_limit, typical) if given is not None), default=0)
    # of the paths under way; `obs` and the runs' own ages follow only when a path has ended
    slots = ages = names = np.zeros(0, np.int64)
    seen = obs[:0]  # what they observe
    changed = True  # whether a slot came free: nothing else lets another path begin
    while True:
        if changed:
            expected = max((path.run.age for path in finished), default=limit)
            if len(finished) < len(running):  # those that have ended so far are the short ones
                expected = max(expected, limit)
            due = sum(max(0, expected - run.age) for run in running.values())
            for slot in [slot for slot in range(width) if slot not in running]:
                if not wanted(started, steps + due):
                    break
                due += expected
                path = path_id(started)
                seed = draw.streams.seeds(1, draw.iteration, draw.reset, path)
                obs[slot] = simulator.reset(np.array([slot]), seed)[0]
                noise = draw.streams.generator(draw.iteration, draw.action, path)
                running[slot] = _Running(path, noise, log.obs.begin(obs[slot]))
                started += 1
            held = sorted(running.items())
            slots = np.array([slot for slot, _ in held], np.int64)
            ages = np.array([run.age for _, run in held], np.int64)
            names = np.array([run.path for _, run in held], np.int64)
            seen = obs[slots]
        if not running:
            break
        if interrupt():
            raise Interrupted
        places = log.see(seen)
        parameters = actor.parameters(seen).copy()
        if draw.deterministic:
            actions = distribution.mode(parameters)
        else:
            for slot in slots[ages % NOISE_CHUNK == 0]:
                chunk[slot] = distribution.noise(running[slot].noise, (NOISE_CHUNK,))
            actions = distribution.sample_from(parameters, chunk[slots, ages % NOISE_CHUNK])
        if (bad := first_bad_action(seen, parameters, actions)) is not None:
            raise NonFinite(f"slot {slots[bad[0]]}, step {ages[bad[0]]}: non-finite {bad[1]}", steps)
        now = simulator.step(None if len(slots) == width else slots, bounds.clip(actions))
        steps += len(slots)
        _require_finite(now, slots, ages, steps)
        log.add(~now.unstable, names, places, actions, parameters, now.reward.copy())
        ages = ages + ~now.unstable
        over = now.terminated | now.truncated | now.unstable | (ages == horizon if horizon is not None else False)
        if changed := bool(over.any()):
            for row, slot in enumerate(slots.tolist()):
                running[slot].age = int(ages[row])
            for row in np.flatnonzero(over).tolist():
                blown = bool(now.unstable[row])
                last = (seen if blown else now.obs)[row].copy()  # where it blew up: the state before
                finished.append(_Finished(running.pop(int(slots[row])), last, bool(now.terminated[row]), blown))
            obs[slots] = now.obs
        # the simulator may write over what it returned: of frames, the newest are kept before it does
        seen = now.obs if policy.sees_pixels else now.obs.astype(kind)
    return _lay_out(finished, log, policy, obs.dtype, steps, bounds)


def _require_finite(now: Transition, slots: np.ndarray, ages: np.ndarray, steps: int) -> None:
    """Name the first slot whose reward or observation is not finite; what a blown-up simulation says does not count."""
    reward, obs = (finite | now.unstable for finite in (np.isfinite(now.reward), finite_rows(now.obs)))
    if reward.all() and obs.all():  # the normaliser would clip an infinity, and nobody notice
        return
    row = int(np.argmin(reward & obs))
    what = "observation" if reward[row] else "reward"
    raise NonFinite(f"slot {slots[row]}, step {ages[row]}: non-finite {what}", steps)


def _lay_out(
    finished: list[_Finished], log: _Log, policy: Policy, kind: Any, steps: int, bounds: ActionBounds
) -> Trajectories:
    """Finished paths in the order of their names."""
    obs_shape = policy.obs_shape
    finished = sorted(finished, key=lambda path: path.run.path)
    kept = [path for path in finished if path.run.age]
    counts = np.array([path.run.age for path in kept], np.int64)
    sound = np.array([not path.unstable for path in kept], bool)  # whose scores are reported
    start = np.cumsum([0, *counts])
    places, actions, old, rewards = log.in_order()
    returns = [rewards[begin:end].sum() for begin, end in itertools.pairwise(start.tolist())]
    return Trajectories(
        obs=log.obs.along_paths([path.run.birth for path in kept], np.split(places, start[1:-1]) if kept else []),
        actions=actions,
        old=old,
        rewards=rewards,
        t=np.arange(len(rewards)) - np.repeat(start[:-1], counts),
        start=start,
        path=np.array([path.run.path for path in kept], np.int64),
        last_obs=np.array([path.last_obs for path in kept], kind).reshape(len(kept), *obs_shape),
        terminated=np.array([path.terminated for path in kept], bool),
        episodes=Episodes(np.array(returns)[sound], counts[sound], 0, sum(path.unstable for path in finished)),
        sim_steps=steps,
        clipped=bounds.count_outside(actions),
    )

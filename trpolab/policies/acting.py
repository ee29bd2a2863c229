"""Between a policy and a loop of the user's own: observations as a task gives them, actions as it takes them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from trpolab.numerics.arrays import clipped, finite_bounds
from trpolab.policies.actors import Actor
from trpolab.policies.frames import BRIGHTEST
from trpolab.policies.network import TILE
from trpolab.policies.parts import PolicyParts
from trpolab.settings import PlainError

UNBOUNDED = 1e15  # a bound that is as good as none


class ObservationError(PlainError):
    """An observation that a policy can't act on; the message says what it was and what may be given."""


@dataclass(frozen=True)
class ActionBounds:
    """How a policy's actions become those that a task takes: into its units, then within its bounds.

    None: there are no bounds, or the policy's units are the task's.
    """

    low: np.ndarray | None  # [*A] float32
    high: np.ndarray | None
    middle: np.ndarray | None = None  # [*A] float32: where the policy's 0 lies
    half: np.ndarray | None = None  # [*A] float32: how long its 1 is

    @staticmethod
    def of(space: spaces.Space[Any] | None, scaled: bool) -> ActionBounds:
        """Those of an action space; `scaled`: 0 is the middle of bounds on both sides, and 1 half their width."""
        if not isinstance(space, spaces.Box) or not (np.isfinite(space.low).any() or np.isfinite(space.high).any()):
            return ActionBounds(None, None)
        low, high = space.low.astype(np.float64), space.high.astype(np.float64)
        both = np.maximum(np.abs(low), np.abs(high)) < UNBOUNDED
        middle, half = np.where(both, low / 2 + high / 2, 0.0), np.where(both, high / 2 - low / 2, 1.0)
        same = not scaled or bool((middle == 0).all() and (half == 1).all())
        bounds = (low, high) if same else (low, high, middle, half)
        with np.errstate(over="ignore"):  # a bound beyond float32 is none
            return ActionBounds(*(bound.astype(np.float32) for bound in bounds))

    def in_task(self, actions: np.ndarray) -> np.ndarray:
        """Actions [..., *A] in the task's units, unclipped."""
        return actions if self.middle is None else self.middle + self.half * actions

    def clip(self, actions: np.ndarray) -> np.ndarray:
        """Actions [..., *A] in the task's units and within its bounds."""
        if self.low is None or self.high is None:
            return actions
        return np.minimum(np.maximum(self.in_task(actions), self.low), self.high)

    def count_outside(self, actions: np.ndarray) -> int:
        """How many components of actions [..., *A] lie outside."""
        if self.low is None or self.high is None:
            return 0
        actions = self.in_task(actions)
        return int(((actions < self.low) | (actions > self.high)).sum())


class Hand(threading.local):
    """What a policy acts with: an actor and a random generator for each thread, made at its first action."""

    def __init__(self, policy: PolicyParts):
        self.actor = Actor(policy, TILE)
        self.bounds = ActionBounds.of(policy.action_space, policy.scaled_actions)
        self.generator = np.random.default_rng()


def act(policy: PolicyParts, hand: Hand, obs: Any, deterministic: bool, generator: np.random.Generator | None) -> Any:
    """Actions [n, *A] at observations [n, *O], or one action at one observation, in the task's own spaces."""
    rows, single = observed(policy, obs)
    distribution = policy.distribution
    u = hand.actor.evaluate(rows)
    if deterministic:
        actions = distribution.mode(u)
    else:
        actions = distribution.sample_from(u, distribution.noise(generator or hand.generator, (len(rows),)))
    actions = in_task(policy, hand.bounds.in_task(actions))
    if not single:
        return actions
    return actions[0, ...] if isinstance(policy.action_space, spaces.Box) else actions[0]  # arrays, or whole numbers


def observed(policy: PolicyParts, obs: Any) -> tuple[np.ndarray, bool]:
    """Observations [n, *O] as the policy sees them, and whether `obs` was a single one. Raises ObservationError."""
    shape, pixels = policy.obs_shape, policy.sees_pixels
    if isinstance(obs, tuple) and any(isinstance(part, Mapping) for part in obs):
        raise ObservationError("obs is a tuple with an info: give the observation alone, as in obs, info = env.reset()")
    try:
        array = np.asarray(obs)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists, tensors that need a gradient
        raise ObservationError(f"obs is no array of numbers: {error}") from None
    if pixels and array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= BRIGHTEST:
        array = array.astype(np.uint8)
    if array.dtype.kind not in "biuf" or (pixels and array.dtype != np.uint8):
        wanted = "pictures of uint8, 0 to 255" if pixels else "numbers"
        given = f"{type(obs).__name__} {obs!r:.60}" if array.dtype.kind not in "biufc" else f"of {array.dtype}"
        raise ObservationError(f"obs is {given}: this policy observes {wanted}, of shape {list(shape)}")
    if policy.states is not None and array.dtype.kind in "iu" and array.ndim <= 1:
        return _one_hot(array, policy.states), array.ndim == 0
    if array.shape != shape and array.shape[1:] != shape:
        numbers = "" if policy.states is None else f", or whole numbers of {policy.states}"
        raise ObservationError(
            f"obs has shape {list(array.shape)}: must be {list(shape)} for one observation, or "
            f"[{', '.join(map(str, ('n', *shape)))}] for a stack of n{numbers}"
        )
    single = array.shape == shape
    rows = array[None] if single else array
    if pixels:
        return rows, single
    with np.errstate(over="ignore"):  # told below
        finite = np.isfinite(rows.astype(np.float32))
    if not finite.all():
        place = np.argwhere(~finite)[0][1 if single else 0 :].tolist()
        value = array[tuple(place)]
        raise ObservationError(f"obs{place} = {value}: must be a finite number (of 32 bits)")
    return rows, single


def in_task(policy: PolicyParts, actions: np.ndarray) -> np.ndarray:
    """Actions [n, *A], in the task's units, as it takes them: its dtype, within its bounds, from its first number on.

    Where the task's space is not known, they stay as they were sampled.
    """
    space = policy.action_space
    if isinstance(space, spaces.Box):
        return clipped(actions, *finite_bounds(space.low, space.high))
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        shown = policy.distribution.joint_action(np.zeros((), np.int64))  # the first action, as the policy counts
        return (actions - shown).astype(space.dtype) + space.start
    return actions


def _one_hot(states: np.ndarray, space: spaces.Discrete) -> np.ndarray:
    """Rows [n, S] of states [n], or of one [], as the simulators give them."""
    index = np.atleast_1d(states).astype(np.int64) - int(space.start)
    if ((index < 0) | (index >= space.n)).any():
        raise ObservationError(f"obs = {states.tolist()}: must be whole numbers of {space}")
    rows = np.zeros((len(index), int(space.n)), np.float32)
    rows[np.arange(len(index)), index] = 1
    return rows

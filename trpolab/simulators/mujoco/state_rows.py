"""The data of one MuJoCo step in NumPy: state rows, a copy by column, and buffers for the results.

Everything a full step touches is allocated once and contiguous: with 16 slots NumPy's cost is its calls, and a call on
contiguous arrays of equal shape costs a third of one that broadcasts or strides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import mujoco
import numpy as np


@dataclass(frozen=True, eq=False)
class Bounds:
    """Where an episode goes on: low < x < high, all strict, for the state's columns first .. first + B - 1."""

    first: int  # column 0 is the time, then come qpos and qvel
    low: np.ndarray  # [B]
    high: np.ndarray  # [B]


def strict_bounds(first: int, low: list[float], high: list[float]) -> Bounds:
    """Open bounds: a value on a bound is outside."""
    return Bounds(first, np.array(low), np.array(high))


def closed_bounds(first: int, low: list[float], high: list[float]) -> Bounds:
    """Closed bounds: a value on a bound is inside; an infinite bound demands a finite value."""
    below, above = np.nextafter(low, -np.inf), np.nextafter(high, np.inf)
    return Bounds(first, np.where(np.isinf(low), low, below), np.where(np.isinf(high), high, above))


@dataclass(frozen=True, eq=False)
class Layout:
    """Which columns of the state a task observes and tests."""

    size: int  # O, length of an observation
    hidden: int = 0  # leading positions that are not observed
    clip: float | None = None  # bound of the observed velocities
    bounds: Bounds | None = None  # None: an episode never ends by its state
    derived: tuple[str, ...] = ()  # MjData fields read besides the state
    contact_forces: bool = False  # reads derived["cfrc_ext"] as well, which MuJoCo computes only on request


@dataclass(frozen=True, eq=False)
class Rows:
    """n simulations during one step: views of all state rows, or copies of some. A `Meaning` fills the outputs."""

    state: np.ndarray  # [n, S] mjSTATE_INTEGRATION rows
    qpos: np.ndarray  # [n, nq]
    qvel: np.ndarray  # [n, nv]
    ctrl: np.ndarray  # [n, A]
    derived: Mapping[str, np.ndarray]  # MjData fields [n, ...] as the last substep leaves them
    mark: np.ndarray  # [n] a place remembered from the call before, for meanings that need one
    kinematic: np.ndarray  # [1 + nq + nv, n] view of the state's first columns, transposed
    columns: np.ndarray  # the same, copied by `look`: contiguous columns
    clock: np.ndarray  # [2, n] view of the state: time and qpos[0]
    before: np.ndarray  # [2, n] the clock before the step
    now: np.ndarray  # [2, n] the clock after it: a part of `columns`
    elapsed: np.ndarray  # [n] seconds that the step took
    advance: np.ndarray  # [n] by how much qpos[0] moved
    change: np.ndarray  # [2, n] both of them
    observed: np.ndarray  # [n, nq + nv - hidden] view of the state
    clips: bool  # whether the next two fields are used
    floor: np.ndarray  # like `observed`: where observed velocities are clipped
    ceiling: np.ndarray
    ends: bool  # whether the next three fields are used
    tested: np.ndarray  # [B, n] the columns that bounds hold for
    low: np.ndarray  # [B, n]
    high: np.ndarray
    above: np.ndarray  # [B, n] bool, scratch
    below: np.ndarray  # [B, n] bool, scratch
    healthy: np.ndarray  # [n] bool, out: inside all bounds
    obs: np.ndarray  # [n, O] out
    reward: np.ndarray  # [n] out
    terminated: np.ndarray  # [n] bool, out

    def remember(self) -> None:
        """Before the physics: note time and place."""
        np.copyto(self.before, self.clock)

    def look(self) -> None:
        """After the physics: copy the columns, and take the change of time and place."""
        np.copyto(self.columns, self.kinematic)
        np.subtract(self.now, self.before, out=self.change)

    def observe_state(self) -> None:
        """Fill obs with the positions not hidden and the velocities, clipped where the task clips."""
        np.copyto(self.obs, self.observed)
        if self.clips:
            np.minimum(self.obs, self.ceiling, out=self.obs)
            np.maximum(self.obs, self.floor, out=self.obs)

    def test_bounds(self) -> None:
        """Fill healthy and terminated; NaN is outside of every bound."""
        np.greater(self.tested, self.low, out=self.above)
        np.less(self.tested, self.high, out=self.below)
        np.logical_and(self.above, self.below, out=self.above)
        np.logical_and.reduce(self.above, axis=0, out=self.healthy)
        np.logical_not(self.healthy, out=self.terminated)


class Meaning(Protocol):
    """Observation, reward and end of a task. Frozen: one serves every simulator of the task."""

    @property
    def layout(self) -> Layout: ...

    def observe(self, rows: Rows) -> None:
        """Fill rows.obs."""
        ...

    def start(self, rows: Rows) -> None:
        """After a reset: fill rows.mark with what the next `judge` needs."""
        ...

    def judge(self, rows: Rows, actions: np.ndarray) -> None:
        """After a step with actions [n, A]: fill rows.reward, and rows.terminated where the task can end."""
        ...


def make_rows(
    model: mujoco.MjModel,
    layout: Layout,
    state: np.ndarray,
    ctrl: np.ndarray,
    derived: Mapping[str, np.ndarray],
    mark: np.ndarray,
) -> Rows:
    """Rows over the given arrays, with buffers of their length."""
    n, nq, width = len(state), model.nq, 1 + model.nq + model.nv
    columns, change = np.empty((width, n)), np.empty((2, n))
    observed = state[:, 1 + layout.hidden : width]
    ceiling = np.full(observed.shape, np.inf)
    if layout.clip is not None:
        ceiling[:, nq - layout.hidden :] = layout.clip
    bounds = layout.bounds or strict_bounds(0, [], [])
    tests = len(bounds.low)
    return Rows(
        state=state,
        qpos=state[:, 1 : 1 + nq],
        qvel=state[:, 1 + nq : width],
        ctrl=ctrl,
        derived=derived,
        mark=mark,
        kinematic=state[:, :width].T,
        columns=columns,
        clock=state[:, :2].T,
        before=np.empty((2, n)),
        now=columns[:2],
        elapsed=change[0],
        advance=change[1],
        change=change,
        observed=observed,
        clips=layout.clip is not None,
        floor=-ceiling,
        ceiling=ceiling,
        ends=tests > 0,
        tested=columns[bounds.first : bounds.first + tests],
        low=np.repeat(bounds.low[:, None], n, axis=1),
        high=np.repeat(bounds.high[:, None], n, axis=1),
        above=np.empty((tests, n), bool),
        below=np.empty((tests, n), bool),
        healthy=np.empty(n, bool),
        obs=np.empty((n, layout.size)),
        reward=np.empty(n),
        terminated=np.zeros(n, bool),
    )

"""The data of one MuJoCo step in NumPy: state rows, a copy by column, and buffers for the results.

Everything a full step touches is allocated once and contiguous: with 16 slots NumPy's cost is its calls, and a call on
contiguous arrays of equal shape costs a third of one that broadcasts or strides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np


@dataclass(frozen=True, eq=False)
class Bounds:
    """Where an episode goes on: low < x < high, all strict, for the state's columns first .. first + B - 1."""

    first: int  # column 0 is the time, then come qpos and qvel
    low: np.ndarray  # [B]
    high: np.ndarray  # [B]


def closed_bounds(first: int, low: list[float], high: list[float]) -> Bounds:
    """Closed bounds: a value on a bound is inside; an infinite bound demands a finite value."""
    below, above = np.nextafter(low, -np.inf), np.nextafter(high, np.inf)
    return Bounds(first, np.where(np.isinf(low), low, below), np.where(np.isinf(high), high, above))


NO_BOUNDS = Bounds(0, np.empty(0), np.empty(0))  # an episode never ends by its state


@dataclass(frozen=True, eq=False)
class Layout:
    """Which columns of the state a task observes and tests."""

    size: int  # O, length of an observation
    hidden: int = 0  # leading positions that are not observed
    clip: float = np.inf  # bound of the observed velocities
    bounds: Bounds = NO_BOUNDS
    derived: tuple[str, ...] = ()  # MjData fields read besides the state
    contact_forces: bool = False  # reads derived["cfrc_ext"] as well, which MuJoCo computes only on request


class Rows:
    """n simulations during one step, with buffers of their length. A `Meaning` fills obs, reward and terminated."""

    def __init__(
        self,
        model: mujoco.MjModel,
        layout: Layout,
        state: np.ndarray,
        ctrl: np.ndarray,
        derived: Mapping[str, np.ndarray],
        mark: np.ndarray,
    ):
        n, nq, width = len(state), model.nq, 1 + model.nq + model.nv
        bounds, tests = layout.bounds, len(layout.bounds.low)
        # What is read: views of all rows of a simulator, or copies of some.
        self.state = state  # [n, S] mjSTATE_INTEGRATION rows
        self.qpos = state[:, 1 : 1 + nq]  # [n, nq]
        self.qvel = state[:, 1 + nq : width]  # [n, nv]
        self.ctrl = ctrl  # [n, A]
        self.derived = derived  # MjData fields [n, ...] as the last substep leaves them
        self.mark = mark  # [n] a place remembered from the call before, for meanings that need one
        self.kinematic = state[:, :width].T  # [1 + nq + nv, n] view of the state's first columns
        self.columns = np.empty((width, n))  # the same, copied by `look`: contiguous columns
        # Time and qpos[0].
        self.clock = state[:, :2].T  # [2, n] view of the state
        self.before = np.empty((2, n))  # the clock before the step
        self.now = self.columns[:2]  # the clock after it
        self.change = np.empty((2, n))
        self.elapsed = self.change[0]  # [n] seconds that the step took
        self.advance = self.change[1]  # [n] by how much qpos[0] moved
        # What is observed of the state, [n, nq + nv - hidden], and where its velocities are clipped.
        self.observed = state[:, 1 + layout.hidden : width]
        self.clips = layout.clip < np.inf
        self.ceiling = np.full(self.observed.shape, np.inf)
        self.ceiling[:, nq - layout.hidden :] = layout.clip
        self.floor = -self.ceiling
        # The columns that bounds hold for, [B, n].
        self.ends = tests > 0
        self.tested = self.columns[bounds.first : bounds.first + tests]
        self.low = np.repeat(bounds.low[:, None], n, axis=1)
        self.high = np.repeat(bounds.high[:, None], n, axis=1)
        self.above, self.below = np.empty((2, tests, n), bool)  # scratch
        self.healthy = np.empty(n, bool)  # inside all bounds
        self.obs = np.empty((n, layout.size))
        self.reward = np.empty(n)
        self.terminated = np.zeros(n, bool)

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


@dataclass(frozen=True, eq=False)
class Meaning:
    """Observation, reward and end of a task. One serves every simulator of the task."""

    layout: Layout

    def observe(self, rows: Rows) -> None:
        """Fill rows.obs: with what the layout shows of the state, unless a task says otherwise."""
        rows.observe_state()

    def start(self, rows: Rows) -> None:
        """After a reset: fill rows.mark with what the next `judge` needs, if it needs anything."""

    def judge(self, rows: Rows, actions: np.ndarray) -> None:
        """After a step with actions [n, A]: fill rows.reward, and rows.terminated where the task can end."""
        raise NotImplementedError

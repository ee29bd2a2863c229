"""What the MuJoCo tasks mean: observation, reward and end, in the arithmetic order of Gymnasium's v5 environments.

Bit equality with Gymnasium rests on that order and on dtypes: the control cost has the actions' dtype (float32 from the
sampler), everything else is float64. Each `judge` reads `Rows` after the physics and fills its outputs in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import mujoco
import numpy as np


@dataclass
class Rows:
    """n simulations during one step: views of all state rows, or copies of some. Outputs are written by a `Meaning`."""

    state: np.ndarray  # [n, S] mjSTATE_INTEGRATION rows, time first, then qpos, qvel
    qpos: np.ndarray  # [n, nq]
    qvel: np.ndarray  # [n, nv]
    derived: Mapping[str, np.ndarray]  # MjData fields by name [n, ...] as `mj_step` leaves them
    mark: np.ndarray  # [n] a place remembered from the call before, where the meaning needs one
    before: np.ndarray  # [n, 2] time and qpos[0] before the step
    change: np.ndarray  # [n, 2] by how much they moved
    obs: np.ndarray  # [n, O] out
    reward: np.ndarray  # [n] out
    terminated: np.ndarray  # [n] bool, out
    healthy: np.ndarray  # [n] bool, scratch
    inside: np.ndarray  # [n, B] bool, scratch: bound by bound
    below: np.ndarray  # [n, B] bool, scratch


class Meaning(Protocol):
    """Observation, reward and end of a task. Frozen: one serves every simulator of the task."""

    derived: tuple[str, ...]  # MjData fields that it reads besides the state row
    contact_forces: bool  # whether it reads derived["cfrc_ext"], which MuJoCo computes only on request
    bounds: Bounds | None  # the states in which an episode goes on

    def size(self, model: mujoco.MjModel) -> int:
        """O, the length of an observation."""
        ...

    def observe(self, rows: Rows) -> None:
        """Fill rows.obs from the state."""
        ...

    def start(self, rows: Rows) -> None:
        """Remember in rows.mark, after a reset, what the next `judge` needs."""
        ...

    def judge(self, rows: Rows, actions: np.ndarray) -> None:
        """Fill rows.reward and rows.terminated for one step with `actions` [n, A]."""
        ...


@dataclass(frozen=True, eq=False)
class Bounds:
    """low < x < high, all strict, for the state row's columns first .. first + B - 1 (column 0 is the time)."""

    first: int
    low: np.ndarray  # [B]
    high: np.ndarray  # [B]

    def test(self, rows: Rows) -> np.ndarray:
        """Which rows lie inside [n]; NaN lies outside."""
        values = rows.state[:, self.first : self.first + len(self.low)]
        np.greater(values, self.low, out=rows.inside)
        np.less(values, self.high, out=rows.below)
        np.logical_and(rows.inside, rows.below, out=rows.inside)
        return np.logical_and.reduce(rows.inside, axis=1, out=rows.healthy)


def strict_bounds(first: int, low: list[float], high: list[float]) -> Bounds:
    """Bounds as given, themselves outside."""
    return Bounds(first, np.array(low), np.array(high))


def closed_bounds(first: int, low: list[float], high: list[float]) -> Bounds:
    """Bounds as given, themselves inside."""
    return Bounds(first, np.nextafter(low, -np.inf), np.nextafter(high, np.inf))


def control_cost(actions: np.ndarray, weight: float) -> np.ndarray:
    """weight * |a|^2 per row [n], in the dtype of the actions (C-contiguous [n, A])."""
    cost: np.ndarray = np.add.reduce(np.square(actions), axis=1)
    cost *= weight
    return cost


@dataclass(frozen=True, eq=False)
class Runner:
    """Gymnasium's planar runners: forward speed, pay for being healthy, control cost."""

    dt: float  # seconds of one decision
    hidden: int  # leading positions that are not observed
    control_weight: float
    clip: float | None = None  # bound of the observed velocities
    bounds: Bounds | None = None  # None: an episode never ends by itself
    derived: tuple[str, ...] = ()
    contact_forces: bool = False

    def size(self, model: mujoco.MjModel) -> int:
        return int(model.nq + model.nv - self.hidden)

    def observe(self, rows: Rows) -> None:
        np.copyto(rows.obs, rows.state[:, 1 + self.hidden : 1 + self.hidden + rows.obs.shape[1]])
        if self.clip is not None:
            velocities = rows.obs[:, rows.qpos.shape[1] - self.hidden :]
            np.minimum(velocities, self.clip, out=velocities)
            np.maximum(velocities, -self.clip, out=velocities)

    def start(self, rows: Rows) -> None:
        """The place before a step is read from the state row."""

    def judge(self, rows: Rows, actions: np.ndarray) -> None:
        reward = np.divide(rows.change[:, 1], self.dt, out=rows.reward)
        if self.bounds is not None:
            healthy = self.bounds.test(rows)
            reward += healthy  # healthy_reward is 1; v5 does not pay it for the step that ends the episode
            np.logical_not(healthy, out=rows.terminated)
        reward -= control_cost(actions, self.control_weight)


@dataclass(frozen=True, eq=False)
class Starts:
    """Noise on the first state: uniform positions, uniform or normal velocities, drawn in that order."""

    positions: float
    velocities: float
    normal: bool = False  # velocities

    def draw(self, rng: np.random.Generator, model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
        """qpos [nq] and qvel [nv] of an episode's start."""
        qpos = model.qpos0 + rng.uniform(low=-self.positions, high=self.positions, size=model.nq)
        if self.normal:
            return qpos, self.velocities * rng.standard_normal(model.nv)
        return qpos, rng.uniform(low=-self.velocities, high=self.velocities, size=model.nv)


@dataclass(frozen=True, eq=False)
class MujocoTask:
    """One MuJoCo task: a model, how long a decision lasts, where episodes start, and what it all means."""

    name: str
    file: str
    frame_skip: int
    starts: Any  # has draw(rng, model)
    meaning: Meaning
    time_limit: int = 1000
    view: str = "xz"
    follow: int | None = 1
    defaults: dict[str, Any] = field(default_factory=dict)
    paper_defaults: dict[str, Any] = field(default_factory=dict)

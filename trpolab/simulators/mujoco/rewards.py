"""Observations, rewards and ends of the MuJoCo tasks, in the arithmetic order of Gymnasium's v5 environments.

Bit equality with Gymnasium rests on that order and on dtypes: a control cost has the actions' dtype (float32 from the
sampler), everything else is float64. Fields of MjData are read as the last substep leaves them, as Gymnasium does:
under RK4 they describe the fourth stage, not the new state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trpolab.simulators.mujoco.model import load_model
from trpolab.simulators.mujoco.state_rows import Meaning, Rows

FINGERTIP, TARGET = 3, 4  # bodies of reacher.xml
TIPS, OBJECT, GOAL = 10, 11, 12  # bodies of pusher_v5.xml


def control_cost(actions: np.ndarray, weight: float) -> np.ndarray:
    """weight |a|^2 per row [n], in the dtype of the actions (C-contiguous [n, A])."""
    cost: np.ndarray = np.add.reduce(np.square(actions), axis=1)
    cost *= weight
    return cost


@dataclass(frozen=True, eq=False)
class Runner(Meaning):
    """Swimmer, Hopper, Walker2d, HalfCheetah: forward speed, 1 while healthy, minus the control cost."""

    dt: float  # seconds of one decision
    control_weight: float

    def judge(self, rows: Rows, actions: np.ndarray) -> None:
        reward = np.divide(rows.advance, self.dt, out=rows.reward)
        if rows.ends:
            rows.test_bounds()
            reward += rows.healthy  # v5 does not pay it for the step that ends the episode
        reward -= control_cost(actions, self.control_weight)


@dataclass(frozen=True, eq=False)
class PaperRunner(Meaning):
    """The paper's swimmer, hopper and walker (Section 8.1): v_x - 1e-5 |u|^2 with torques u = gear * a.

    Hopper and walker get 1 more for every step, the last included. The walker pays for impacts of its feet:
    `impact_weight` * |F|^2, with F the whole ground reaction in newtons, which is the constraint force on the root's
    two slides because these have no limits. The paper prints no coefficient; ours is the catalogue's.
    """

    dt: float
    gear: np.ndarray  # [A] newton metres per unit of action
    alive: float
    impact_weight: float = 0.0

    def judge(self, rows: Rows, actions: np.ndarray) -> None:
        reward = np.divide(rows.advance, self.dt, out=rows.reward)
        reward += self.alive
        reward -= control_cost(self.gear * actions, 1e-5)
        if self.impact_weight:
            ground = np.square(rows.derived["qfrc_constraint"][:, :2])
            reward -= self.impact_weight * (ground[:, 0] + ground[:, 1])
        if rows.ends:
            rows.test_bounds()


@dataclass(frozen=True, eq=False)
class Balancer(Meaning):
    """InvertedPendulum: 1 for every step after which the pole still stands."""

    def judge(self, rows: Rows, actions: np.ndarray) -> None:
        rows.test_bounds()
        np.copyto(rows.reward, rows.healthy)


@dataclass(frozen=True, eq=False)
class DoubleBalancer(Meaning):
    """InvertedDoublePendulum: 10 while the tip is above 1 m, minus its distance from (0, 2) and the joints' speed."""

    def observe(self, rows: Rows) -> None:
        angles = np.ascontiguousarray(rows.qpos[:, 1:])
        rows.obs[:, 0] = rows.qpos[:, 0]
        rows.obs[:, 1:3] = np.sin(angles)
        rows.obs[:, 3:5] = np.cos(angles)
        rows.obs[:, 5:8] = np.clip(rows.qvel, -10, 10)
        rows.obs[:, 8] = np.clip(rows.derived["qfrc_constraint"][:, 0], -10, 10)

    def judge(self, rows: Rows, actions: np.ndarray) -> None:
        tips = rows.derived["site_xpos"][:, 0]
        np.less_equal(tips[:, 2], 1, out=rows.terminated)
        # By number, not by array: NumPy squares arrays by multiplying and single numbers by `pow`, which differ in the
        # last bit, and Gymnasium has single numbers.
        for n, ((x, _, y), (_, v1, v2)) in enumerate(zip(tips.tolist(), rows.qvel.tolist(), strict=True)):
            distance = 0.01 * x**2 + (y - 2) ** 2
            speed = 1e-3 * v1**2 + 5e-3 * v2**2
            rows.reward[n] = 10.0 * (not y <= 1) - distance - speed


@dataclass(frozen=True, eq=False)
class Reacher(Meaning):
    """Reacher: minus the fingertip's distance from the target, minus the squared action. Only a time limit ends it."""

    def observe(self, rows: Rows) -> None:
        angles = np.ascontiguousarray(rows.qpos[:, :2])
        rows.obs[:, 0:2] = np.cos(angles)
        rows.obs[:, 2:4] = np.sin(angles)
        rows.obs[:, 4:6] = rows.qpos[:, 2:]
        rows.obs[:, 6:8] = rows.qvel[:, :2]
        rows.obs[:, 8:10] = self._reach(rows)[:, :2]

    def judge(self, rows: Rows, actions: np.ndarray) -> None:
        reach = self._reach(rows)
        # vecdot calls BLAS row by row as Gymnasium's norm of one vector does.
        np.negative(np.sqrt(np.vecdot(reach, reach)), out=rows.reward)
        np.subtract(rows.reward, control_cost(actions, 1), out=rows.reward)

    def _reach(self, rows: Rows) -> np.ndarray:
        places = rows.derived["xpos"]
        reach: np.ndarray = places[:, FINGERTIP] - places[:, TARGET]
        return reach


@dataclass(frozen=True, eq=False)
class Pusher(Meaning):
    """Pusher: the object's distances from its goal and (half) from the fingertip, and the control cost, negated."""

    def observe(self, rows: Rows) -> None:
        rows.obs[:, 0:7] = rows.qpos[:, :7]
        rows.obs[:, 7:14] = rows.qvel[:, :7]
        rows.obs[:, 14:] = rows.derived["xpos"][:, (TIPS, OBJECT, GOAL)].reshape(len(rows.obs), -1)

    def judge(self, rows: Rows, actions: np.ndarray) -> None:
        places = rows.derived["xpos"]
        apart, away = places[:, OBJECT] - places[:, TIPS], places[:, OBJECT] - places[:, GOAL]
        np.negative(np.sqrt(np.vecdot(away, away)), out=rows.reward)
        np.subtract(rows.reward, control_cost(actions, 0.1), out=rows.reward)
        rows.reward -= 0.5 * np.sqrt(np.vecdot(apart, apart))


@dataclass(frozen=True, eq=False)
class Ant(Meaning):
    """Ant: the torso's forward speed, 1 while healthy, minus control and contact costs."""

    dt: float

    def observe(self, rows: Rows) -> None:
        state = rows.observed.shape[1]
        rows.obs[:, :state] = rows.observed
        forces = rows.derived["cfrc_ext"][:, 1:].reshape(len(rows.obs), -1)
        np.clip(forces, -1.0, 1.0, out=rows.obs[:, state:])

    def start(self, rows: Rows) -> None:
        rows.mark[:] = rows.derived["xpos"][:, 1, 0]

    def judge(self, rows: Rows, actions: np.ndarray) -> None:
        place = rows.derived["xpos"][:, 1, 0]
        rows.test_bounds()
        forces = np.clip(rows.derived["cfrc_ext"], -1.0, 1.0).reshape(len(place), -1)
        contact_cost = 5e-4 * np.add.reduce(np.square(forces), axis=1)
        reward = np.divide(place - rows.mark, self.dt, out=rows.reward)
        reward += rows.healthy
        reward -= control_cost(actions, 0.5) + contact_cost
        rows.mark[:] = place


@dataclass(frozen=True, eq=False)
class Humanoid(Meaning):
    """Humanoid: 1.25 times the centre of mass's forward speed, 5 while healthy, minus control and contact costs."""

    dt: float

    def observe(self, rows: Rows) -> None:
        derived, n = rows.derived, len(rows.obs)
        parts = (
            rows.observed,
            derived["cinert"][:, 1:].reshape(n, -1),
            derived["cvel"][:, 1:].reshape(n, -1),
            derived["qfrc_actuator"][:, 6:],
            derived["cfrc_ext"][:, 1:].reshape(n, -1),
        )
        np.concatenate(parts, axis=1, out=rows.obs)

    def start(self, rows: Rows) -> None:
        rows.mark[:] = self._place(rows)

    def judge(self, rows: Rows, actions: np.ndarray) -> None:
        place = self._place(rows)
        rows.test_bounds()
        forces = np.ascontiguousarray(rows.derived["cfrc_ext"]).reshape(len(place), -1)
        contact_cost = np.clip(5e-7 * np.add.reduce(np.square(forces), axis=1), -np.inf, 10.0)
        reward = np.multiply(1.25, (place - rows.mark) / self.dt, out=rows.reward)
        reward += 5.0 * rows.healthy
        reward -= control_cost(np.ascontiguousarray(rows.ctrl), 0.1) + contact_cost
        rows.mark[:] = place

    def _place(self, rows: Rows) -> np.ndarray:
        """x of the centre of mass [n]; row by row, so that the order of the sums does not depend on n."""
        masses = load_model("humanoid.xml").body_mass  # [bodies] kg
        total = masses.sum()
        return np.array([(np.einsum("b,bj->j", masses, body) / total)[0] for body in rows.derived["xipos"]])

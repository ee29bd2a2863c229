"""The MuJoCo tasks by name: Gymnasium's v5 environments, and the TRPO paper's swimmer, hopper and walker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import mujoco
import numpy as np

from trpolab.simulators.mujoco.model import load_model
from trpolab.simulators.mujoco.rewards import Ant, Balancer, DoubleBalancer, Humanoid, PaperRunner, Reacher, Runner
from trpolab.simulators.mujoco.state_rows import Bounds, Layout, Meaning, closed_bounds, strict_bounds


class Starts(Protocol):
    """Where episodes start."""

    def draw(self, rng: np.random.Generator, model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
        """qpos [nq] and qvel [nv], drawn in Gymnasium's order."""
        ...


@dataclass(frozen=True)
class Noise:
    """The model's own pose plus noise: uniform positions, uniform or normal velocities, drawn in that order."""

    positions: float
    velocities: float
    normal: bool = False  # velocities

    def draw(self, rng: np.random.Generator, model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
        qpos = model.qpos0 + rng.uniform(low=-self.positions, high=self.positions, size=model.nq)
        if self.normal:
            return qpos, self.velocities * rng.standard_normal(model.nv)
        return qpos, rng.uniform(low=-self.velocities, high=self.velocities, size=model.nv)


@dataclass(frozen=True)
class ReachNoise:
    """Reacher: a noisy pose, and a target drawn until it lies within 0.2 m."""

    def draw(self, rng: np.random.Generator, model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
        qpos = rng.uniform(low=-0.1, high=0.1, size=model.nq) + model.qpos0
        goal = rng.uniform(low=-0.2, high=0.2, size=2)
        while np.linalg.norm(goal) >= 0.2:
            goal = rng.uniform(low=-0.2, high=0.2, size=2)
        qpos[-2:] = goal
        qvel = rng.uniform(low=-0.005, high=0.005, size=model.nv)
        qvel[-2:] = 0
        return qpos, qvel


@dataclass(frozen=True, eq=False)
class MujocoTask:
    """One MuJoCo task: a model, how long a decision lasts, where episodes start, observations, rewards and ends."""

    name: str
    file: str
    frame_skip: int
    starts: Starts
    meaning: Meaning
    time_limit: int = 1000
    view: str = "xz"
    follow: int | None = 1  # body
    defaults: dict[str, Any] = field(default_factory=dict)
    paper_defaults: dict[str, Any] = field(default_factory=dict)


_PLANAR = Noise(0.005, 0.005)
_SWIMMING = Noise(0.1, 0.1)
_INFINITE = float("inf")

# A penalty per squared newton on the walker's ground reaction: standing costs 0.006 a step, an impact of 2 kN 0.4.
IMPACT_WEIGHT = 1e-7

_VINE = {"vine.trunks": 16, "vine.trunk_length": 1000, "vine.actions": 4, "vine.tail_value": False}
# Table 2 of the paper. Its walker column prints 1M steps beside 10,000 paths of 1,000 steps; we take the former.
_TABLE_2: dict[str, dict[str, Any]] = {
    name: {
        "iterations": 200,
        "steps_per_iteration": steps,
        "hidden": (hidden,),
        "path.horizon": 1000,
        **_VINE,
        "vine.states": states,
        "vine.rollout_length": length,
    }
    for name, steps, hidden, states, length in (
        ("swimmer", 50_000, 30, 125, 50),
        ("hopper", 1_000_000, 50, 625, 100),
        ("walker", 1_000_000, 50, 625, 100),
    )
}


def _hopper_bounds() -> Bounds:
    """z > 0.7, |angle| < 0.2, every further entry of the state within 100."""
    return strict_bounds(2, [0.7, -0.2, *[-100.0] * 9], [_INFINITE, 0.2, *[100.0] * 9])


def _walker_bounds() -> Bounds:
    """0.8 < z < 2, |angle| < 1."""
    return strict_bounds(2, [0.8, -1.0], [2.0, 1.0])


def _hopper(name: str) -> MujocoTask:
    meaning = Runner(Layout(11, hidden=1, clip=10.0, bounds=_hopper_bounds()), 0.002 * 4, 1e-3)
    return MujocoTask(name, "hopper.xml", 4, _PLANAR, meaning, paper_defaults=_TABLE_2["hopper"])


def _walker(name: str) -> MujocoTask:
    meaning = Runner(Layout(17, hidden=1, clip=10.0, bounds=_walker_bounds()), 0.002 * 4, 1e-3)
    return MujocoTask(name, "walker2d_v5.xml", 4, _PLANAR, meaning, paper_defaults=_TABLE_2["walker"])


def _swimmer(name: str) -> MujocoTask:
    meaning = Runner(Layout(8, hidden=2), 0.01 * 4, 1e-4)
    # At γ = 0.995 and below the swimmer finds no lasting gait: the reward of its stroke comes too late.
    suited = {"gamma": 0.9999}
    return MujocoTask(
        name, "swimmer.xml", 4, _SWIMMING, meaning, view="xy", defaults=suited, paper_defaults=_TABLE_2["swimmer"]
    )


def _half_cheetah(name: str) -> MujocoTask:
    meaning = Runner(Layout(17, hidden=1), 0.01 * 5, 0.1)
    return MujocoTask(name, "half_cheetah.xml", 5, Noise(0.1, 0.1, normal=True), meaning)


def _inverted_pendulum(name: str) -> MujocoTask:
    wide = _INFINITE
    bounds = closed_bounds(1, [-wide, -0.2, -wide, -wide], [wide, 0.2, wide, wide])
    suited = {"steps_per_iteration": 1024, "policy.log_std": 0.0}
    return MujocoTask(
        name,
        "inverted_pendulum.xml",
        2,
        Noise(0.01, 0.01),
        Balancer(Layout(4, bounds=bounds)),
        follow=None,
        defaults=suited,
    )


def _inverted_double_pendulum(name: str) -> MujocoTask:
    layout = Layout(9, derived=("site_xpos", "qfrc_constraint"))
    noise = Noise(0.1, 0.1, normal=True)
    return MujocoTask(name, "inverted_double_pendulum.xml", 5, noise, DoubleBalancer(layout), follow=None)


def _reacher(name: str) -> MujocoTask:
    model = load_model("reacher.xml")
    meaning = Reacher(Layout(10, derived=("xpos",)), model.body("fingertip").id, model.body("target").id)
    return MujocoTask(name, "reacher.xml", 2, ReachNoise(), meaning, time_limit=50, view="xy", follow=None)


def _ant(name: str) -> MujocoTask:
    model = load_model("ant.xml")
    low, high = np.full(model.nq + model.nv, -_INFINITE), np.full(model.nq + model.nv, _INFINITE)
    low[2], high[2] = 0.2, 1.0  # z
    layout = Layout(
        size=model.nq - 2 + model.nv + 6 * (model.nbody - 1),
        hidden=2,
        bounds=closed_bounds(1, low.tolist(), high.tolist()),
        derived=("xpos",),
        contact_forces=True,
    )
    return MujocoTask(name, "ant.xml", 5, Noise(0.1, 0.1, normal=True), Ant(layout, 0.01 * 5))


def _humanoid(name: str) -> MujocoTask:
    model = load_model("humanoid.xml")
    layout = Layout(
        size=model.nq - 2 + model.nv + (10 + 6 + 6) * (model.nbody - 1) + model.nv - 6,
        hidden=2,
        bounds=strict_bounds(3, [1.0], [2.0]),
        derived=("cinert", "cvel", "qfrc_actuator", "xipos"),
        contact_forces=True,
    )
    meaning = Humanoid(layout, 0.003 * 5, model.body_mass.copy())
    return MujocoTask(name, "humanoid.xml", 5, Noise(0.01, 0.01), meaning)


def _paper_swimmer(name: str) -> MujocoTask:
    meaning = PaperRunner(Layout(10), 0.01 * 4, np.full(2, 150.0), alive=0.0)
    # γ = 0.99 rewards a surge of ten seconds; a lasting gait needs a longer view.
    return MujocoTask(
        name,
        "swimmer.xml",
        4,
        _SWIMMING,
        meaning,
        view="xy",
        defaults={"gamma": 0.999},
        paper_defaults=_TABLE_2["swimmer"],
    )


def _paper_hopper(name: str) -> MujocoTask:
    layout = Layout(12, clip=10.0, bounds=_hopper_bounds())
    meaning = PaperRunner(layout, 0.002 * 4, np.full(3, 200.0), alive=1.0)
    suited = {"vine.trunk_length": 250, "vine.states": 30}
    return MujocoTask(name, "hopper.xml", 4, _PLANAR, meaning, defaults=suited, paper_defaults=_TABLE_2["hopper"])


def _paper_walker(name: str) -> MujocoTask:
    layout = Layout(18, clip=10.0, bounds=_walker_bounds(), derived=("qfrc_constraint",))
    meaning = PaperRunner(layout, 0.002 * 4, np.full(6, 100.0), alive=1.0, impact_weight=IMPACT_WEIGHT)
    return MujocoTask(name, "walker2d_v5.xml", 4, _PLANAR, meaning, paper_defaults=_TABLE_2["walker"])


_MAKERS: dict[str, Callable[[str], MujocoTask]] = {
    "paper/Swimmer": _paper_swimmer,
    "paper/Hopper": _paper_hopper,
    "paper/Walker": _paper_walker,
    "Swimmer-v5": _swimmer,
    "Hopper-v5": _hopper,
    "Walker2d-v5": _walker,
    "HalfCheetah-v5": _half_cheetah,
    "InvertedPendulum-v5": _inverted_pendulum,
    "InvertedDoublePendulum-v5": _inverted_double_pendulum,
    "Reacher-v5": _reacher,
    "Ant-v5": _ant,
    "Humanoid-v5": _humanoid,
}


@cache
def mujoco_task(name: str) -> MujocoTask:
    """A MuJoCo task by name. Raises KeyError for a name that is not one of them."""
    return _MAKERS[name](name)

"""The cart and pole of Barto, Sutton and Anderson (1983), all slots at once in NumPy.

`CartPole-v1` equals Gymnasium's bit for bit. `paper/CartPole` is the continuous task that the TRPO paper's cart-pole
most likely was: its policy has six parameters (four weights, a bias, a log standard deviation), which only a Gaussian
force on a linear policy has, and its reward per step reaches 10. The rest is rllab's: 10 - (1 - cos θ) - 1e-5 u^2 while
the pole stands, |u| <= 10 N, a decision every 0.05 s, ends at |x| > 2.4 m or |θ| > 0.2. The limit of 500 steps is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete

from trpolab.simulators.base import Scene, Snapshot, Task, TaskSimulator, Transition, geom, refuse_misfit
from trpolab.simulators.registry import SimulatorKind

GRAVITY = 9.8
CART_MASS = 1.0
POLE_MASS = 0.1
TOTAL_MASS = POLE_MASS + CART_MASS
HALF_LENGTH = 0.5  # of the pole, metres
POLE_MOMENT = POLE_MASS * HALF_LENGTH
PUSH = 10.0  # newtons
TRACK = 2.4  # metres to either side
TIME_LIMIT = 500  # steps


@dataclass(frozen=True)
class Rules:
    """What differs between the two cart-pole tasks."""

    time_step: float  # seconds of one Euler step
    substeps: int  # Euler steps of one decision
    angle: float  # radians: the episode ends beyond
    continuous: bool  # a force in newtons, or 0 and 1 for a push left and right


GYMNASIUM = Rules(time_step=0.02, substeps=1, angle=12 * 2 * math.pi / 360, continuous=False)
# rllab's cart-pole decides every 0.05 s; two Euler steps keep about the step length of the 1983 paper (0.02 s).
PAPER = Rules(time_step=0.025, substeps=2, angle=0.2, continuous=True)


class CartPoleSimulator(TaskSimulator):
    """W slots of a cart-pole task, one of TASKS (see `Simulator`)."""

    def __init__(self, name: str, slots: int):
        super().__init__(describe(name), slots)
        self._rules = TASKS[name][0]
        self._state = np.zeros((4, slots))  # x, its velocity, θ, its velocity: one contiguous row each
        self._steps = np.zeros(slots, np.int64)

    @property
    def scene(self) -> Scene | None:
        """A track, a cart and a pole."""
        return replace(SCENE, seconds=self._rules.time_step * self._rules.substeps)

    def reset(self, slots: np.ndarray | None, seeds: np.ndarray) -> np.ndarray:
        """Start new episodes with all four numbers uniform in +-0.05, as Gymnasium draws them. Obs [n, 4]."""
        self._refuse_seeds(slots, seeds)
        where = self._where(slots)
        draws = [np.random.default_rng(int(seed)).uniform(low=-0.05, high=0.05, size=(4,)) for seed in seeds]
        self._state[:, where] = np.array(draws).reshape(-1, 4).T
        self._steps[where] = 0
        return self._observe(where)

    def step(self, slots: np.ndarray | None, actions: np.ndarray) -> Transition:
        """Advance by one decision: actions [n] in {0, 1}, or forces [n, 1] in newtons."""
        refuse_misfit(self.action_space, actions, self._count(slots))
        where = self._where(slots)
        state = self._state[:, where]
        force = actions[:, 0].astype(np.float64) if self._rules.continuous else np.where(actions == 1, PUSH, -PUSH)
        for _ in range(self._rules.substeps):
            state = _euler(state, force, self._rules.time_step)
        self._state[:, where] = state
        x, theta = state[0], state[2]
        alive = (np.abs(x) <= TRACK) & (np.abs(theta) <= self._rules.angle)
        reward = _rllab_reward(theta, force, alive) if self._rules.continuous else np.ones(len(x))
        steps = self._steps[where] + 1
        self._steps[where] = steps
        return Transition(self._observe(where), reward, ~alive, steps >= TIME_LIMIT, unstable=np.zeros(len(x), bool))

    def snapshot(self, slots: np.ndarray | None) -> Snapshot:
        """The four state variables and the step counter."""
        where = self._where(slots)
        return Snapshot({"state": self._state[:, where].T.copy(), "steps": self._steps[where].copy()})

    def restore(self, slots: np.ndarray | None, snapshot: Snapshot, seeds: np.ndarray | None = None) -> np.ndarray:
        """Copy saved states into the slots. Nothing is drawn after the start, so `seeds` change nothing."""
        self._refuse_states(slots, snapshot, 4)
        where = self._where(slots)
        self._state[:, where] = snapshot.parts["state"].T
        self._steps[where] = snapshot.parts["steps"]
        return self._observe(where)

    def poses(self, slots: np.ndarray | None) -> np.ndarray:
        """World poses [n, 3, 7] of track, cart and pole in the xz plane; a positive θ leans towards +x."""
        x, _, theta, _ = self._state[:, self._where(slots)]
        poses = np.zeros((len(x), 3, 7))
        poses[:, :, 3] = 1.0
        poses[:, 1:, 0] = x[:, None]
        poses[:, 2, 3], poses[:, 2, 5] = np.cos(theta / 2), np.sin(theta / 2)  # rotation about +y
        return poses

    def _observe(self, slots: np.ndarray | slice) -> np.ndarray:
        return np.ascontiguousarray(self._state[:, slots].T, dtype=np.float32)


def _euler(state: np.ndarray, force: np.ndarray, time_step: float) -> np.ndarray:
    """One explicit Euler step of [4, n]; the order of operations is Gymnasium's, for bit equality."""
    x, x_dot, theta, theta_dot = state
    cosine, sine = np.cos(theta), np.sin(theta)
    push = (force + POLE_MOMENT * np.square(theta_dot) * sine) / TOTAL_MASS
    theta_acc = (GRAVITY * sine - cosine * push) / (
        HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * np.square(cosine) / TOTAL_MASS)
    )
    x_acc = push - POLE_MOMENT * theta_acc * cosine / TOTAL_MASS
    after = np.empty_like(state)
    after[0] = x + time_step * x_dot
    after[1] = x_dot + time_step * x_acc
    after[2] = theta + time_step * theta_dot
    after[3] = theta_dot + time_step * theta_acc
    return after


def _rllab_reward(theta: np.ndarray, force: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """10 - (1 - cos θ) - 1e-5 u^2 while the pole stands, 0 for the step that ends the episode."""
    reward: np.ndarray = (10.0 - (1.0 - np.cos(theta)) - 1e-5 * np.square(force)) * alive
    return reward


SCENE = Scene(
    bodies=("track", "cart", "pole"),
    geoms=(
        geom("box", [TRACK + 0.3, 0.02, 0.01], [0.55, 0.6, 0.65, 1.0], 0, [0.0, 0.0, -0.12]),
        geom("box", [0.25, 0.1, 0.1], [0.25, 0.45, 0.7, 1.0], 1, [0.0, 0.0, 0.0]),
        geom("capsule", [0.04, HALF_LENGTH, 0.0], [0.85, 0.55, 0.25, 1.0], 2, [0.0, 0.0, HALF_LENGTH]),
    ),
    flat=True,
)

_VINE = {"vine.trunks": 2, "vine.trunk_length": 500, "vine.states": 50, "vine.rollout_length": 20}
_SUITED = {"steps_per_iteration": 1024, "gamma": 0.99, "lam": 0.95, **_VINE}
_PAPER = {"steps_per_iteration": 5000, "hidden": (), "path.horizon": 500, "iterations": 50}
_LINEAR = {"hidden": (), "policy.log_std": 1.0}
_NEWTONS = {"policy.scale_actions": False}  # in which σ and the searches' deviations are given
# Searches over θ start this wide where observations are not normalised: angles are small, so gains must be large.
_RAW = {"cem.std": 10.0, "cma_es.sigma": 5.0, "reps.std": 20.0}
TASKS: dict[str, tuple[Rules, dict[str, Any], dict[str, Any]]] = {
    # with δ = 0.02 or λ = 0.98 single seeds fall back after they have solved it
    "CartPole-v1": (GYMNASIUM, {**_SUITED, "delta": 0.01, "slots": 16, "proposal": "all"}, _PAPER),
    "paper/CartPole": (PAPER, {**_SUITED, **_LINEAR, **_NEWTONS, "reps.std": 2.0}, {**_PAPER, **_LINEAR, **_RAW}),
}


def describe(name: str) -> Task:
    """The task of this name, one of TASKS."""
    rules, defaults, paper_defaults = TASKS[name]
    high = np.array([TRACK * 2, np.inf, rules.angle * 2, np.inf], np.float32)
    actions: Space = Box(-PUSH, PUSH, (1,), np.float32) if rules.continuous else Discrete(2)
    observations = Box(-high, high, dtype=np.float32)
    presets: dict[str, Any] = {"defaults": defaults, "paper_defaults": paper_defaults}
    return Task(name, observations, actions, TIME_LIMIT, True, proven=True, **presets)


def make(name: str, slots: int, threads: int) -> CartPoleSimulator:
    """A simulator of the task of this name, one of TASKS; NumPy steps all slots in this thread."""
    return CartPoleSimulator(name, slots)


KIND = SimulatorKind(
    name="cartpole",
    label="cart and pole",
    doc="all slots step at once in NumPy",
    source="Barto, Sutton and Anderson 1983",
    takes=tuple(TASKS).__contains__,
    names=lambda: tuple(TASKS),
    describe=describe,
    make=make,
)

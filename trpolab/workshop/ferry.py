"""A ferry that is to cross a river and stop at its stage: the task of exercise 11, without a reward."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

STAGE = np.array([0.0, 0.9])
LONGEST = 200  # steps until time is up


class Ferry(gymnasium.Env[np.ndarray, np.ndarray]):
    """It sees its place and its speed, both [2], and thrusts east and north, against a current and gusts.

    `pay(before, after, landed, lost)` and `ending(away, speed, lost, age)` are for others to say.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012

    def __init__(self, current: float = 0.4, gusts: float = 0.1, render_mode: str | None = None):
        self.observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float64)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.current, self.gusts, self.render_mode = current, gusts, render_mode

    def pay(self, before: float, after: float, landed: bool, lost: bool) -> float:
        """The reward of a step that began so far from the stage and ended so far from it."""
        return 0.0

    def ending(self, away: float, speed: float, lost: bool, age: int) -> tuple[bool, bool]:
        """Whether the episode is over for good, and whether it is merely cut."""
        return lost or (away < 0.15 and speed < 0.3), age >= LONGEST

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        """At the southern bank."""
        super().reset(seed=seed)
        self.place = np.array([self.np_random.uniform(-1.0, 1.0), -0.9])
        self.speed, self.age = np.zeros(2), 0
        return np.concatenate([self.place, self.speed]), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Thrust, gust, current."""
        before = self._away()
        water = np.array([self.current * (1 - self.place[1] ** 2), 0.0])
        self.speed = 0.95 * self.speed + 0.1 * (action + self.np_random.normal(0.0, self.gusts, 2))
        self.place = self.place + 0.05 * (self.speed + water)
        self.age += 1
        away, speed = self._away(), float(np.linalg.norm(self.speed))
        lost = bool(np.abs(self.place).max() > 1.5)
        paid = float(self.pay(before, away, bool(away < 0.15 and speed < 0.3), lost))
        over, cut = (bool(each) for each in self.ending(away, speed, lost, self.age))
        return np.concatenate([self.place, self.speed]), paid, over, cut, {}

    def render(self) -> np.ndarray:  # type: ignore[override]
        """The river from above."""
        y, x = np.mgrid[1.5:-1.5:150j, -1.5:1.5:150j]
        picture = np.full((*x.shape, 3), (70, 130, 180), np.uint8)
        picture[np.abs(y) > 1.05] = (120, 160, 80)
        picture[np.hypot(x - STAGE[0], y - STAGE[1]) < 0.15] = (240, 228, 66)
        picture[np.hypot(x - self.place[0], y - self.place[1]) < 0.07] = (213, 94, 0)
        return picture

    def _away(self) -> float:
        return float(np.linalg.norm(self.place - STAGE))

"""Small environments that go wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

Spoil = Callable[["Line", np.ndarray, float], tuple[np.ndarray, float]]


class Line(gymnasium.Env):
    """A walk on a line, 20 steps an episode; `spoil(env, obs, reward)` may change what a step gives back."""

    observation_space = Box(-np.inf, np.inf, (2,), np.float64)
    action_space = Box(-1, 1, (1,), np.float32)

    def __init__(self, spoil: Spoil | None = None):
        self.spoil = spoil

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.x, self.t = self.np_random.normal(), 0
        return self.obs(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.t += 1
        self.x += float(action[0])
        obs, reward = self.obs(), -abs(self.x)
        if self.spoil is not None:
            obs, reward = self.spoil(self, obs, reward)
        return obs, reward, False, self.t >= 20, {}

    def obs(self) -> np.ndarray:
        return np.array([self.x, self.t / 20])


class Switch:
    """Spoils observations or rewards with `value` while it is on."""

    def __init__(self, field: str, value: float = np.nan):
        self.field, self.value, self.on = field, value, False

    def __call__(self, env: Line, obs: np.ndarray, reward: float) -> tuple[np.ndarray, float]:
        if self.on and env.t == 3:
            if self.field == "reward":
                return obs, self.value
            obs[1] = self.value
        return obs, reward

    def task(self) -> Callable[[], Line]:
        """A task whose environments all listen to this switch."""
        return lambda: Line(self)

"""Small Gymnasium environments with known faults and known numbers."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete


class Corridor(gymnasium.Env):
    """Walk to 5 (terminated) within 8 steps (truncated) by two factors, with noise from np_random in the reward."""

    observation_space = Box(-np.inf, np.inf, (2,), np.float64)
    action_space = MultiDiscrete([3, 2], start=[-1, 0])

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.place, self.age, self.start = 0, 0, self.np_random.normal()
        return np.array([self.place, self.start]), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert self.action_space.contains(action)
        self.place += int(action[0]) * (1 + int(action[1]))
        self.age += 1
        obs = np.array([self.place, self.start])
        return obs, self.place + self.np_random.normal(), self.place >= 5, self.age >= 8, {}


class GlobalNoise(Corridor):
    """Its noise comes from a generator that copies share."""

    shared = np.random.default_rng(0)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        obs, _, terminated, truncated, info = super().step(action)
        return obs, float(self.shared.normal()), terminated, truncated, info


class Uncopyable(Corridor):
    """Copying it fails."""

    def __deepcopy__(self, memo: dict) -> Uncopyable:
        raise RuntimeError("holds a socket")


class Switches(gymnasium.Env):
    """Discrete observations and actions that do not start at 0: the observation is the action before."""

    observation_space = Discrete(3, start=5)
    action_space = Discrete(3, start=5)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict]:
        super().reset(seed=seed)
        return 5, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        assert self.action_space.contains(action)
        return action, float(action), False, False, {}


class Strange(Corridor):
    """Spaces that no policy here can take."""

    observation_space = Dict({"a": Discrete(2)})
    action_space = Box(0, 3, (2,), np.int64)

"""A small finite MDP whose values are solved exactly, as arrays and as a Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete

GAMMA = 0.9
STATES, ACTIONS, LIMIT = 5, 3, 12  # state 4 is the end


def tables() -> tuple[np.ndarray, np.ndarray]:
    """P [S, A, S'] and expected rewards R [S, A]: right earns in the long run, left at once, the third gambles."""
    p, r = np.zeros((STATES, ACTIONS, STATES)), np.zeros((STATES, ACTIONS))
    for state in range(STATES - 1):
        left, right = max(state - 1, 0), min(state + 1, STATES - 2)
        p[state, 0, left], p[state, 0, right] = 0.9, 0.1
        p[state, 1, right], p[state, 1, left] = 0.8, 0.2
        p[state, 2, STATES - 1], p[state, 2, state] = 0.3, 0.7
        r[state] = (0.3, 0.1 * state, 0.5)
    r[STATES - 2, 1] = 1.0
    p[STATES - 1, :, STATES - 1] = 1.0  # the end pays nothing
    return p, r


P, R = tables()
START = np.array([0.7, 0.3, 0.0, 0.0, 0.0])


def values(pi: np.ndarray, gamma: float = GAMMA) -> tuple[np.ndarray, np.ndarray, float]:
    """V [S], Q [S, A] and η = E[V(s_0)] of a policy pi [S, A], by linear solves."""
    transition, reward = np.einsum("sa,sat->st", pi, P), (pi * R).sum(1)
    live = slice(0, STATES - 1)
    v = np.zeros(STATES)
    v[live] = np.linalg.solve(np.eye(STATES - 1) - gamma * transition[live, live], reward[live])
    return v, R + gamma * P @ v, float(START @ v)


def best(gamma: float = GAMMA) -> float:
    """η of the optimal policy, by value iteration."""
    v = np.zeros(STATES)
    for _ in range(2000):
        v = (R + gamma * P @ v).max(1)
        v[-1] = 0.0
    return float(START @ v)


class Tabular(gymnasium.Env):
    """The MDP as an environment that is cut after LIMIT steps."""

    observation_space = Discrete(STATES)
    action_space = Discrete(ACTIONS)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict]:
        super().reset(seed=seed)
        self.state, self.age = int(self.np_random.choice(STATES, p=START)), 0
        return self.state, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        reward = float(R[self.state, action])
        self.state = int(self.np_random.choice(STATES, p=P[self.state, action]))
        self.age += 1
        return self.state, reward, self.state == STATES - 1, self.age >= LIMIT, {}

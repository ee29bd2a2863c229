"""A simulator whose every number is known beforehand, for tests of the samplers."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box

from trpolab.simulators.base import Snapshot, Transition


class ScriptedSimulator:
    """Episode with seed s lasts 3 + s % 7 steps; odd seeds terminate, even ones are truncated by a time limit.

    The observation is (seed % 1000, t); the reward of step t is seed % 10 + t.
    """

    task = "scripted"
    observation_space = Box(-np.inf, np.inf, (2,), np.float64)
    action_space = Box(-1, 1, (1,), np.float32)
    can_restore, restore_reason, scene, time_limit = True, "", None, None

    def __init__(self, width: int):
        self.width = width
        self.seed = np.zeros(width, np.int64)
        self.t = np.zeros(width, np.int64)
        self.actions: list[np.ndarray] = []
        self.resets: list[tuple[int, int]] = []
        self.blow_up: set[tuple[int, int]] = set()  # (slot, how many-th step of that slot)
        self.poison: dict[tuple[int, int], str] = {}  # (slot, how many-th step): "reward" or "obs"
        self.taken = np.zeros(width, np.int64)

    def _ids(self, slots):
        return np.arange(self.width) if slots is None else np.asarray(slots)

    def _obs(self, ids):
        return np.stack([self.seed[ids] % 1000, self.t[ids]], axis=1).astype(np.float64)

    def reset(self, slots, seeds):
        ids = self._ids(slots)
        self.seed[ids], self.t[ids] = seeds, 0
        self.resets += [(int(slot), int(seed)) for slot, seed in zip(ids, seeds, strict=True)]
        return self._obs(ids)

    def step(self, slots, actions):
        ids = self._ids(slots)
        self.actions.append(np.array(actions))
        reward = (self.seed[ids] % 10 + self.t[ids]).astype(np.float64)
        self.t[ids] += 1
        over = self.t[ids] >= 3 + self.seed[ids] % 7
        odd = self.seed[ids] % 2 == 1
        obs = self._obs(ids)
        unstable = np.zeros(len(ids), bool)
        for row, slot in enumerate(ids):
            key = (int(slot), int(self.taken[slot]))
            unstable[row] = key in self.blow_up
            if self.poison.get(key) == "reward":
                reward[row] = np.nan
            if self.poison.get(key) == "obs":
                obs[row, 1] = np.inf
            self.taken[slot] += 1
        return Transition(obs, reward, over & odd, over & ~odd, unstable)

    def snapshot(self, slots):
        ids = self._ids(slots)
        return Snapshot({"seed": self.seed[ids], "t": self.t[ids]})

    def restore(self, slots, snapshot, seeds=None):
        ids = self._ids(slots)
        self.seed[ids], self.t[ids] = snapshot.parts["seed"], snapshot.parts["t"]
        return self._obs(ids)

    def close(self):
        pass

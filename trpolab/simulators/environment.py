"""Any task as a Gymnasium environment: one slot of its simulator."""

from __future__ import annotations

import operator
from dataclasses import fields
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from trpolab.settings import ConfigError, faults_of, unknown_setting
from trpolab.simulators.base import Simulator
from trpolab.simulators.registry import SIMULATORS, Source, make


def as_gymnasium(task: Source, *, render_mode: str | None = None, **settings: Any) -> gymnasium.Env:
    """A `gymnasium.Env` of any task that `make` takes; `settings` are the task's own, as `**{"atari.pixels": "dqn"}`.

    With the same seeds and actions it gives the same numbers as `make(task)`. Actions of our own tasks are not clipped;
    to clip them, wrap it in `gymnasium.wrappers.ClipAction`. Raises as `find_task` does, ConfigError for a setting that
    the task does not have or that is out of bounds, and ValueError for a `render_mode`.
    """
    if render_mode is not None:
        raise ValueError(f"render_mode = {render_mode!r}: must be None; the lab draws rollouts")
    return SimulatorEnv(make(_configured(task, settings) if settings else task))


class SimulatorEnv(gymnasium.Env):
    """The one slot of a simulator. The task's own time limit truncates episodes."""

    metadata = {"render_modes": []}  # noqa: RUF012  Gymnasium's own type

    def __init__(self, simulator: Simulator):
        self.simulator = simulator
        self.observation_space, self.action_space = simulator.observation_space, simulator.action_space
        self._obs: np.ndarray | None = None  # the last one; None before the first reset

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode; without a seed, from one that the environment's own generator draws. No option is read."""
        super().reset(seed=None if seed is None else operator.index(seed))
        start = self.np_random.integers(2**63) if seed is None else seed
        self._obs = self.simulator.reset(None, np.array([int(start) % 2**63]))[0].copy()
        return self._obs.copy(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One decision.

        Where the physics blew up, the episode is truncated at the state before, with no reward and `unstable` in the
        info. Raises ResetNeeded before the first reset, and ValueError for an action of another shape or kind, one that
        is not finite, or a whole number that is none of the actions.
        """
        if self._obs is None:
            raise gymnasium.error.ResetNeeded("step: call reset first")
        after = self.simulator.step(None, self._row(action))
        if after.unstable[0]:
            return self._obs.copy(), 0.0, False, True, {"unstable": True}
        self._obs = after.obs[0].copy()
        return self._obs.copy(), float(after.reward[0]), bool(after.terminated[0]), bool(after.truncated[0]), {}

    def close(self) -> None:
        """Give the simulator back."""
        self.simulator.close()

    def _row(self, action: Any) -> np.ndarray:
        """[1, *A] as a simulator takes it."""
        row = np.asarray(action)
        if row.dtype.kind == "f" and not np.isfinite(row).all():
            raise ValueError(f"action = {action!r}: must be finite")
        if isinstance(self.action_space, Box):
            return (row.astype(self.action_space.dtype) if row.dtype.kind in "iu" else row)[None]
        if row.dtype.kind in "iu" and row.shape == self.action_space.shape and not self.action_space.contains(row):
            raise ValueError(f"action = {action!r}: must be in {self.action_space}")
        return row[None]


def _configured(task: Source, given: dict[str, Any]) -> Source:
    """The task under settings by their public names. Raises ConfigError listing every fault."""
    kind = SIMULATORS.of(task)
    own = {} if kind.settings is None else {f"{kind.part}.{entry.name}": entry.name for entry in fields(kind.settings)}
    if problems := [unknown_setting(name, own) for name in given if name not in own]:
        raise ConfigError(problems)
    assert kind.settings is not None and kind.configured is not None
    settings = kind.settings(**{own[name]: value for name, value in given.items()})
    if problems := faults_of(kind.part, settings):
        raise ConfigError(problems)
    return kind.configured(task, settings)

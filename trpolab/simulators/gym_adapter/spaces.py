"""Gymnasium's spaces as policies here take them: boxes and one-hot observations, boxes and whole-number actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import Env, Space
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from trpolab.simulators.base import UnsupportedSpace


@dataclass(frozen=True)
class Encoding:
    """The spaces that a simulator shows, and how its arrays become the environment's own values."""

    observation_space: Space
    action_space: Space
    observe: Callable[[Any], np.ndarray]  # the environment's observation -> [*O]
    act: Callable[[Any], Any]  # a row [*A] -> the environment's action


def encode(env: Env) -> Encoding:
    """How to talk to this environment. Raises UnsupportedSpace naming every space that cannot be taken."""
    observations, actions = _observations(env.observation_space), _actions(env.action_space)
    problems = []
    if observations is None:
        problems.append(f"the observation space {env.observation_space} is neither a Box nor Discrete")
    if actions is None:
        problems.append(f"the action space {env.action_space} is no Box of floats, Discrete or flat MultiDiscrete")
    if observations is None or actions is None:
        raise UnsupportedSpace("; ".join(problems))
    return Encoding(observations[0], actions[0], observations[1], actions[1])


def _observations(space: Space) -> tuple[Space, Callable[[Any], np.ndarray]] | None:
    if isinstance(space, Box):
        dtype = space.dtype
        return space, lambda value: np.asarray(value, dtype)
    if isinstance(space, Discrete):
        rows, start = np.eye(int(space.n), dtype=np.float32), int(space.start)
        return Box(0.0, 1.0, (len(rows),), np.float32), lambda value: rows[int(value) - start]
    return None


def _actions(space: Space) -> tuple[Space, Callable[[Any], Any]] | None:
    """Whole-number actions count from 0 here, whatever the environment's own start."""
    if isinstance(space, Box) and np.issubdtype(space.dtype, np.floating):
        dtype = space.dtype
        return space, lambda row: np.array(row, dtype)
    if isinstance(space, Discrete):
        first = int(space.start)
        return Discrete(int(space.n)), lambda row: int(row) + first
    if isinstance(space, MultiDiscrete) and space.nvec.ndim == 1:
        starts, kind = space.start, space.dtype
        return MultiDiscrete(space.nvec), lambda row: np.asarray(row + starts, kind)
    return None

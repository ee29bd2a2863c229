"""The MuJoCo tasks by name: Gymnasium's v5 environments, and the TRPO paper's swimmer, hopper and walker."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from trpolab.simulators.mujoco_tasks import MujocoTask, Runner, Starts, strict_bounds

_PLANAR = Starts(positions=0.005, velocities=0.005)


def _hopper_bounds() -> Any:
    # z > 0.7, |angle| < 0.2, every further entry of the state within +-100
    return strict_bounds(2, [0.7, -0.2, *[-100.0] * 9], [np.inf, 0.2, *[100.0] * 9])


def _walker_bounds() -> Any:
    return strict_bounds(2, [0.8, -1.0], [2.0, 1.0])


@cache
def mujoco_task(name: str) -> MujocoTask:
    """One of NAMES. Raises KeyError for any other."""
    return _MAKERS[name](name)


_MAKERS = {
    "Hopper-v5": lambda name: MujocoTask(
        name, "hopper.xml", 4, _PLANAR, Runner(0.002 * 4, 1, 1e-3, 10.0, _hopper_bounds())
    ),
}
NAMES = tuple(_MAKERS)

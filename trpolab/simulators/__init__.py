"""Simulators: slots that reset, step, snapshot and restore. `make` builds one by the name of its task."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from trpolab.simulators import cartpole
from trpolab.simulators.base import (
    Scene,
    Simulator,
    Snapshot,
    SnapshotUnsupported,
    Task,
    Transition,
    UnknownTask,
)

__all__ = [
    "Scene",
    "Simulator",
    "Snapshot",
    "SnapshotUnsupported",
    "Task",
    "Transition",
    "UnknownTask",
    "find_task",
    "make",
    "task_names",
]

MUJOCO_TASKS = (
    "paper/Swimmer",
    "paper/Hopper",
    "paper/Walker",
    "Swimmer-v5",
    "Hopper-v5",
    "Walker2d-v5",
    "HalfCheetah-v5",
    "InvertedPendulum-v5",
    "InvertedDoublePendulum-v5",
    "Reacher-v5",
    "Ant-v5",
    "Humanoid-v5",
)


def task_names() -> tuple[str, ...]:
    """The tasks built in. Any other Gymnasium id, and a callable that returns an environment, work too."""
    return (*cartpole.TASKS, *MUJOCO_TASKS)


def find_task(task: str | Callable[[], Any]) -> Task:
    """What is known of a task. Raises UnknownTask with the nearest names."""
    if isinstance(task, str):
        if task in cartpole.TASKS:
            return cartpole.describe(task)
        if task in MUJOCO_TASKS:
            from trpolab.simulators import mujoco_batch, mujoco_catalogue

            return mujoco_batch.describe(mujoco_catalogue.mujoco_task(task))
        close = difflib.get_close_matches(task, task_names(), n=3, cutoff=0.4)
        raise UnknownTask(f"unknown task {task!r}; nearest: {', '.join(close or task_names())}")
    raise UnknownTask(f"{task!r} is not a task")


def make(task: str | Callable[[], Any], slots: int, threads: int = 1) -> Simulator:
    """A simulator of `slots` slots; physics in C++ runs on `threads` threads. Raises as `find_task`."""
    if slots < 1 or threads < 1:
        raise ValueError(f"slots = {slots}, threads = {threads}: both must be at least 1")
    about = find_task(task)
    if about.name in cartpole.TASKS:
        return cartpole.make_cartpole(about.name, slots)
    from trpolab.simulators import mujoco_batch, mujoco_catalogue

    return mujoco_batch.MujocoSimulator(mujoco_catalogue.mujoco_task(about.name), slots, threads)

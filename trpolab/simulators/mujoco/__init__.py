"""MuJoCo tasks: the paper's and Gymnasium's. `mujoco` itself is loaded when one of them is used."""

from __future__ import annotations

from trpolab.simulators.base import Simulator, Task
from trpolab.simulators.registry import SimulatorKind

PAPER = ("paper/Swimmer", "paper/Hopper", "paper/Walker")
PLANAR = ("Swimmer-v5", "Hopper-v5", "Walker2d-v5", "HalfCheetah-v5")
OTHERS = ("InvertedPendulum-v5", "InvertedDoublePendulum-v5", "Reacher-v5", "Pusher-v5", "Ant-v5", "Humanoid-v5")
TASKS = (*PAPER, *PLANAR, *OTHERS)


def describe(name: str) -> Task:
    """The task of this name, one of TASKS."""
    from trpolab.simulators.mujoco import catalogue, mujoco_simulator

    return mujoco_simulator.describe(catalogue.MUJOCO_TASKS[name])


def make(name: str, slots: int, threads: int) -> Simulator:
    """A simulator of the task of this name, one of TASKS."""
    from trpolab.simulators.mujoco import catalogue, mujoco_simulator

    return mujoco_simulator.MujocoSimulator(catalogue.MUJOCO_TASKS[name], slots, threads)


KIND = SimulatorKind(
    name="mujoco",
    label="MuJoCo",
    doc="all slots step at once in C++",
    source="Section 8.1",
    takes=TASKS.__contains__,
    names=lambda: TASKS,
    describe=describe,
    make=make,
)

"""Simulators: slots that reset, step, snapshot and restore. `make` builds one by the name of its task."""

from __future__ import annotations

from trpolab.simulators import atari, cartpole, finite_simulator, gym_adapter, mujoco
from trpolab.simulators.atari.games import Atari, AtariGame
from trpolab.simulators.base import (
    AnswerError,
    Scene,
    Simulator,
    Snapshot,
    SnapshotUnsupported,
    Task,
    Transition,
    UnknownTask,
    UnsupportedSpace,
)
from trpolab.simulators.environment import as_gymnasium
from trpolab.simulators.finite_mdp import FiniteMDP
from trpolab.simulators.registry import SIMULATORS, SimulatorKind, Source, configured, find_task, make, task_names

SIMULATORS.add(gym_adapter.KIND)
SIMULATORS.add(cartpole.KIND)
SIMULATORS.add(finite_simulator.KIND)
SIMULATORS.add(mujoco.KIND)
SIMULATORS.add(atari.KIND)

"""Every simulator passes the contract: all built-in tasks, and the adapter on environments of several kinds."""

from __future__ import annotations

import pytest

from tests.simulators.contract import SimulatorContract
from tests.simulators.environments import Corridor
from trpolab.simulators import task_names

ADAPTED = ["Pendulum-v1", "MountainCar-v0", "FrozenLake-v1", "HumanoidStandup-v5", Corridor]


# The other games are held to their restores in test_atari.py; here they would say nothing new.
BUILT_IN = [name for name in task_names() if not name.startswith("ALE/") or name == "ALE/Qbert-v5"]


@pytest.fixture(params=[*BUILT_IN, *ADAPTED], ids=lambda task: getattr(task, "__name__", task))
def task(request: pytest.FixtureRequest) -> object:
    return request.param


class TestContract(SimulatorContract):
    """The suite, once for every task."""

"""Every simulator passes the contract: all built-in tasks, and the adapter on environments of several kinds."""

from __future__ import annotations

import pytest

from tests.simulators.contract import SimulatorContract
from tests.simulators.environments import Corridor
from trpolab.simulators import task_names

ADAPTED = ["Pendulum-v1", "MountainCar-v0", "FrozenLake-v1", "Pusher-v5", Corridor]


@pytest.fixture(params=[*task_names(), *ADAPTED], ids=lambda task: getattr(task, "__name__", task))
def task(request: pytest.FixtureRequest) -> object:
    return request.param


class TestContract(SimulatorContract):
    """The suite, once for every task."""

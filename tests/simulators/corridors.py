"""A kind of simulators as someone outside the package would write it: one file, one line that registers it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from gymnasium.spaces import Box, Discrete

from trpolab.settings import setting
from trpolab.simulators import SimulatorKind, Snapshot, Task, Transition
from trpolab.simulators.base import refuse_misfit

LIMIT = 40


@dataclass(frozen=True)
class Corridor:
    """How `corridor/N` and `busy-corridor/N` are walked."""

    stride: int = setting(1, "places that a step goes", low=1, high=3, live=False)


@dataclass(frozen=True)
class Place:
    """A corridor under its settings."""

    name: str
    settings: Corridor = Corridor()

    @property
    def length(self) -> int:
        return int(self.name.partition("/")[2])


class CorridorSimulator:
    """Walk from one of the first three places to the last one; a step back is action 0, a step ahead 1."""

    can_restore, restore_reason, scene = True, "", None

    def __init__(self, place: Place, slots: int):
        self.task, self.width, self.time_limit = place.name, slots, LIMIT
        self.observation_space, self.action_space = Box(0, 1, (1,), np.float32), Discrete(2)
        self._place, self._at, self._steps = place, np.zeros(slots, np.int64), np.zeros(slots, np.int64)

    def reset(self, slots: np.ndarray | None, seeds: np.ndarray) -> np.ndarray:
        where = self._where(slots)
        self._at[where] = [np.random.default_rng(int(seed)).integers(3) for seed in seeds]
        self._steps[where] = 0
        return self._observe(where)

    def step(self, slots: np.ndarray | None, actions: np.ndarray) -> Transition:
        where = self._where(slots)
        refuse_misfit(self.action_space, actions, len(where))
        stride = self._place.settings.stride
        self._at[where] = np.clip(self._at[where] + stride * (2 * actions - 1), 0, self._place.length)
        self._steps[where] += 1
        there = self._at[where] >= self._place.length
        never = np.zeros(len(where), bool)
        return Transition(self._observe(where), there - 0.01, there, self._steps[where] >= LIMIT, never)

    def snapshot(self, slots: np.ndarray | None) -> Snapshot:
        where = self._where(slots)
        return Snapshot({"at": self._at[where], "steps": self._steps[where]})

    def restore(self, slots: np.ndarray | None, snapshot: Snapshot, seeds: np.ndarray | None = None) -> np.ndarray:
        where = self._where(slots)
        self._at[where], self._steps[where] = snapshot.parts["at"], snapshot.parts["steps"]
        return self._observe(where)

    def poses(self, slots: np.ndarray | None) -> np.ndarray:
        return np.zeros((len(self._where(slots)), 0, 7))

    def close(self) -> None:
        pass

    def _where(self, slots: np.ndarray | None) -> np.ndarray:
        return np.arange(self.width) if slots is None else np.asarray(slots)

    def _observe(self, where: np.ndarray) -> np.ndarray:
        return (self._at[where, None] / self._place.length).astype(np.float32)


def place_of(source: str | Place) -> Place:
    return source if isinstance(source, Place) else Place(source)


def takes(source: object) -> bool:
    return isinstance(source, Place) or str(source).startswith(("corridor/", "busy-corridor/"))


def describe(source: str | Place) -> Task:
    simulator = CorridorSimulator(place_of(source), 1)
    spaces = simulator.observation_space, simulator.action_space
    suited = {"steps_per_iteration": 256, "slots": 8, "hidden": (), "vine.trunks": 2, "vine.trunk_length": 40}
    suited |= {"vine.states": 8, "vine.rollout_length": 10, "proposal": "all"}
    busy = simulator.task.startswith("busy")
    return Task(simulator.task, *spaces, LIMIT, True, defaults=suited, block=4, runs_in_processes=busy)


def make(source: str | Place, slots: int, threads: int) -> CorridorSimulator:
    return CorridorSimulator(place_of(source), slots)


KIND = SimulatorKind(
    name="corridor",
    label="a corridor to walk along",
    takes=takes,
    names=lambda: ("corridor/10", "busy-corridor/10"),
    describe=describe,
    make=make,
    settings=Corridor,
    configured=lambda source, settings: replace(place_of(source), settings=settings),
)

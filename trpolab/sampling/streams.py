"""Counter-based random streams: randomness is an argument, keyed by (seed, iteration, purpose, index)."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from trpolab.settings import whole_number


class Purpose(enum.IntEnum):
    """What a stream is for. Values are part of the meaning of a seed: never renumber."""

    INITIALISATION = 1
    RESET = 2
    ACTION = 3
    FISHER_ROWS = 4
    VALUE_ROWS = 5
    EVALUATION = 6
    STAGGER = 7
    VINE_STATES = 8
    VINE_ACTIONS = 9
    VINE_NOISE = 10
    VINE_TASK = 11
    DRAWING = 12
    POPULATION = 13
    EVALUATION_RESET = 14
    VINE_START = 15
    VINE_REPLAY = 16


@dataclass(frozen=True)
class Streams:
    """Every random number of a run, from one seed."""

    seed: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", whole_number("seed", self.seed))

    def generator(self, iteration: int, purpose: Purpose, index: int = 0) -> np.random.Generator:
        """The stream of (seed, iteration, purpose, index): always the same numbers."""
        key = np.array([self.seed, int(purpose)], dtype=np.uint64)
        counter = np.array([0, 0, index, iteration], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter))

    def seeds(self, count: int, iteration: int, purpose: Purpose, index: int = 0) -> np.ndarray:
        """`count` non-negative integers [count] int64, for simulators' resets."""
        return self.generator(iteration, purpose, index).integers(0, 2**63 - 1, size=count, dtype=np.int64)

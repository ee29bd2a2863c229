"""A running vine looks whether its states repeat themselves: late noise and copies that lose something end it."""

from __future__ import annotations

import os
import random
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from tests.sampling.vine.checks import SMALL, Setting, factored, finite
from tests.simulators.gym_adapter.test_copies import Swing
from trpolab.simulators import SnapshotUnsupported, find_task

LONG = replace(SMALL, trunk_length=200, states=30, proposal="uniform", actions=2)


class Late(Swing):
    """A step of its age and the noise of its steps from 100 on, which comes from nowhere that a copy holds."""

    observation_space, action_space = Box(-1, 1000, (2,), np.float64), Discrete(2)

    def noise(self) -> float:
        return int.from_bytes(os.urandom(4)) / 2**32

    def step(self, action):
        obs, reward, *rest = super().step(action)
        return obs, reward + (self.noise() if self.age > 100 else 0.0), *rest

    def see(self):
        return np.array([self.place, self.age], np.float64)


class LateGlobal(Late):
    """The same from the process's own generator."""

    def noise(self) -> float:
        return random.random()


class Seldom(Late):
    """One step in two hundred."""

    def step(self, action):
        obs, reward, *rest = Swing.step(self, action)
        return obs, reward, *rest

    def see(self):
        return np.array([self.place, self.age + (self.age > 92 and random.random() < 0.005)], np.float64)


class LosesItsAge(Late):
    """Its copy is a new one that only knows its place; what it loses shows after 100 steps."""

    def noise(self) -> float:
        return 1.0

    def __deepcopy__(self, memo):
        other = type(self)()
        other.place = self.place
        return other

    def see(self):
        return np.array([self.place, 0], np.float64)


@pytest.mark.reliability("R18")
@pytest.mark.parametrize(
    ("task", "said"),
    [
        (Late, r"Late does not repeat itself .* at step 1\d\d of an episode the reward is \d.* and was \d"),
        (LateGlobal, r"LateGlobal does not .* the reward is .*the global generator of random was touched meanwhile"),
        (Seldom, r"Seldom does not .* the observation is \d+\.0 .* and was \d+\.0; .*the global generator of random"),
        (LosesItsAge, r"LosesItsAge does not .* at step 1\d\d of an episode the reward is"),
    ],
)
def test_what_shows_late_ends_the_vine_in_a_sentence(task, said):
    assert find_task(task).can_restore, "the trial did not see it"
    with Setting(task) as setting, pytest.raises(SnapshotUnsupported, match=said):
        for iteration in range(1, 20):
            setting.sample(LONG, iteration)


@pytest.mark.parametrize("task", [Swing, finite, factored, "FrozenLake-v1", "Pendulum-v1"])
def test_what_repeats_itself_is_let_alone(task):
    with Setting(task) as setting:
        vine = replace(LONG, proposal="policy")
        batch, again = (setting.sample(vine, 1).batch for _ in range(2))
        np.testing.assert_array_equal(batch.q_values, again.q_values)
        for iteration in range(2, 8):
            setting.sample(vine, iteration)


def test_a_generator_that_others_use_meanwhile_ends_nothing():
    class Watched(Swing):
        """Its steps leave the generator alone; somebody else's code between them does not."""

        def reset(self, **given):
            random.random()
            return super().reset(**given)

    with Setting(Watched) as setting:
        for iteration in range(1, 4):
            setting.sample(LONG, iteration)

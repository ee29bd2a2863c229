"""Episodes brought back by replaying them: told with a count, given up at once when asked, and bounded."""

from __future__ import annotations

from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from trpolab.sampling import running_episodes
from trpolab.sampling.errors import Interrupted
from trpolab.sampling.running_episodes import keep_episodes, restore_episodes
from trpolab.sampling.trajectories import begin
from trpolab.simulators import SnapshotUnsupported, make


@pytest.fixture
def kept():
    """Three pendulums, 30 steps under way."""
    simulator = make("Pendulum-v1", 3)
    ongoing = begin(simulator, np.arange(3), 0, slots=3)
    for _ in range(30):
        simulator.step(None, np.ones((3, 1), np.float32))
    return keep_episodes([simulator], [ongoing])


def restored(episodes, **given):
    return restore_episodes([make("Pendulum-v1", 3)], replace(episodes, **given))


def test_a_replay_is_told_before_it_begins(kept):
    told = []
    assert len(restored(kept, tell=told.append)) == 1
    assert told == ["90 steps of 3 episodes, so that they go on where they stood"]


def test_a_replay_is_given_up_after_any_step(kept):
    asked = []
    with pytest.raises(Interrupted):
        restored(kept, interrupt=lambda: asked.append(1) or len(asked) == 40)
    assert len(asked) == 40


def test_a_replay_that_is_too_long_is_not_begun(kept, monkeypatch):
    monkeypatch.setattr(running_episodes, "MOST_STEPS", 89)
    with pytest.raises(SnapshotUnsupported, match="90 steps would have to be replayed; at most 89 are"):
        restored(kept, tell=lambda sentence: pytest.fail("it began"))


def test_a_replay_that_takes_too_long_is_given_up(kept, monkeypatch):
    monkeypatch.setattr(running_episodes, "MOST_SECONDS", 0.0)
    with pytest.raises(SnapshotUnsupported, match="replaying 90 steps takes longer than 0 s"):
        restored(kept)


class Shaped(gymnasium.Wrapper):
    """Rewards that depend on how many steps all of its kind have made; observations that don't."""

    made = 0

    def step(self, action):
        obs, reward, *rest = super().step(action)
        Shaped.made += 1
        return obs, reward + Shaped.made, *rest


class Shorter(gymnasium.Wrapper):
    """Ends after a number of steps that sinks."""

    most = 100

    def reset(self, **given):
        self.age, self.limit = 0, Shorter.most
        Shorter.most -= 40
        return super().reset(**given)

    def step(self, action):
        self.age += 1
        obs, reward, terminated, _, info = super().step(action)
        return obs, reward, terminated, self.age == self.limit, info


@pytest.mark.parametrize(("wrapper", "field"), [(Shaped, "score"), (Shorter, "end")])
def test_a_replay_is_compared_in_all_that_was_seen(wrapper, field):
    def source():
        return wrapper(gymnasium.make("Pendulum-v1"))

    simulator, other = make(source, 1), make(source, 1)
    Shorter.most = 100
    ongoing = begin(simulator, np.arange(1), 0, slots=1)
    for _ in range(70):
        simulator.step(None, np.ones((1, 1), np.float32))
    with pytest.raises(SnapshotUnsupported, match=f"slot 0: .* does not come to the same {field} from the same seed"):
        restore_episodes([other], keep_episodes([simulator], [ongoing]))

"""Environments of other packages, as their users make them. Needs `pip install -e ".[envs]"`; skipped without.

Each trains three iterations by default settings, resumes bit for bit or says that it can't, and lets the vine run only
where restoring repeats its future.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import trpolab
from trpolab.settings import ConfigError

SLOW = {"steps_per_iteration": 256}  # an environment of some 15 steps a second


def minigrid() -> gymnasium.Env:
    """Pictures of a few grid cells and a text, flattened by the package's own wrapper."""
    wrappers = pytest.importorskip("minigrid.wrappers")
    return wrappers.FlatObsWrapper(gymnasium.make("MiniGrid-Empty-5x5-v0"))


def lander() -> gymnasium.Env:
    """Box2D: its state lives in C++."""
    pytest.importorskip("Box2D")
    return gymnasium.make("LunarLander-v3")


def parking() -> gymnasium.Env:
    """Goals in a dictionary, flattened."""
    pytest.importorskip("highway_env")
    return gymnasium.wrappers.FlattenObservation(gymnasium.make("parking-v0"))


def pusht() -> gymnasium.Env:
    """Positions and actions in pixels, 0 to 512, scaled to -1 to 1."""
    pytest.importorskip("gym_pusht")
    env = gymnasium.make("gym_pusht/PushT-v0", obs_type="state")
    return gymnasium.wrappers.RescaleAction(env, np.float32(-1), np.float32(1))


def popgym() -> gymnasium.Env:
    """Whole numbers in and out, and a memory task."""
    pytest.importorskip("popgym")
    return gymnasium.make("popgym-RepeatPreviousEasy-v0")


def two_objectives() -> gymnasium.Env:
    """A reward of several numbers, weighted into one that tells actions apart before the goal is reached."""
    package, wrappers = pytest.importorskip("mo_gymnasium"), pytest.importorskip("mo_gymnasium.wrappers")
    return wrappers.LinearReward(package.make("mo-mountaincar-v0"), np.array([1.0, 0.1, 0.1]))


def stocks() -> gymnasium.Env:
    """Prices that are data of the package, flattened."""
    pytest.importorskip("gym_anytrading")
    return gymnasium.wrappers.FlattenObservation(gymnasium.make("stocks-v0"))


MAKERS = [minigrid, lander, parking, pusht, popgym, two_objectives, stocks]


def settings_of(make: Callable[[], gymnasium.Env]) -> dict[str, Any]:
    return SLOW if make is parking else {}


@pytest.mark.parametrize("make", MAKERS)
def test_it_trains_by_defaults_and_resumes_or_says_that_it_cannot(
    make: Callable[[], gymnasium.Env], tmp_path: Path
) -> None:
    make().close()
    whole = trpolab.train(make, out=tmp_path, iterations=3, **settings_of(make))
    assert [row["outcome"].startswith("accepted") for row in whole.history] == [True] * 3
    assert all(row["sim_steps"] > 0 for row in whole.history)
    half = trpolab.train(make, out=tmp_path, iterations=2, checkpoint_every=1, **settings_of(make))
    resumed = trpolab.Session(make, resume=half.path, iterations=3).run()
    same = np.array_equal(resumed.policy.theta.numpy(), whole.policy.theta.numpy())
    assert same or any(event["event"] == "episodes_cut" for event in resumed.events)


@pytest.mark.parametrize("make", MAKERS)
def test_the_vine_is_exact_or_refused(make: Callable[[], gymnasium.Env]) -> None:
    make().close()
    vine = trpolab.Vine(trunks=2, trunk_length=40, states=8, actions=2, rollout_length=5)
    simulator = trpolab.make(make)
    if not simulator.can_restore:
        with pytest.raises(ConfigError, match="vine"):
            trpolab.Session(make, out=None, sampler=vine)
        return
    run = trpolab.train(make, out=None, iterations=2, sampler=vine)
    assert len(run.history) == 2
    simulator.reset(None, np.array([7]))
    rng = np.random.default_rng(0)
    for state in range(3):
        saved, actions = simulator.snapshot(None), [sampled(simulator, rng) for _ in range(15)]
        futures = []
        for _ in range(2):
            simulator.restore(None, saved)
            futures.append([simulator.step(None, action) for action in actions])
        for one, other in zip(*futures, strict=True):
            assert one.obs.tobytes() == other.obs.tobytes(), state
            assert one.reward.tobytes() == other.reward.tobytes(), state


def sampled(simulator: Any, rng: np.random.Generator) -> np.ndarray:
    """One action [1, ...] of the simulator's space."""
    space = simulator.action_space
    if isinstance(space, gymnasium.spaces.Box):
        return rng.uniform(-1, 1, (1, *space.shape)).astype(space.dtype)
    return rng.integers(0, space.n, 1)

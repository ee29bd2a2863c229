"""The MuJoCo tasks against Gymnasium's own environments: equality of every bit, over whole episodes and many resets."""

from __future__ import annotations

from collections.abc import Callable

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit

from trpolab.simulators import Snapshot, make

V5 = [
    "Swimmer-v5",
    "Hopper-v5",
    "Walker2d-v5",
    "HalfCheetah-v5",
    "InvertedPendulum-v5",
    "InvertedDoublePendulum-v5",
    "Reacher-v5",
    "Pusher-v5",
    "Ant-v5",
    "Humanoid-v5",
]
STEPS = 1020  # beyond the time limit of 1000
# Scale of the actions by slot: bold ones explore, small ones keep episodes alive, the last exceed the bounds unclipped.
SCALES = np.array([1.0, 0.2, 0.02, 1.5])
Choose = Callable[[np.ndarray], np.ndarray]  # observations [n, O] -> actions [n, A]


def follow(name: str, steps: int, choose: Choose, width: int) -> list[int]:
    """Step a simulator and `width` environments side by side, with resets; the lengths of the finished episodes."""
    simulator = make(name, width)
    envs = [gymnasium.make(name) for _ in range(width)]
    seeds = np.arange(100, 100 + width)
    obs = simulator.reset(None, seeds).copy()
    for n, env in enumerate(envs):
        assert np.array_equal(obs[n], env.reset(seed=int(seeds[n]))[0])
    ages, lengths = np.zeros(width, np.int64), []
    for _ in range(steps):
        actions = choose(obs)
        result = simulator.step(None, actions)
        assert not result.unstable.any()
        obs = result.obs.copy()
        over = result.terminated | result.truncated
        ages += 1
        for n, env in enumerate(envs):
            expected, reward, terminated, truncated, _ = env.step(actions[n])
            assert obs[n].tobytes() == expected.tobytes(), (n, ages[n])
            assert result.reward[n] == reward, (n, ages[n])
            assert (result.terminated[n], result.truncated[n]) == (terminated, truncated), (n, ages[n])
        if over.any():
            ended = np.flatnonzero(over)
            lengths += ages[ended].tolist()
            ages[ended] = 0
            seeds[ended] += 1000
            obs[ended] = simulator.reset(ended, seeds[ended])
            for n in ended:
                assert np.array_equal(obs[n], envs[n].reset(seed=int(seeds[n]))[0])
    return lengths


@pytest.mark.parametrize("name", V5)
def test_random_actions(name: str) -> None:
    rng = np.random.default_rng(0)
    space = make(name, 1).action_space

    def choose(obs: np.ndarray) -> np.ndarray:
        actions = SCALES[:, None] * rng.standard_normal((4, *space.shape)) * space.high
        actions[:3] = np.clip(actions[:3], space.low, space.high)
        return actions.astype(np.float32)

    lengths = follow(name, STEPS, choose, width=4)
    limit = make(name, 1).time_limit
    if name in ("Swimmer-v5", "HalfCheetah-v5", "Ant-v5", "Reacher-v5", "Pusher-v5"):
        assert limit in lengths  # a whole episode up to the time limit was compared
    else:
        assert len(lengths) > 20  # many ends and resets were


def test_double_precision_actions() -> None:
    rng = np.random.default_rng(1)
    follow("Hopper-v5", 100, lambda obs: rng.uniform(-0.5, 0.5, size=(2, 3)), width=2)


def test_a_balanced_pendulum_up_to_the_time_limit() -> None:
    gains = np.array([1.0, 10.0, 1.0, 2.0])
    lengths = follow("InvertedPendulum-v5", STEPS, lambda obs: (obs @ gains)[:, None].astype(np.float32), width=2)
    assert lengths == [1000, 1000]


@pytest.mark.parametrize("name", ["Hopper-v5", "Walker2d-v5", "InvertedDoublePendulum-v5", "Humanoid-v5"])
def test_the_time_limit_of_tasks_that_end_earlier(name: str) -> None:
    """Both sides are told that the episode is old: ends, rewards and observations around step 1000."""
    simulator, env = make(name, 1), gymnasium.make(name)
    simulator.reset(None, np.array([7]))
    env.reset(seed=7)
    saved = simulator.snapshot(None)
    simulator.restore(None, Snapshot({**saved.parts, "steps": np.array([996])}))
    layer = env
    while not isinstance(layer, TimeLimit):
        layer = layer.env
    layer._elapsed_steps = 996
    for age in range(997, 1001):
        action = np.full(simulator.action_space.shape, 0.01, np.float32)
        result = simulator.step(None, action[None])
        obs, reward, terminated, truncated, _ = env.step(action)
        assert np.array_equal(result.obs[0], obs) and result.reward[0] == reward
        assert (result.terminated[0], result.truncated[0]) == (terminated, truncated) == (False, age == 1000)


@pytest.mark.parametrize("name", V5)
def test_spaces(name: str) -> None:
    simulator, env = make(name, 1), gymnasium.make(name)
    assert simulator.observation_space == env.observation_space
    assert simulator.action_space == env.action_space
    assert simulator.time_limit == env.spec.max_episode_steps

"""The cart-poles: one against Gymnasium bit for bit, the paper's against the equations written out for one pole."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest

from trpolab.simulators import find_task, make
from trpolab.training.config import resolve


def test_cartpole_equals_gymnasium() -> None:
    """Random pushes, and a balancing rule that lives up to the time limit, through many seeded resets."""
    simulator, envs = make("CartPole-v1", 3), [gymnasium.make("CartPole-v1") for _ in range(3)]
    rng, seeds, lengths = np.random.default_rng(0), np.array([1, 2, 3]), []
    obs, ages = simulator.reset(None, seeds).copy(), np.zeros(3, np.int64)
    for n, env in enumerate(envs):
        assert obs[n].tobytes() == env.reset(seed=int(seeds[n]))[0].tobytes()
    for _ in range(1100):
        actions = rng.integers(0, 2, size=3)
        actions[0] = obs[0] @ [0.2, 0.5, 5.0, 1.0] > 0
        result = simulator.step(None, actions)
        obs, ages = result.obs.copy(), ages + 1
        for n, env in enumerate(envs):
            expected, reward, terminated, truncated, _ = env.step(int(actions[n]))
            assert obs[n].tobytes() == expected.tobytes()
            flags = (result.reward[n], result.terminated[n], result.truncated[n])
            assert flags == (reward, terminated, truncated)
        ended = np.flatnonzero(result.terminated | result.truncated)
        lengths += ages[ended].tolist()
        ages[ended], seeds[ended] = 0, seeds[ended] + 10
        obs[ended] = simulator.reset(ended, seeds[ended])
        for n in ended:
            assert obs[n].tobytes() == envs[n].reset(seed=int(seeds[n]))[0].tobytes()
    assert 500 in lengths and min(lengths) < 30
    spaces = envs[0].observation_space, envs[0].action_space
    assert (simulator.observation_space, simulator.action_space) == spaces


def one_pole(state: list[float], force: float) -> list[float]:
    """A decision of 0.05 s as two Euler steps, after Barto, Sutton and Anderson (1983), without friction."""
    for _ in range(2):
        x, v, angle, spin = state
        total, half = 1.1, 0.5
        drive = (-force - 0.1 * half * spin**2 * math.sin(angle)) / total
        bend = (9.8 * math.sin(angle) + math.cos(angle) * drive) / (half * (4 / 3 - 0.1 * math.cos(angle) ** 2 / total))
        push = (force + 0.1 * half * (spin**2 * math.sin(angle) - bend * math.cos(angle))) / total
        state = [x + 0.025 * v, v + 0.025 * push, angle + 0.025 * spin, spin + 0.025 * bend]
    return state


def test_the_papers_cartpole_follows_its_equations() -> None:
    simulator, rng = make("paper/CartPole", 4), np.random.default_rng(0)
    states = simulator.reset(None, np.arange(4)).astype(np.float64).tolist()
    saved = simulator.snapshot(None).parts["state"]
    states, alive = saved.tolist(), np.ones(4, bool)
    assert (np.abs(saved) <= 0.05).all()
    ends = 0
    for _ in range(60):
        forces = rng.uniform(-10, 10, size=(4, 1)).astype(np.float32)
        result = simulator.step(None, forces)
        for n in np.flatnonzero(alive):
            states[n] = one_pole(states[n], float(forces[n, 0]))
            np.testing.assert_allclose(result.obs[n], states[n], rtol=2e-6, atol=1e-6)
            fallen = abs(states[n][0]) > 2.4 or abs(states[n][2]) > 0.2
            assert result.terminated[n] == fallen
            reward = 10 - (1 - math.cos(states[n][2])) - 1e-5 * float(forces[n, 0]) ** 2
            assert result.reward[n] == pytest.approx(0.0 if fallen else reward, abs=1e-9)
            alive[n] = not fallen
            ends += fallen
    assert ends == 4


def test_the_papers_cartpole_has_a_policy_of_six_parameters() -> None:
    """Four weights, a bias and a log standard deviation: a linear Gaussian policy."""
    for preset in ("paper", "modern"):
        assert resolve(find_task("paper/CartPole"), preset).policy.hidden == ()
    about = find_task("paper/CartPole")
    assert about.observation_space.shape == (4,) and about.action_space.shape == (1,)
    assert (about.action_space.low, about.action_space.high) == (-10, 10)


def test_the_pole_is_drawn_where_it_is() -> None:
    """The pole's own z axis, turned by its quaternion, leans by θ towards positive x."""
    simulator = make("CartPole-v1", 2)
    obs = simulator.reset(None, np.array([3, 4]))
    for _ in range(6):
        obs = simulator.step(None, np.array([0, 1])).obs
    pose = simulator.poses(None)
    np.testing.assert_allclose(pose[:, 1, 0], obs[:, 0], rtol=1e-6)
    w, y = pose[:, 2, 3], pose[:, 2, 5]
    np.testing.assert_allclose(2 * w * y, np.sin(obs[:, 2]), rtol=1e-5)  # x of the turned z axis
    np.testing.assert_allclose(1 - 2 * y**2, np.cos(obs[:, 2]), rtol=1e-5)


def test_a_frame_of_the_scene_lasts_as_long_as_a_decision() -> None:
    assert make("CartPole-v1", 1).scene.seconds == 0.02
    assert make("paper/CartPole", 1).scene.seconds == 0.05

"""The paper's swimmer, hopper and walker against Gymnasium's environments with the paper's weights and full states."""

from __future__ import annotations

import gymnasium
import mujoco
import numpy as np
import pytest

from trpolab.simulators import find_task, make
from trpolab.simulators.mujoco.catalogue import IMPACT_WEIGHT
from trpolab.training.config import resolve

# 1e-5 |gear a|^2 = weight |a|^2
CASES = {
    "paper/Swimmer": ("Swimmer-v5", 1e-5 * 150**2, 10),
    "paper/Hopper": ("Hopper-v5", 1e-5 * 200**2, 12),
    "paper/Walker": ("Walker2d-v5", 1e-5 * 100**2, 18),
}


def ground_reaction(model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """|F|^2 of the sum of all contact forces in the world's x and z, from MuJoCo's own contact list."""
    total, force = np.zeros(3), np.zeros(6)
    for index in range(data.ncon):
        mujoco.mj_contactForce(model, data, index, force)
        total += data.contact[index].frame.reshape(3, 3).T @ force[:3]
    return float(total[0] ** 2 + total[2] ** 2)


@pytest.mark.parametrize("name", CASES)
def test_states_rewards_and_ends(name: str) -> None:
    like, weight, size = CASES[name]
    simulator = make(name, 1)
    env = gymnasium.make(like, ctrl_cost_weight=weight, exclude_current_positions_from_observation=False)
    assert simulator.observation_space.shape == (size,)
    rng, impacts, ends = np.random.default_rng(0), [], 0
    for seed in range(4):
        obs = simulator.reset(None, np.array([seed]))[0]
        assert np.array_equal(obs, env.reset(seed=seed)[0])
        for _ in range(150):
            action = np.clip(0.4 * rng.standard_normal(simulator.action_space.shape), -1, 1).astype(np.float32)
            result = simulator.step(None, action[None])
            obs, reward, terminated, truncated, _ = env.step(action)
            assert np.array_equal(result.obs[0], obs)
            assert (result.terminated[0], result.truncated[0]) == (terminated, truncated)
            impact = ground_reaction(env.unwrapped.model, env.unwrapped.data) if name == "paper/Walker" else 0.0
            impacts.append(impact)
            # v5 withholds the 1 for being alive in the step that ends the episode; the paper's tasks pay it.
            expected = reward + float(terminated) - IMPACT_WEIGHT * impact
            assert result.reward[0] == pytest.approx(expected, abs=2e-6 * (1 + abs(expected)))
            if terminated:
                ends += 1
                break
    assert (ends > 0) == (name != "paper/Swimmer")
    assert (max(impacts) > 1e4) == (name == "paper/Walker")  # feet have struck the ground, so the penalty was tested


@pytest.mark.parametrize(
    ("name", "steps", "hidden", "states", "length"),
    [
        ("paper/Swimmer", 50_000, (30,), 125, 50),
        ("paper/Hopper", 1_000_000, (50,), 625, 100),
        ("paper/Walker", 1_000_000, (50,), 625, 100),
    ],
)
def test_table_2(name: str, steps: int, hidden: tuple[int, ...], states: int, length: int) -> None:
    """The paper's preset takes the sizes of Table 2, all of them settings that exist and are within bounds."""
    config = resolve(find_task(name), "paper")
    assert (config.path.steps_per_iteration, config.policy.hidden, config.path.horizon) == (steps, hidden, 1000)
    assert (config.vine.states, config.vine.rollout_length) == (states, length)
    assert (config.vine.trunks, config.vine.trunk_length, config.vine.actions) == (16, 1000, 4)
    assert not config.vine.tail_value
    assert (config.iterations, config.trust.delta, config.gamma) == (200, 0.01, 0.99)

"""What is learned does not depend on the units of rewards, observations and actions, nor on their offsets."""

from __future__ import annotations

import functools
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from gymnasium.wrappers import RescaleAction, TransformObservation, TransformReward

from trpolab import evaluate, load_policy
from trpolab.sampling.errors import NonFinite
from trpolab.training.loop import Diverged
from trpolab.training.session import Session

FEW = {"out": None, "iterations": 5, "steps_per_iteration": 512, "slots": 8, "threads": 1}
VINE = {"sampler": "vine", "vine.trunks": 2, "vine.trunk_length": 80, "vine.states": 16, "vine.rollout_length": 15}
METHODS = {
    "TRPO": {},
    "whole paths": {"path.whole": True, "advantage": "monte_carlo", "path.horizon": 100},
    "KL penalty": {"method": "kl_penalty", "path.standardize": False},
    "vine": VINE,
}


def paid(name: str, scale: float = 1.0, offset: float = 0.0) -> gymnasium.Env:
    """The environment with rewards in another unit."""
    return TransformReward(gymnasium.make(name), lambda reward: scale * reward + offset)


def seen(name: str, scale: float = 1.0, offset: float = 0.0) -> gymnasium.Env:
    """The environment with observations in another unit; its space has no room for more than float32."""
    env = gymnasium.make(name)
    space = Box(-np.inf, np.inf, env.observation_space.shape, np.float32)
    return TransformObservation(env, lambda obs: scale * obs.astype(np.float64) + offset, space)


def curve(make: Any, *args: float, **settings: Any) -> tuple[np.ndarray, torch.Tensor]:
    """Mean returns of the iterations (NaN where none ended), and how far θ came from where it began."""
    session = Session(lambda: make(*args), **{**FEW, **settings})
    start = session.policy.theta.clone()
    session.run()
    return np.array([row["return_mean"] for row in session.history], float), session.policy.theta - start


def nearly(moved: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether θ came to the same place but for a fifth of the way: rounding grows from iteration to iteration."""
    return bool((moved - other).norm() < 0.2 * moved.norm())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [2.0**-26, 2.0**26])
def test_rewards_times_a_power_of_two_teach_the_same_bit_for_bit(method: str, scale: float) -> None:
    returns, theta = curve(paid, "CartPole-v1", **METHODS[method])
    found, other = curve(paid, "CartPole-v1", scale, **METHODS[method])
    np.testing.assert_array_equal(found, scale * returns)
    assert torch.equal(theta, other)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1e4, 1e8])
def test_rewards_of_any_scale_teach_the_same(name: str, scale: float) -> None:
    returns, theta = curve(paid, name)
    found, other = curve(paid, name, scale)
    np.testing.assert_allclose(found, scale * returns, rtol=1e-3)
    assert torch.allclose(theta, other, atol=1e-3)


@pytest.mark.parametrize("settings", [{}, {**METHODS["whole paths"], "path.standardize": False}, VINE])
@pytest.mark.parametrize("scale", [1e-200, 1e-310])
def test_rewards_whose_squares_are_no_floats_are_said_to_be_too_small(scale: float, settings: dict[str, Any]) -> None:
    session = Session(lambda: paid("CartPole-v1", scale), **{**FEW, "iterations": 2, **settings})
    before = session.policy.theta
    session.run()
    assert torch.equal(session.policy.theta, before)
    for row in session.history:
        assert row["outcome"] in ("skipped_degenerate_batch", "skipped_zero_gradient")


@pytest.mark.parametrize("offset", [-100.0, 100.0, 1e6])
def test_an_offset_of_rewards_that_no_action_changes_teaches_the_same(offset: float) -> None:
    """Pendulums swing for 200 steps whatever they do."""
    returns, theta = curve(paid, "Pendulum-v1", iterations=3)
    found, other = curve(paid, "Pendulum-v1", 1.0, offset, iterations=3)
    np.testing.assert_allclose(found - 200 * offset, returns, rtol=0.01)
    assert nearly(theta, other)


def test_an_offset_of_rewards_does_not_hide_what_a_vine_compares() -> None:
    _, theta = curve(paid, "Pendulum-v1", iterations=2, **VINE)
    _, other = curve(paid, "Pendulum-v1", 1.0, 1e5, iterations=2, **VINE)
    assert nearly(theta, other)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("scale", [2.0**-24, 1e-8, 1e-4, 1e8])
def test_observations_of_any_scale_teach_the_same(name: str, scale: float) -> None:
    returns, theta = curve(seen, name)
    found, other = curve(seen, name, scale)
    np.testing.assert_allclose(found, returns, rtol=1e-3)
    assert torch.allclose(theta, other, atol=1e-3)
    if scale == 2.0**-24:
        assert torch.equal(theta, other)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 1e4), (1.0, 1.7e9), (1e-4, 48.0)])
def test_observations_far_from_zero_teach_the_same(name: str, scale: float, offset: float) -> None:
    """For as long as no rounding decides which of two actions is drawn."""
    returns, theta = curve(seen, name, iterations=2)
    found, other = curve(seen, name, scale, offset, iterations=2)
    np.testing.assert_allclose(found, returns, rtol=0.02)
    assert nearly(theta, other)


@pytest.mark.parametrize("method", ["cem", "cma_es", "reps"])
def test_searches_see_large_offsets_too(method: str) -> None:
    settings = {"method": method, "hidden": (), "path.horizon": 60, "iterations": 2}
    returns, theta = curve(seen, "CartPole-v1", **settings)
    found, other = curve(seen, "CartPole-v1", 1.0, 1.7e9, **settings)
    np.testing.assert_allclose(found, returns, rtol=0.02)
    assert nearly(theta, other)


def test_a_policy_acts_at_large_offsets_as_it_learned_to(tmp_path: Any) -> None:
    session = Session(lambda: seen("Pendulum-v1", 1.0, 1.7e9), **FEW).run()
    policy, obs = session.policy, 1.7e9 + np.array([[0.3, -0.9, 2.0], [0.9, 0.1, -4.0]])
    for array in (obs, obs.tolist()):
        means = policy(array, deterministic=True)
        assert np.abs(means[0] - means[1]) > 1e-3
        u = policy.to_module()(torch.tensor(array, dtype=torch.float64))
        np.testing.assert_allclose(np.clip(u[:, :1].detach().numpy(), -2, 2), means, atol=1e-5)
    policy.save(tmp_path / "p")

    np.testing.assert_array_equal(load_policy(tmp_path / "p")(obs, deterministic=True), means)


def test_rewards_beyond_the_range_of_float32_end_the_run_with_a_sentence() -> None:
    with pytest.raises(Diverged, match=r"reward \(or one beyond ±1e\+30\)"):
        curve(paid, "CartPole-v1", 1e200)
    session = Session("CartPole-v1", **{**FEW, "iterations": 1}).run()
    with pytest.raises(NonFinite, match=r"slot 0, step 0: non-finite reward \(or one beyond ±1e\+30\)"):
        evaluate(session.policy, lambda: paid("CartPole-v1", 1e200), episodes=1)


@pytest.mark.parametrize("bounds", [(5.0, 35.0), (-1e-3, 1e-3), (-3.0, 0.0)])
def test_actions_between_any_bounds_teach_the_same(bounds: tuple[float, float]) -> None:
    def rescaled(low: float, high: float) -> gymnasium.Env:
        return RescaleAction(gymnasium.make("Pendulum-v1"), np.float32(low), np.float32(high))

    returns, theta = curve(rescaled, -1.0, 1.0, iterations=3)
    found, other = curve(rescaled, *bounds, iterations=3)
    np.testing.assert_allclose(found, returns, rtol=0.02)
    assert nearly(theta, other)


class Target(gymnasium.Env):
    """A valve that must be opened by what is shown, between 5 and 35."""

    observation_space = Box(5.0, 35.0, (1,), np.float64)
    action_space = Box(np.array([5.0]), np.array([35.0]), dtype=np.float64)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps, self.shown, self.taken = 0, self.np_random.uniform(5, 35, 1), []
        return self.shown, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        self.taken.append(action)
        reward = -abs(float(action[0] - self.shown[0]))
        self.steps, self.shown = self.steps + 1, self.np_random.uniform(5, 35, 1)
        return self.shown, reward, False, self.steps >= 20, {}


def test_bounds_far_from_0_are_learned_by_default_and_told_of_otherwise() -> None:
    session = Session(Target, **{**FEW, "iterations": 40}).run()
    assert session.history[-1]["clipped_fraction"] < 0.5 and session.events == []
    assert session.history[-1]["return_mean"] > -60 > session.history[0]["return_mean"]
    obs = np.array([[8.0], [30.0]])
    actions = session.policy(obs, deterministic=True)
    assert actions.dtype == np.float64 and np.abs(actions - obs).max() < 5
    means = session.policy.to_module()(torch.tensor(obs))[:, :1].detach()
    np.testing.assert_allclose(np.clip(means, 5, 35), actions, atol=1e-3)
    mean = evaluate(session.policy, Target, episodes=5, deterministic=True).mean
    assert mean > session.history[-1]["return_mean"]
    for settings in ({"policy.scale_actions": False}, {"preset": "paper", "path.horizon": 20}):
        plain = Session(Target, **{**FEW, "iterations": 2}, **settings).run()
        assert not plain.policy.scaled_actions and plain.history[0]["clipped_fraction"] > 0.9
        assert [event["about"] for event in plain.events if event["event"] == "warning"] == ["clipping"]
        assert "policy.scale_actions" in plain.warnings["clipping"]


@functools.cache
def reached(make: Any, scale: float, offset: float) -> float:
    """Mean length of the last ten iterations' episodes, over three seeds."""
    lengths = []
    for seed in range(3):
        settings = {**FEW, "iterations": 40, "steps_per_iteration": 1024, "slots": 16, "seed": seed}
        session = Session(lambda: make("CartPole-v1", scale, offset), **settings).run()
        lengths += [row["length_mean"] for row in session.history if row["length_mean"] is not None][-10:]
    return float(np.mean(lengths))


@pytest.mark.soak
@pytest.mark.parametrize(
    ("make", "scale", "offset"),
    [
        *((paid, scale, offset) for scale, offset in [(1e-8, 0.0), (1e8, 0.0), (1.0, 100.0), (1.0, 1e6)]),
        *((seen, scale, offset) for scale, offset in [(1e-6, 0.0), (1e6, 0.0), (1.0, 1e4), (1.0, 1.7e9)]),
    ],
)
def test_whole_runs_end_as_well(make: Any, scale: float, offset: float) -> None:
    """Cart-poles; for them a reward of 1 + 100 a step is one of another scale."""
    assert reached(make, scale, offset) >= 0.9 * reached(make, 1.0, 0.0)

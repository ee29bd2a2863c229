"""Environments of pictures, through Gymnasium's wrappers, train by defaults and see all of their pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.wrappers import FrameStackObservation, GrayscaleObservation, TransformObservation

import trpolab
from trpolab.policies.frames import Frames
from trpolab.settings import ConfigError

HEIGHT, WIDTH = 36, 40
TINY: dict[str, Any] = {"iterations": 2, "steps_per_iteration": 64, "slots": 4, "value.hidden": (8,), "out": None}


class Lights(gymnasium.Env):
    """One of three colours lights up; the action that names it earns 1."""

    observation_space, action_space = Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8), Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.age = 0
        return self._look(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        earned, self.age = float(action == self.lit), self.age + 1
        return self._look(), earned, self.age >= 8, False, {}

    def _look(self) -> np.ndarray:
        self.lit = int(self.np_random.integers(3))
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        picture[..., self.lit] = 200
        return picture


def first(env: gymnasium.Env) -> gymnasium.Env:
    """Channels first."""
    turned = Box(0, 255, (3, HEIGHT, WIDTH), np.uint8)
    return TransformObservation(env, lambda obs: np.ascontiguousarray(obs.transpose(2, 0, 1)), turned)


WRAPPED: dict[str, tuple[Any, int]] = {
    "channels last": (Lights, 3),
    "channels first": (lambda: first(Lights()), 3),
    "grey": (lambda: GrayscaleObservation(Lights()), 1),
    "grey with an axis": (lambda: GrayscaleObservation(Lights(), keep_dim=True), 1),
    "grey stack": (lambda: FrameStackObservation(GrayscaleObservation(Lights()), 4), 4),
    "stack of colours": (lambda: FrameStackObservation(Lights(), 2), 6),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_pictures_train_by_default(name: str, tmp_path: Path) -> None:
    factory, channels = WRAPPED[name]
    session = trpolab.Session(factory, **TINY)
    batches = [iteration.batch for iteration in session.iterate()]
    assert [line["outcome"].split("_")[0] for line in session.history] == ["accepted"] * 2
    policy, env = session.policy, factory()
    assert policy.normalizer is None and policy.network.inputs == (channels, HEIGHT, WIDTH)
    features = policy.features(batches[-1].obs)
    assert isinstance(features, Frames) and features.shape == (64, channels, HEIGHT, WIDTH)
    assert sorted(np.unique(features.pixels().numpy()).tolist()) == np.unique(batches[-1].obs).tolist()
    np.testing.assert_allclose(policy.evaluate(features), batches[-1].old, atol=0.5)  # the policy before the update
    policy.save(tmp_path / "p")
    obs, _ = env.reset(seed=3)
    assert trpolab.load_policy(tmp_path / "p")(obs, deterministic=True) == policy(obs, deterministic=True)
    assert len(trpolab.evaluate(policy, factory, episodes=2).returns) == 2


@pytest.mark.parametrize("name", ["channels last", "channels first"])
def test_colours_are_learned(name: str) -> None:
    """A network that saw one channel of three would earn 5 of 8 at most."""
    settings = TINY | {"steps_per_iteration": 512, "iterations": 8, "slots": 16, "gamma": 0.5, "seed": 1}
    policy = trpolab.train(WRAPPED[name][0], **settings).policy
    assert trpolab.evaluate(policy, WRAPPED[name][0], episodes=10, deterministic=True).mean > 7.5


@pytest.mark.parametrize("how", [{"path.whole": True, "advantage": "centred"}, {"sampler": "vine", "vine.trunks": 2}])
def test_other_samplers_see_pictures_too(how: dict[str, Any]) -> None:
    small = {"vine.trunk_length": 20, "vine.states": 5, "vine.rollout_length": 4, "path.horizon": 20}
    session = trpolab.train(Lights, **TINY, **small, **how)
    assert len(session.history) == 2


def test_a_perceptron_takes_pictures_as_plain_numbers() -> None:
    session = trpolab.train(Lights, **TINY, **{"policy.network": "mlp"}, hidden=(4,))
    assert session.policy.network.inputs == (HEIGHT * WIDTH * 3,) and session.policy.normalizer is not None


@pytest.mark.parametrize("network", ["auto", "mlp"])
def test_a_batch_that_does_not_fit_the_memory_is_refused_with_the_numbers(network: str) -> None:
    with pytest.raises(ConfigError, match=r"a batch that keeps 1,000,000,000 states of Lights takes about [0-9.]+ GiB"):
        trpolab.train(Lights, steps_per_iteration=1_000_000_000, out=None, **{"policy.network": network})

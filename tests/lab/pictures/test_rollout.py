"""Recordings of episodes."""

from __future__ import annotations

import io
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from PIL import Image

from trpolab.lab.pictures.poster import MOST_BYTES, PART, PART_TOO, STILL, draw_poster, shapes_of
from trpolab.lab.pictures.reel import Reel
from trpolab.lab.pictures.rollout import CurveRollout, record
from trpolab.policies import make_policy
from trpolab.settings import PlainError
from trpolab.simulators import find_task, make
from trpolab.simulators.registry import drawn
from trpolab.training.config import resolve


@pytest.mark.parametrize("task", ["CartPole-v1", "Hopper-v5"])
def test_a_recording_is_the_episode_that_the_policy_plays(task: str) -> None:
    about = find_task(task)
    config = resolve(about)
    policy = make_policy(about.observation_space, about.action_space, config.policy, np.random.default_rng(0))
    policy = policy.replace(normalizer=None)
    first, second = (record(policy, make(task, 1)) for _ in range(2))
    np.testing.assert_array_equal(first.poses, second.poses)
    assert first.poses.shape[1:] == (len(first.scene.bodies), 7) and first.poses.dtype == np.float32
    assert first.terminated and 0 < len(first.rewards) < 1000
    if task == "CartPole-v1":
        assert first.total == len(first.rewards)  # one point a step
    png = draw_poster(first)
    assert len(png) < MOST_BYTES and Image.open(io.BytesIO(png)).n_frames > 2
    values = {STILL, PART, PART_TOO}
    assert {shape.colour for shape in shapes_of(first.scene, first.poses.astype(float))} <= values


def test_no_divergence_is_below_zero() -> None:
    about = find_task("CartPole-v1")
    policy = make_policy(about.observation_space, about.action_space, resolve(about).policy, np.random.default_rng(0))
    policy = policy.replace(normalizer=None)
    nearly = policy.replace(theta=policy.theta * np.float32(1 + 1e-5))
    kl = record(nearly, make("CartPole-v1", 1), before=policy).tracks.kl
    assert np.all((kl >= 0) & (kl < 1e-5))


class Quiet(gymnasium.Env[Any, Any]):
    """Observes what it is told to, and can't be drawn."""

    action_space = Discrete(2)

    def __init__(self, space: Any, observed: Any):
        self.observation_space, self._observed, self._steps = space, observed, 0

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._steps = 0
        return self._observed(0), {}

    def step(self, action: Any) -> Any:
        self._steps += 1
        return self._observed(self._steps), 0.5, self._steps == 6, False, {}


def recorded(source: Any) -> Any:
    about = find_task(source)
    config = resolve(about).policy
    spaces = about.observation_space, about.action_space
    policy = make_policy(*spaces, config, np.random.default_rng(0), own_spaces=about.spaces)
    return record(policy, make(drawn(source), 1), before=policy)


def test_where_nothing_can_be_drawn_observations_are_curves() -> None:
    made = recorded(lambda: Quiet(Box(-9, 9, (12,), np.float64), lambda t: np.arange(12.0) * t / 100))
    assert isinstance(made, CurveRollout) and made.values.shape == (7, 8) and made.names[-1] == "obs[11]"
    np.testing.assert_allclose(made.values[:, -1], 11 * np.arange(7) / 100, rtol=1e-6)
    assert "has no render_mode='rgb_array'; its observations are shown instead" in made.note
    assert made.tracks.actions.shape == (6,) and np.abs(made.tracks.kl).max() == 0 and made.terminated
    assert Image.open(io.BytesIO(draw_poster(made))).size == (480, 212)


def test_a_state_is_a_lit_cell_and_a_matrix_its_numbers() -> None:
    state = recorded(lambda: Quiet(Discrete(7), lambda t: t))
    assert state.screens.shape == (7, 3, 3)
    assert [int(np.flatnonzero(screen == 1)[0]) for screen in state.screens] == list(range(7))
    matrix = recorded(lambda: Quiet(Box(0, 9, (4, 5), np.float64), lambda t: np.eye(4, 5) * t))
    assert matrix.screens.shape == (7, 4, 5)
    shown = matrix.palette[matrix.screens[6]][..., 0]
    np.testing.assert_array_equal(shown, 255 * np.eye(4, 5))


def test_pictures_keep_their_colours_and_large_ones_become_smaller() -> None:
    rng = np.random.default_rng(0)
    exact, photo = Reel(50), Reel(50)
    drawings = rng.integers(0, 3, (20, 8, 9, 1)).repeat(3, axis=3).astype(np.uint8) * 100
    smooth = np.linspace(0, 255, 900 * 600 * 3).reshape(600, 900, 3).astype(np.uint8)
    for drawing in drawings:
        exact.add(drawing)
        photo.add(np.roll(smooth, len(drawing), axis=0))
    frames = exact.developed()
    np.testing.assert_array_equal(frames.palette[frames.screens], drawings)
    frames = photo.developed()
    assert frames.screens.shape == (20, 213, 320)
    assert np.abs(frames.palette[frames.screens[0]].astype(int).mean() - smooth.mean()) < 3


def test_patience_ends_a_recording() -> None:
    about = find_task("CartPole-v1")
    policy = make_policy(about.observation_space, about.action_space, resolve(about).policy, np.random.default_rng(0))
    cut = record(policy, make("CartPole-v1", 1), patience=0.0)
    assert len(cut.rewards) == 1 and cut.note == "recording took more than 0 s: the first 1 steps are shown"
    for wrong in (0, 2.5, True):
        with pytest.raises(PlainError, match="max_steps"):
            record(policy, make("CartPole-v1", 1), max_steps=wrong)

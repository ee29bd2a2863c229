"""Recordings of episodes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from trpolab.lab.pictures.poster import MOST_BYTES, PART, PART_TOO, STILL, draw_poster, shapes_of
from trpolab.lab.pictures.rollout import record
from trpolab.policies import make_policy
from trpolab.simulators import find_task, make
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

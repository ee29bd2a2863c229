"""Pictures of every layout become planes of pixels, and none of them is left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from gymnasium.spaces import Box, Discrete

from trpolab.policies import Policy, make_policy, read_policy
from trpolab.policies.config import PolicyConfig
from trpolab.policies.frames import Frames, height_axis, looks_like_pictures, planes, planes_shape
from trpolab.policies.serialization import METADATA_KEY

# (shape, axis of the height, channels, height, width)
LAYOUTS = [
    ((4, 84, 84), 1, 4, 84, 84),
    ((84, 84, 4), 0, 4, 84, 84),
    ((3, 96, 64), 1, 3, 96, 64),
    ((96, 64, 3), 0, 3, 96, 64),
    ((210, 160, 3), 0, 3, 210, 160),
    ((84, 84), 0, 1, 84, 84),
    ((84, 84, 1), 0, 1, 84, 84),
    ((1, 84, 84), 1, 1, 84, 84),
    ((4, 84, 84, 1), 1, 4, 84, 84),
    ((4, 96, 64, 3), 1, 12, 96, 64),
    ((4, 3, 96, 64), 2, 12, 96, 64),
    ((12, 12, 12), 1, 12, 12, 12),
]
SMALL = [(3, 14, 12), (14, 12, 3), (32, 34), (14, 12, 1), (2, 14, 12, 3), (2, 3, 14, 12)]


@pytest.mark.parametrize(("shape", "axis", "channels", "height", "width"), LAYOUTS)
def test_layouts(shape: tuple[int, ...], axis: int, channels: int, height: int, width: int) -> None:
    assert height_axis(Box(0, 255, shape, np.uint8)) == axis
    assert planes_shape(shape, axis) == (channels, height, width)


@pytest.mark.parametrize(
    "space",
    [
        Box(0, 255, (128,), np.uint8),
        Box(0, 255, (4, 128), np.uint8),
        Box(0, 2, (3, 40, 40), np.uint8),
        Box(0, 1, (40, 40, 3), np.float32),
        Box(0, 255, (40, 40, 3), np.int32),
        Box(0, 255, (2, 2, 40, 40, 3), np.uint8),
        Box(0, 255, (), np.uint8),
        Discrete(3),
    ],
    ids=str,
)
def test_other_numbers_are_no_pictures(space: Box) -> None:
    assert height_axis(space) is None


@pytest.mark.parametrize(
    ("space", "alike"),
    [
        (Box(0, 1, (24, 24, 3)), True),
        (Box(0, 255, (4, 3, 12, 12), np.float64), True),
        (Box(-1, 1, (3, 12, 12), np.float16), True),
        (Box(0, 1, (40, 40)), True),
        (Box(-np.inf, np.inf, (84, 84, 4)), True),
        (Box(0, 1, (84, 84, 4), np.uint8), True),
        (Box(0, 255, (84, 84, 4), np.int64), True),
        (Box(0, 255, (84, 84, 4), np.uint8), False),  # they are pictures
        (Box(0, 1, (10, 10, 4), np.bool_), False),  # a board
        (Box(-np.inf, np.inf, (7, 11, 11)), False),  # a grid of numbers around a car
        (Box(-np.inf, np.inf, (60, 40)), False),  # 60 days of 40 prices
        (Box(0, 1, (30, 40)), False),
        (Box(0, 1, (3, 8, 8)), False),
        (Box(0, 1, (3072,)), False),
        (Discrete(3), False),
    ],
    ids=str,
)
def test_what_looks_like_pictures_is_not_taken_for_plain_numbers(space: Box, alike: bool) -> None:
    assert looks_like_pictures(space) is alike


@pytest.mark.parametrize("shape", SMALL)
def test_planes_hold_every_pixel_once(shape: tuple[int, ...]) -> None:
    axis = height_axis(Box(0, 255, shape, np.uint8))
    assert axis is not None
    count = int(np.prod(shape))
    pictures = np.arange(3 * count, dtype=np.int64).reshape(3, *shape)
    found = planes(pictures, axis)
    assert found.shape == (3, *planes_shape(shape, axis))
    for picture, plane in zip(pictures, found, strict=True):
        assert sorted(plane.ravel()) == sorted(picture.ravel())
        rows = np.moveaxis(picture, axis, 0)  # rows of pixels stay rows
        assert all(set(plane[:, row].ravel()) == set(rows[row].ravel()) for row in range(shape[axis]))
    assert torch.equal(planes(torch.from_numpy(pictures), axis), torch.from_numpy(np.ascontiguousarray(found)))
    assert planes(pictures[:0], axis).shape == (0, *planes_shape(shape, axis))


def policy_of(shape: tuple[int, ...]) -> Policy:
    config = PolicyConfig(hidden=(5,), normalize_observations=False, output_scale=1.0)
    return make_policy(Box(0, 255, shape, np.uint8), Discrete(3), config, np.random.default_rng(0))


@pytest.mark.parametrize("shape", SMALL)
def test_every_way_through_a_policy_sees_the_same_planes(shape: tuple[int, ...], tmp_path: Path) -> None:
    policy = policy_of(shape)
    assert policy.network.inputs == planes_shape(shape, policy.height_axis)
    obs = np.random.default_rng(1).integers(0, 256, (9, *shape), dtype=np.uint8)
    features = policy.features(obs)
    assert isinstance(features, Frames)
    expected = policy.parameters(features).detach().numpy()
    policy.save(tmp_path / "p")
    again, _ = read_policy(tmp_path / "p")
    assert again.height_axis == policy.height_axis
    for each in (policy, again):
        np.testing.assert_allclose(each.actor(9).parameters(obs), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(each.to_module()(torch.from_numpy(obs)).detach(), expected, rtol=1e-4, atol=1e-5)
        assert each(obs, deterministic=True).tolist() == expected.argmax(1).tolist()
        assert each(obs[0], deterministic=True) == expected[0].argmax()


def test_the_same_picture_in_two_layouts_is_the_same_to_a_network() -> None:
    first, last = policy_of((3, 14, 12)), policy_of((14, 12, 3))
    assert first.network == last.network and torch.equal(first.theta, last.theta)
    obs = np.random.default_rng(1).integers(0, 256, (9, 3, 14, 12), dtype=np.uint8)
    turned = np.ascontiguousarray(obs.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(first.actor(9).parameters(obs), last.actor(9).parameters(turned))


@pytest.mark.parametrize("shape", [(14, 12, 3), (3, 14, 12), (2, 14, 12, 3)])
def test_every_channel_counts(shape: tuple[int, ...]) -> None:
    policy = policy_of(shape)
    dark = np.zeros((1, *shape), np.uint8)
    before = policy.actor(8).parameters(dark).copy()
    for axis_of_channels in [axis for axis in range(len(shape)) if shape[axis] in (2, 3)]:
        for channel in range(shape[axis_of_channels]):
            lit = dark.copy()
            np.moveaxis(lit[0], axis_of_channels, 0)[channel] = 200
            assert np.abs(policy.actor(8).parameters(lit) - before).max() > 1e-3


def test_files_of_schema_2_are_of_stacks(tmp_path: Path) -> None:
    policy = policy_of((4, 14, 12))
    policy.save(tmp_path / "new")
    with safetensors.safe_open(tmp_path / "new", "np") as file:
        description = json.loads(file.metadata()[METADATA_KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert [description.pop(name) for name in ("height_axis", "normalizer_epsilon", "scaled_actions")] == [
        1,
        None,
        False,
    ]
    description["schema"] = 2
    from safetensors.numpy import save_file

    save_file(tensors, tmp_path / "old", {METADATA_KEY: json.dumps(description)})
    again, _ = read_policy(tmp_path / "old")
    obs = np.random.default_rng(1).integers(0, 256, (4, 4, 14, 12), dtype=np.uint8)
    np.testing.assert_array_equal(policy(obs, deterministic=True), again(obs, deterministic=True))

"""Bodies drawn where their poses put them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from trpolab.lab.pictures.poster import MOST_BYTES, draw_poster, rotate, shapes_of
from trpolab.lab.pictures.rollout import Rollout
from trpolab.simulators.base import Scene


def test_rotation_equals_the_matrix_of_the_quaternion() -> None:
    rng = np.random.default_rng(1)
    q = rng.normal(size=(5, 4))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    points = rng.normal(size=(3, 3))
    for quaternion, turned in zip(q, rotate(q, points), strict=True):
        w, x, y, z = quaternion
        matrix = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        np.testing.assert_allclose(turned, points @ matrix.T, atol=1e-12)


def stick(poses: np.ndarray) -> Rollout:
    """A vertical capsule on a plane."""
    plane = {
        "type": "plane",
        "size": [9, 9, 1],
        "rgba": [1, 1, 1, 1],
        "body": 0,
        "pos": [0, 0, 0],
        "quat": [1, 0, 0, 0],
    }
    pole = {**plane, "type": "capsule", "size": [0.1, 0.5, 0], "body": 1, "pos": [0, 0, 0.5]}
    scene = Scene(bodies=("world", "pole"), geoms=(plane, pole), follow=1, seconds=0.05)
    return Rollout(scene, poses, np.ones(len(poses) - 1), 1, False)


def upright(count: int) -> np.ndarray:
    poses = np.zeros((count, 2, 7), np.float32)
    poses[:, :, 3] = 1
    poses[:, 1, 0] = np.arange(count) * 0.1
    poses[:, 1, 2] = 0.1
    return poses


def test_a_capsule_is_drawn_where_its_pose_puts_it() -> None:
    rollout = stick(upright(4))
    shape = shapes_of(rollout.scene, rollout.poses.astype(float))[0]
    np.testing.assert_allclose(shape.points[2], [[0.2, 0.1], [0.2, 1.1]], atol=1e-6)  # x and z of both ends

    picture = Image.open(io.BytesIO(draw_poster(rollout)))
    seen = np.array(picture.convert("RGBA")).astype(int)
    orange = np.all(np.abs(seen[:, :, :3] - (0xE6, 0x9F, 0x00)) < 4, axis=2) & (seen[:, :, 3] > 0)
    rows, columns = np.nonzero(orange)
    assert abs(columns.mean() - picture.width / 2) < 3  # the camera follows it
    assert (np.ptp(rows) + 1) / (np.ptp(columns) + 1) == pytest.approx(1.2 / 0.2, rel=0.05)
    assert picture.n_frames == 4


def test_a_long_animation_stays_small() -> None:
    rng = np.random.default_rng(0)
    poses = upright(2000)
    poses[:, 1, 2] += rng.uniform(0, 0.5, 2000).astype(np.float32)
    assert len(draw_poster(stick(poses))) < MOST_BYTES

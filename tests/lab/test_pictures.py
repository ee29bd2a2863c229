"""Series, charts, rollouts and posters as data."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image

from trpolab.lab.charts import CHARTS, Charts
from trpolab.lab.pictures.animation import encode
from trpolab.lab.pictures.poster import MOST_BYTES, PART, PART_TOO, STILL, draw_poster, rotate, shapes_of
from trpolab.lab.pictures.rollout import Rollout, record
from trpolab.lab.series import LIMIT, Columns, thin
from trpolab.policies import make_policy
from trpolab.simulators import find_task, make
from trpolab.simulators.base import Scene
from trpolab.training.config import resolve

COLOURS = np.array([[0, 0, 0], [140, 140, 140], [230, 159, 0], [199, 127, 0]], np.uint8)


def test_thinning_keeps_ends_and_extremes() -> None:
    x = np.arange(10_000.0)
    y = np.sin(x / 300)
    y[4321] = 99.0
    few_x, few_y = thin(x, y)
    assert len(few_x) <= LIMIT and few_x[0] == 0 and few_x[-1] == 9999
    assert 99.0 in few_y and few_y.min() == y.min() and np.all(np.diff(few_x) > 0)


def test_what_does_not_apply_is_a_gap_never_a_zero() -> None:
    columns = Columns(["a"])
    columns.extend([{"a": None}, {"a": 2}, {"a": math.inf}, {}])
    np.testing.assert_array_equal(columns.get("a"), [np.nan, 2.0, np.nan, np.nan])


def test_the_figure_is_bounded_and_made_once() -> None:
    charts = Charts()
    traces = len(charts.figure.data)
    rows = [{"iteration": k, "return_mean": float(k), "delta": 0.01, "kl_mean": 0.009} for k in range(3000)]
    charts.update(rows, residuals=[1.0, 0.1, 0.0])
    assert len(charts.figure.data) == traces == sum(len(chart.lines) for chart in CHARTS)
    assert max(len(trace.x) for trace in charts.figure.data) <= LIMIT


def test_updates_wait_for_the_front_end_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("trpolab.lab.charts.time.monotonic", lambda: now[0])
    charts = Charts()
    answer = {"trace_edit_id": 0, "trace_deltas": []}
    assert not charts.being_drawn()  # nobody was handed it
    charts.handed_out()
    assert charts.being_drawn()
    charts.figure._js2py_traceDeltas = answer
    assert not charts.being_drawn()
    charts.update([{"iteration": 1}])
    assert charts.being_drawn()
    charts.figure._js2py_traceDeltas = answer
    assert not charts.being_drawn()
    charts.update([{"iteration": 2}])
    now[0] += 60.0  # it went away: not waited for for ever
    assert not charts.being_drawn()


def test_labels_of_marks_are_not_read_as_markup() -> None:
    charts = Charts()
    charts.update([], marks=[(3, "<a href='x'>δ</a>")])
    assert "<a" not in charts.figure.layout.annotations[0].text


def test_lines_of_a_chart_differ_in_more_than_colour() -> None:
    for chart in CHARTS:
        looks = [(line.dash, line.mode) for line in chart.lines]
        assert len(set(looks)) == len(looks), chart.title


def test_an_animation_holds_every_frame_for_its_time() -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 4, (20, 30)).astype(np.uint8) for _ in range(3)]
    image = Image.open(io.BytesIO(encode(frames, [40, 50, 60], COLOURS, transparency=0)))
    assert image.n_frames == 3 and image.info["loop"] == 0
    for number, frame in enumerate(frames):
        image.seek(number)
        assert image.info["duration"] == (40, 50, 60)[number]
        seen = np.array(image.convert("RGBA"))
        np.testing.assert_array_equal(seen[:, :, 3], np.where(frame == 0, 0, 255))
        np.testing.assert_array_equal(seen[frame > 0][:, :3], COLOURS[frame[frame > 0]])
    alone = Image.open(io.BytesIO(encode(frames[:1], [40], COLOURS)))
    np.testing.assert_array_equal(np.array(alone.convert("RGB")), COLOURS[frames[0]])


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


def test_a_long_animation_stays_small() -> None:
    rng = np.random.default_rng(0)
    poses = upright(2000)
    poses[:, 1, 2] += rng.uniform(0, 0.5, 2000).astype(np.float32)
    assert len(draw_poster(stick(poses))) < MOST_BYTES

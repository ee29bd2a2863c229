"""Animated pictures, read back."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from trpolab.lab.pictures.animation import encode

COLOURS = np.array([[0, 0, 0], [140, 140, 140], [230, 159, 0], [199, 127, 0]], np.uint8)


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

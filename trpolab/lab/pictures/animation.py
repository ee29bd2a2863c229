"""Animated PNGs as Pillow writes them: of each frame the box that changed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

MOST_BYTES = 200_000  # of an animation; a page with several of them still loads and saves quickly
FRAMES_PER_SECOND = 20.0  # at most
LAST_FRAME_SECONDS = 0.8  # before it starts again


def encode(frames: Sequence[np.ndarray], milliseconds: Sequence[int], palette: np.ndarray, **options: Any) -> bytes:
    """Frames [H, W] uint8 of colour numbers as an animation that loops for ever; without support the first is shown.

    `palette` [C, 3] uint8 holds red, green and blue of each number. Equal frames in succession are stored as one.
    `options` are Pillow's for PNG files, such as `transparency`.
    """
    images = [Image.fromarray(frame) for frame in frames]
    for image in images:
        image.putpalette(palette.tobytes())
    out = io.BytesIO()
    first, *others = images
    first.save(out, "PNG", save_all=True, append_images=others, duration=list(milliseconds), loop=0, **options)
    return out.getvalue()

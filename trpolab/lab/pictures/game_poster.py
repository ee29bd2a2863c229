"""An animated PNG of screens: a game's, or those an environment draws; 150 kB for twenty seconds of the games tried."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trpolab.lab.pictures.animation import FRAMES_PER_SECOND, LAST_FRAME_SECONDS, MOST_BYTES, encode
from trpolab.lab.pictures.rollout import ScreenRollout

MOST_SECONDS = 20.0  # of the task's time that are shown


@dataclass(frozen=True)
class GamePoster:
    """An animation that loops, and how much of the recording it shows."""

    png: bytes  # at the screens' resolution; a console's pixels are wide: show it at `rollout.aspect`
    seconds: float  # of the task's own time


def draw_game(rollout: ScreenRollout) -> GamePoster:
    """The screens from the start of the recording, MOST_SECONDS of them and at most MOST_BYTES.

    Where that is too large, every second frame is left out, and then the end.
    """
    seconds = min(MOST_SECONDS, rollout.seconds)
    gap = max(1, round(1 / (FRAMES_PER_SECOND * rollout.seconds_per_frame)))
    poster = _draw(rollout, seconds, gap)
    if len(poster.png) > MOST_BYTES:
        poster = _draw(rollout, seconds, gap := 2 * gap)
    while len(poster.png) > MOST_BYTES and seconds > rollout.seconds_per_frame:
        seconds *= 0.9 * MOST_BYTES / len(poster.png)
        poster = _draw(rollout, seconds, gap)
    return poster


def _draw(rollout: ScreenRollout, seconds: float, gap: int) -> GamePoster:
    """Every frame by number `gap`, up to so many seconds."""
    last = min(len(rollout.screens) - 1, round(seconds / rollout.seconds_per_frame))
    frames = np.unique([*range(0, last + 1, gap), last])  # the last one is shown for longer
    durations = [round(1000 * step * rollout.seconds_per_frame) for step in np.diff(frames)]
    png = encode(rollout.screens[frames], [*durations, round(1000 * LAST_FRAME_SECONDS)], rollout.palette)
    return GamePoster(png, last * rollout.seconds_per_frame)

"""What samplers keep of observations: arrays, or single frames where observations are stacks of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from trpolab.policies.frames import Frames, is_stack

ROOM = 1024  # rows that there is room for at first


def are_frames(obs: np.ndarray) -> bool:
    """Whether observations [n, C, H, W] are stacks of frames, of which a path keeps each frame once."""
    return is_stack(obs.shape[1:], obs.dtype)


def kept_dtype(obs: np.ndarray) -> Any:
    """Bytes stay bytes; everything else is kept as float32."""
    return np.uint8 if are_frames(obs) else np.float32


def finite_rows(obs: np.ndarray) -> np.ndarray:
    """Which of the observations [n, *O] are finite: [n] bool. Bytes always are."""
    if obs.dtype.kind != "f":
        return np.ones(len(obs), bool)
    finite: np.ndarray = np.isfinite(obs).reshape(len(obs), -1).all(axis=1)
    return finite


def newest(obs: np.ndarray) -> np.ndarray:
    """What a path keeps of observations [n, *O] besides its first: the newest frame [n, H, W], or all."""
    return obs[:, -1] if are_frames(obs) else obs


def along_paths(first: Sequence[np.ndarray], kept: Sequence[np.ndarray], shape: tuple[int, ...]) -> Any:
    """The observations of all paths laid end to end [N, *O], from what was kept: `newest` of every state [n, ...].

    `first` holds each path's first observation [*O], whole.
    """
    if not first:
        return np.zeros((0, *shape), np.float32)
    if not are_frames(first[0][None]):
        return np.concatenate(kept).reshape(-1, *shape)
    return Frames.of_paths(first, kept)


class Kept:
    """What many paths at a time keep of their observations, in the order in which it happened, in one growing array.

    Pixels are many: each frame is written once, and stays where it was written.
    """

    def __init__(self, obs: np.ndarray):
        """For slots that observe `obs` [G, *O]."""
        self._shape, self._stacks = obs.shape[1:], are_frames(obs)
        self._rows = np.empty((ROOM, *newest(obs).shape[1:]), kept_dtype(obs))
        self._count = 0

    def add(self, rows: np.ndarray) -> int:
        """Rows [n, ...]; returns the place of the first."""
        first, self._count = self._count, self._count + len(rows)
        if self._count > len(self._rows):
            self._rows.resize((max(self._count, len(self._rows) * 3 // 2), *self._rows.shape[1:]), refcheck=False)
        self._rows[first : self._count] = rows
        return first

    def begin(self, obs: np.ndarray) -> int:
        """A path begins in a state [*O]: a stack's older frames are kept, from the place that is returned on."""
        return self.add(obs[:-1]) if self._stacks else self._count

    def along_paths(self, births: Sequence[int], rows: Sequence[np.ndarray]) -> Any:
        """The observations of all paths laid end to end [N, *O]; of each what `begin` said, and its rows' places.

        Frames are handed out as they lie: nothing may be added afterwards.
        """
        taken = self._rows[: self._count]
        if not self._stacks:
            return taken[np.concatenate([np.zeros(0, np.int64), *rows])]
        depth = self._shape[0]
        index = [np.zeros((0, depth), np.int64)]
        for birth, places in zip(births, rows, strict=True):
            frames = np.concatenate([birth + np.arange(depth - 1), places])
            index.append(sliding_window_view(frames, depth))
        return Frames(torch.from_numpy(taken), torch.from_numpy(np.concatenate(index)))


def join_observations(parts: Sequence[Any]) -> Any:
    """Observations of several blocks, in order."""
    return Frames.join(parts) if isinstance(parts[0], Frames) else np.concatenate(parts)

"""What samplers keep of observations: arrays, or single frames where observations are stacks of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trpolab.policies.frames import Frames, is_stack


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


def join_observations(parts: Sequence[Any]) -> Any:
    """Observations of several blocks, in order."""
    return Frames.join(parts) if isinstance(parts[0], Frames) else np.concatenate(parts)

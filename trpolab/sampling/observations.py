"""What samplers keep of observations: arrays, or single frames where observations are stacks of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from trpolab.policies import Policy
from trpolab.policies.frames import Frames
from trpolab.simulators.base import Simulator

ROOM = 1024  # rows that there is room for at first


def kept_dtype(policy: Policy) -> Any:
    """Pixels are kept as bytes, all else as float64: large numbers may have small differences."""
    return np.uint8 if policy.sees_pixels else np.float64


class ObservationLog:
    """What the paths of a block observe, in the order in which it happens, in one array that grows.

    Of stacks of frames each frame is kept once: at the beginning of a path the older frames of its first stack, then
    the newest one of every state.
    """

    def __init__(self, policy: Policy, simulator: Simulator, room: int | None = None):
        self.stacks, shape = getattr(simulator, "stacks_frames", False), policy.obs_shape
        self._depth = shape[0] if self.stacks else 1
        self._rows = np.empty((room or ROOM, *(shape[1:] if self.stacks else shape)), kept_dtype(policy))
        self._count = 0
        self._older: dict[int, int] = {}  # of a path's first state: its own place to that of the older frames

    @property
    def rows(self) -> np.ndarray:
        """All rows so far, [R, *O], or the frames [R, H, W]."""
        return self._rows[: self._count]

    def see(self, obs: np.ndarray, fresh: np.ndarray) -> int:
        """Keep obs [n, *O]; in the rows `fresh` a path begins. Returns the first one's place; the others follow it."""
        if not self.stacks:
            return self._add(obs)
        older = [self._add(obs[row, :-1]) for row in fresh]
        first = self._add(obs[:, -1])
        self._older.update(zip((first + fresh).tolist(), older, strict=True))
        return first

    def along_paths(self, places: np.ndarray, start: np.ndarray) -> Any:
        """The observations at these places [N], path after path with offsets start [P + 1]: [N, *O], or `Frames`.

        Frames are handed out as they lie: nothing may be added afterwards.
        """
        if not self.stacks:
            return self.rows[places]
        index = [np.zeros((0, self._depth), np.int64)]
        for path in np.split(places, start[1:-1]) if len(places) else []:
            frames = np.concatenate([self._older[int(path[0])] + np.arange(self._depth - 1), path])
            index.append(sliding_window_view(frames, self._depth))
        return Frames(torch.from_numpy(self.rows), torch.from_numpy(np.concatenate(index)))

    def _add(self, rows: np.ndarray) -> int:
        first, self._count = self._count, self._count + len(rows)
        if self._count > len(self._rows):
            self._rows.resize((max(self._count, len(self._rows) * 3 // 2), *self._rows.shape[1:]), refcheck=False)
        self._rows[first : self._count] = rows
        return first


def end_to_end(parts: Sequence[Any], *names: str) -> dict[str, np.ndarray]:
    """By name: these arrays of all parts, one after the other."""
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}


def join_observations(parts: Sequence[Any]) -> Any:
    """Observations of several blocks, in order."""
    return Frames.join(parts) if isinstance(parts[0], Frames) else np.concatenate(parts)

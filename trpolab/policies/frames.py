"""Pictures as planes of pixels, and stacks of frames with every frame kept once: what convolutions learn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

BRIGHTEST = 255  # networks see pixels as fractions of it
GREY = 32  # pixels that a grey picture without an axis for its channels has at least, along each side
LEAST = 10  # the same of any picture that two convolutions can see


@dataclass(frozen=True, eq=False)
class Frames:
    """N states, each a stack of C frames; consecutive states share all but one.

    Stacks are put together where they are asked for: `take(rows)` for a few, `pixels()` for all.
    """

    frames: Tensor  # [F, H, W] uint8
    index: Tensor  # [N, C] int64, rows of `frames`, oldest first

    @staticmethod
    def of(stacks: np.ndarray) -> Frames:
        """Stacks [N, C, H, W] uint8 that share nothing."""
        n, c = stacks.shape[:2]
        frames = torch.from_numpy(np.ascontiguousarray(stacks)).reshape(n * c, *stacks.shape[2:])
        return Frames(frames, torch.arange(n * c).reshape(n, c))

    @staticmethod
    def join(parts: Sequence[Frames]) -> Frames:
        """The states of several, in order."""
        offsets = np.cumsum([0, *(len(part.frames) for part in parts)]).tolist()
        index = [part.index + offset for part, offset in zip(parts, offsets, strict=False)]
        return Frames(torch.cat([part.frames for part in parts]), torch.cat(index))

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        return (*self.index.shape, *self.frames.shape[1:])

    @property
    def nbytes(self) -> int:
        """Bytes of the frames and of the index."""
        return self.frames.nbytes + self.index.nbytes

    @property
    def device(self) -> torch.device:
        """Where the frames lie."""
        return self.frames.device

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Any) -> Frames:
        """The states of some rows; the frames are shared."""
        return Frames(self.frames, self.index[rows])

    def split(self, rows: int) -> tuple[Frames, ...]:
        """The same in chunks of at most `rows` states."""
        return tuple(Frames(self.frames, part) for part in self.index.split(rows))

    def take(self, rows: Any) -> np.ndarray:
        """Stacks [n, C, H, W] uint8 of the states in these rows, as a policy acts on them."""
        picked = self.index[torch.as_tensor(rows)] if not isinstance(rows, slice) else self.index[rows]
        return self.frames[picked].cpu().numpy()

    def pixels(self) -> Tensor:
        """All stacks [N, C, H, W] uint8."""
        return self.frames[self.index]

    def to(self, device: torch.device) -> Frames:
        """The same on another device."""
        return Frames(self.frames.to(device), self.index.to(device))

    def __reduce__(self) -> tuple[Any, ...]:
        """Between processes as arrays: torch would hand over a file descriptor for each tensor."""
        return _from_arrays, (self.frames.numpy(), self.index.numpy().astype(np.int32))


def height_axis(space: spaces.Space[Any]) -> int | None:
    """The axis along which pictures of this space are high; the next one is their width. None: it has no pictures.

    Pictures are bytes from 0 to 255: grey ones, those with channels first or last, and stacks of either. The width
    and the height are the two axes side by side with the most pixels; all others are channels, and none is left out.
    """
    shape = space.shape or ()
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or not 2 <= len(shape) <= 4:
        return None
    if space.low.any() or (space.high < BRIGHTEST).any():
        return None
    if len(shape) == 2 and min(shape) < GREY:  # a few rows of numbers, or a board
        return None
    return _height(shape)


def looks_like_pictures(space: spaces.Space[Any]) -> bool:
    """Whether observations that are no pictures, as they are no bytes from 0 to 255, have the shape of pictures.

    Floats from 0 or -1 to 1 or 255 are taken for such where bytes would be; of all others large ones with channels are.
    """
    shape = space.shape or ()
    if not isinstance(space, spaces.Box) or not 2 <= len(shape) <= 4 or height_axis(space) is not None:
        return False
    height = _height(shape)
    pixels = min(shape[height : height + 2])
    bright = np.isin(space.low, (-1, 0)).all() and np.isin(space.high, (1, BRIGHTEST)).all()
    if len(shape) == 2:
        return bool(bright) and pixels >= GREY
    return pixels >= (LEAST if bright and space.dtype.kind == "f" else GREY)


def not_bytes(space: Any) -> str:
    """What is said of pictures that are no bytes from 0 to 255."""
    ranges, shape = {(0.0, 1.0): "(255 * obs).round()", (-1.0, 1.0): "(127.5 * (obs + 1)).round()"}, tuple(space.shape)
    scaled = ranges.get((space.low.min(), space.high.max()), "brightness(obs)")
    return (
        f"observations of {space.dtype} {list(shape)} look like pictures, which convolutions see as bytes: wrap the "
        f"environment in gymnasium.wrappers.TransformObservation(env, lambda obs: np.uint8({scaled}), "
        f"Box(0, 255, {shape}, np.uint8)); policy.network = 'mlp' takes plain numbers"
    )


def _height(shape: tuple[int, ...]) -> int:
    return max(range(len(shape) - 1), key=lambda axis: (shape[axis] * shape[axis + 1], axis))


def planes(pictures: Any, height: int) -> Any:
    """Pictures [N, *O], an array or a tensor, as [N, C, H, W]; `height` as for `height_axis`."""
    if pictures.ndim == 4 and height == 1:
        return pictures
    channels = [axis for axis in range(1, pictures.ndim) if axis - 1 not in (height, height + 1)]
    order = (0, *channels, height + 1, height + 2)
    moved = pictures.permute(order) if isinstance(pictures, Tensor) else pictures.transpose(order)
    return moved.reshape(len(pictures), *planes_shape(pictures.shape[1:], height))


def planes_shape(shape: Sequence[int], height: int) -> tuple[int, int, int]:
    """(C, H, W) of pictures of this shape."""
    high, wide = shape[height : height + 2]
    return math.prod(shape) // (high * wide), high, wide


def fractions(x: Any, like: Tensor) -> Tensor:
    """Stacks of frames or bytes as numbers from 0 to 1 [B, C, H, W], channels fastest in memory; others as they are.

    All of them have the precision of `like`.
    """
    if isinstance(x, Frames):
        x = x.pixels()
    if x.dtype is torch.uint8:
        return x.to(memory_format=torch.channels_last).to(like.dtype).div_(BRIGHTEST)
    return x.to(like.dtype)


def _from_arrays(frames: np.ndarray, index: np.ndarray) -> Frames:
    return Frames(torch.from_numpy(frames), torch.from_numpy(index.astype(np.int64)))

"""From the console's grey screens to what a policy sees, in NumPy alone."""

from __future__ import annotations

from functools import cache

import numpy as np

STACK = 4  # frames that a policy sees at a time
DQN_SIZE = 84


def paper_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of a frame reduced by four; 210 x 160 gives 52 x 40."""
    return height // 4, width // 4


def quarter(grey: np.ndarray) -> np.ndarray:
    """Means of blocks of 4 x 4 pixels, rounded: [H, W] uint8 to [H // 4, W // 4] uint8 (draft appendix G).

    210 rows are no multiple of four: one is left out at the top and one at the bottom.
    """
    height, width = paper_size(*grey.shape)
    top, left = (grey.shape[0] - 4 * height) // 2, (grey.shape[1] - 4 * width) // 2
    grey = grey[top : top + 4 * height, left : left + 4 * width]
    rows = np.add(grey[0::4], grey[1::4], dtype=np.uint16)  # at most 16 · 255: no overflow
    rows += grey[2::4]
    rows += grey[3::4]
    total = rows[:, 0::4] + rows[:, 1::4]
    total += rows[:, 2::4]
    total += rows[:, 3::4]
    total += 8
    total >>= 4
    return total.astype(np.uint8)


def resized(grey: np.ndarray) -> np.ndarray:
    """[H, W] uint8 to [84, 84] uint8, each new pixel the mean of the area that it covers."""
    rows, columns = _area_weights(grey.shape[0], DQN_SIZE), _area_weights(grey.shape[1], DQN_SIZE)
    mean = rows @ grey.astype(np.float32) @ columns.T
    mean += 0.5
    return mean.astype(np.uint8)


@cache
def _area_weights(size: int, target: int) -> np.ndarray:
    """[target, size] float32: what each old pixel gives to each new one; rows sum to 1."""
    edges = np.arange(target + 1) * (size / target)
    starts = np.maximum(edges[:-1, None], np.arange(size))
    ends = np.minimum(edges[1:, None], np.arange(1, size + 1))
    weights = np.maximum(ends - starts, 0) * (target / size)
    weights.setflags(write=False)
    return weights.astype(np.float32)

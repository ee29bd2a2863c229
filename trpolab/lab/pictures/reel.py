"""Pictures as screens of at most 256 colours: those that environments draw, and states that can be seen as cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

WIDEST, HIGHEST = 320, 240  # pixels; larger pictures are made smaller
SAMPLED = 2_000_000  # pixels that the palette is made from, of pictures spread over the reel
MOST_CELLS = 64  # of a state to a side
LEAST_CELLS = 2
DARK, LIT, OTHER = (0, 1, 2)
CELL_COLOURS = ((0x8C, 0x8C, 0x8C), (0xE6, 0x9F, 0x00), (0x60, 0x60, 0x60))


@dataclass(frozen=True)
class Film:
    """F screens."""

    screens: np.ndarray  # [F, H, W] uint8, numbers of colours
    palette: np.ndarray  # [256, 3] uint8: red, green and blue of each number


class Reel:
    """Takes pictures [H, W, 3] uint8 one after another, all brought to the size of the first."""

    def __init__(self, most: int):
        self._most = most
        self._pictures: list[np.ndarray] = []
        self._size: tuple[int, int] | None = None

    def add(self, picture: np.ndarray) -> None:
        """Take one more, made smaller where it is large; those after the last that there is room for are left out."""
        height, width = picture.shape[:2]
        if self._size is None:
            scale = min(1.0, WIDEST / width, HIGHEST / height)
            self._size = max(1, round(width * scale)), max(1, round(height * scale))
        if (width, height) != self._size:
            picture = np.asarray(Image.fromarray(picture).resize(self._size, Image.Resampling.BOX))
        if len(self._pictures) <= self._most + 1:
            self._pictures.append(picture)

    def developed(self) -> Film:
        """With the colours as they are where some of the pictures have at most 256, else with the nearest of these."""
        count = max(2, SAMPLED // self._pictures[0][..., 0].size)
        chosen = np.unique(np.linspace(0, len(self._pictures) - 1, min(count, len(self._pictures))).astype(int))
        some = np.concatenate([self._pictures[place] for place in chosen])
        colours = np.unique(_packed(some))
        if len(colours) <= 256 and (screens := self._exact(colours)) is not None:
            rgb = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.uint8)
        else:
            guide = Image.fromarray(some).quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
            rgb = np.array(guide.getpalette(), np.uint8).reshape(-1, 3)
            screens = np.stack([self._nearest(picture, guide) for picture in self._pictures])
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(rgb)] = rgb[:256]
        return Film(screens, palette)

    def _exact(self, colours: np.ndarray) -> np.ndarray | None:
        screens = []
        for picture in self._pictures:
            packed = _packed(picture)
            places = np.searchsorted(colours, packed).clip(max=len(colours) - 1)
            if (colours[places] != packed).any():
                return None
            screens.append(places.astype(np.uint8))
        return np.stack(screens)

    @staticmethod
    def _nearest(picture: np.ndarray, guide: Image.Image) -> np.ndarray:
        return np.asarray(Image.fromarray(picture).quantize(palette=guide, dither=Image.Dither.NONE))


def state_picture(seen: np.ndarray, one_of: bool) -> Film | None:
    """Observations [F, *O] as cells, where they are a matrix, a picture, or (`one_of`) one of a number of states.

    A matrix shows its numbers from dark to light; of stacked pictures the last is shown. None for a mere list of
    numbers.
    """
    if one_of:
        return _lit(seen.reshape(len(seen), -1).argmax(axis=1), seen[0].size)
    if seen.ndim == 4 and seen.dtype == np.uint8:
        seen = seen[:, -1] if seen.shape[1] <= seen.shape[3] else seen[..., -1]
    if seen.ndim != 3 or min(seen.shape[1:]) < LEAST_CELLS:
        return None
    if seen.dtype != np.uint8 and max(seen.shape[1:]) > MOST_CELLS:
        return None
    low, high = float(seen.min()), float(seen.max())
    levels = (seen.astype(np.float64) - low) * (255 / (high - low) if high > low else 0)
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    return Film(levels.round().astype(np.uint8), grey)


def _lit(states: np.ndarray, count: int) -> Film:
    """Cells in rows, one a state: the state [F] that each frame is in is lit, and those beyond the last are dark."""
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    cells = np.full((len(states), rows * columns), DARK, np.uint8)
    cells[:, count:] = OTHER
    cells[np.arange(len(states)), states] = LIT
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(CELL_COLOURS)] = CELL_COLOURS
    return Film(cells.reshape(len(states), rows, columns), palette)


def _packed(picture: np.ndarray) -> np.ndarray:
    """[H, W] int32 of pictures [H, W, 3]."""
    parts = picture.astype(np.int32)
    return np.asarray(parts[..., 0] << 16 | parts[..., 1] << 8 | parts[..., 2])

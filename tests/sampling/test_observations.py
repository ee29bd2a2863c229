"""What paths keep of what they see, against stacks that were kept whole."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from trpolab.policies.frames import Frames
from trpolab.sampling import observations
from trpolab.sampling.observations import ObservationLog

GENERATOR = np.random.default_rng(0)


def three_paths(shape: tuple[int, ...], dtype: type) -> list[list[np.ndarray]]:
    """Of each path its states [*O] in order; those of pixels slide by one frame."""
    lengths = (5, 1, 9)
    if dtype is np.float32:
        return [list(GENERATOR.normal(size=(length, *shape)).astype(dtype)) for length in lengths]
    films = [GENERATOR.integers(0, 256, (shape[0] + length - 1, *shape[1:])).astype(dtype) for length in lengths]
    return [[film[k : k + shape[0]] for k in range(length)] for film, length in zip(films, lengths, strict=True)]


def log_of(shape: tuple[int, ...], dtype: type) -> ObservationLog:
    pixels = dtype is np.uint8
    return ObservationLog(SimpleNamespace(obs_shape=shape, sees_pixels=pixels), SimpleNamespace(stacks_frames=pixels))


@pytest.mark.parametrize(("shape", "dtype"), [((3,), np.float32), ((4, 7, 6), np.uint8)])
@pytest.mark.parametrize("room", [1, 4, 1024])
def test_interleaved_paths_come_out_one_after_the_other(monkeypatch, shape, dtype, room) -> None:
    """Steps of several paths at a time, as the slots of a block take them, in an array that has to grow."""
    monkeypatch.setattr(observations, "ROOM", room)
    paths = three_paths(shape, dtype)
    kept, places = log_of(shape, dtype), {number: [] for number in range(3)}
    for step in range(9):
        alive = [number for number, path in enumerate(paths) if step < len(path)]
        obs, fresh = np.stack([paths[number][step] for number in alive]), np.arange(len(alive) if step == 0 else 0)
        first = kept.see(obs, fresh)
        for row, number in enumerate(alive):
            places[number].append(first + row)
    laid = kept.along_paths(np.concatenate(list(places.values())), np.cumsum([0, *map(len, paths)]))
    expected = np.stack([state for path in paths for state in path])
    assert laid.shape == expected.shape
    found = laid.pixels().numpy() if isinstance(laid, Frames) else laid
    np.testing.assert_array_equal(found, expected)
    if dtype is np.uint8:
        assert len(laid.frames) == 5 + 1 + 9 + 3 * 3, "each frame once"


@pytest.mark.parametrize(("shape", "dtype"), [((3,), np.float32), ((4, 7, 6), np.uint8)])
def test_no_paths_leave_no_rows(shape, dtype) -> None:
    assert log_of(shape, dtype).along_paths(np.zeros(0, int), np.zeros(1, int)).shape == (0, *shape)

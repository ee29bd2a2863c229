"""What is wrong with a number or an array, in a sentence that does not tell the right one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

TOLERANCE = 1e-6
FAR = 11.0  # times what is right: beyond that it does not matter by how much


def near(found: Any, true: Any, mistakes: Mapping[str, Any] | None = None, tolerance: float = TOLERANCE) -> str:
    """ "" where `found` is `true`, up to a relative error; else what it is instead.

    `mistakes` are the values that usual mistakes lead to, by what is said of them.
    """
    found, true = _array(found), _array(true)
    room = tolerance * max(float(np.abs(true).max(initial=0)), 1e-12)
    if _close(found, true, room):
        return ""
    for said, value in (mistakes or {}).items():
        if np.shape(value) == found.shape and _close(found, _array(value), room):
            return said
    if _close(found, 0 * true, room):
        return "it is 0"
    if _close(found, -true, room):
        return "it has the wrong sign"
    if (factor := _factor(found, true)) is not None and _close(found, factor * true, room):
        return f"off by a factor of {factor:.4g}"
    wrong = np.flatnonzero(np.abs(found - true) > room)
    if found.size > 1 and len(wrong) <= max(1, found.size // 2):
        if len(wrong) == 1:
            return f"one of {found.size} numbers is wrong, {_place(int(wrong[0]), found.size)}"
        return f"{len(wrong)} of {found.size} numbers are wrong, the first of them at index {wrong[0]}"
    difference = found - true
    if found.size > 1 and np.ptp(difference) <= room:
        return "every number is off by the same amount"
    size, off = float(np.linalg.norm(true.ravel())), float(np.linalg.norm(difference.ravel()))
    if off > FAR * size > 0:
        return f"far too large: more than {FAR - 1:g} times what is right"
    return f"off by {100 * off / size:.3g} %" if size else "it is not 0"


def _place(index: int, size: int) -> str:
    return "the last one" if index == size - 1 else f"that at index {index}"


def _array(value: Any) -> np.ndarray:
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value, np.float64)


def _close(a: np.ndarray, b: np.ndarray, room: float) -> bool:
    return bool(np.abs(a - b).max(initial=0) <= room)


def _factor(found: np.ndarray, true: np.ndarray) -> float | None:
    """c with found ≈ c·true, in the sense of least squares."""
    size = float((true * true).sum())
    return float((found * true).sum()) / size if size else None

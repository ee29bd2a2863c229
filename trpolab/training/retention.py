"""Which checkpoints of a run stay: the newest few, the best, and some from which it can go back."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from trpolab.runs.disk import parse_json, remove, temporary
from trpolab.runs.reader import numbered

KEPT = 3  # newest checkpoints that stay, besides the best
SPREAD, SPREAD_BYTES = 16, 64 * 2**20  # earlier ones that stay, spread over the run, and what they may take


def prune(parent: Path, iteration: int) -> None:
    """Remove all but the newest few, the one with the best score, and some earlier ones to which a run can be rewound.

    Of those, the one goes first whose neighbours are nearest to each other. Later ones are not this run's.
    """
    entries = [entry for entry in numbered(parent) if int(entry.name) <= iteration]
    scores = [_score(entry) for entry in entries]
    best = entries[int(np.argmax(scores))]
    earlier = [entry for entry in entries[:-KEPT] if entry != best]
    size = sum(file.stat().st_size for file in entries[-1].iterdir())
    while len(earlier) > min(SPREAD, SPREAD_BYTES // size):
        places = [0, *(int(entry.name) for entry in earlier), int(entries[-KEPT].name)]
        take_away(earlier.pop(int(np.argmin(np.subtract(places[2:], places[:-2])))))


def take_away(entry: Path) -> None:
    """Remove a checkpoint: it is renamed first, so that no half of it ever has its name."""
    aside = temporary(entry.with_name(f"{entry.name}-old"))
    os.rename(entry, aside)
    remove(aside)


def _score(entry: Path) -> float:
    try:
        score = parse_json((entry / "state.json").read_bytes()).get("score")
    except (OSError, ValueError, AttributeError):  # a damaged one is the best of nothing
        return -np.inf
    return float(score) if isinstance(score, int | float) else -np.inf

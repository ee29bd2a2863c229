"""What the checks share: a demand, and what two runs and their folders have to agree in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trpolab.runs.reader import read_metrics
from trpolab.training.session import Session


class Broken(AssertionError):
    """A promise was not kept; the message says which."""


def expect(kept: bool, otherwise: str) -> None:
    """Raise Broken with the sentence unless the promise was kept."""
    if not kept:
        raise Broken(otherwise)


def expect_error(kind: type[Exception], said: str, call: Callable[[], Any], what: str) -> None:
    """Raise Broken unless the call raises this kind of error with these words in it."""
    try:
        call()
    except kind as error:
        expect(said in str(error), f"{what}: refused, but not for the right reason: {error}")
    else:
        raise Broken(f"{what} was let in")


def expect_metrics(found: Iterable[Mapping[str, Any]], wanted: Iterable[Mapping[str, Any]], what: str) -> int:
    """Raise Broken where two histories differ in anything but times; returns how many iterations were compared."""
    rows, reference = stable(found), stable(wanted)
    expect(len(rows) == len(reference), f"{what}: {len(rows)} iterations, {len(reference)} expected")
    for row, other in zip(rows, reference, strict=True):
        names = [name for name in {**row, **other} if row.get(name) != other.get(name)]
        expect(not names, f"{what}: iteration {other['iteration']} differs in {', '.join(names[:5])}")
    return len(rows)


def expect_same(found: Session, wanted: Session, what: str = "the run") -> int:
    """Raise Broken unless two runs are the same, bit for bit; returns how many iterations were compared."""
    count = expect_metrics(found.history, wanted.history, what)
    if found.path is not None:
        expect_metrics(read_metrics(found.path), wanted.history, f"{what}, on disk")
    expect(fingerprint(found) == fingerprint(wanted), f"{what}: what was learned differs")
    return count


def stable(history: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what may differ from run to run, as a JSON file holds them."""
    rows = json.loads(json.dumps(list(history)))
    return [{name: row[name] for name in row if not name.startswith("seconds") and name != "segment"} for row in rows]


def fingerprint(run: Session) -> str:
    """Of everything that the next iteration depends on, but for the simulators."""
    learner, progress, value = run.learner, run.progress, run.learner.value
    arrays = {"theta": learner.policy.theta.numpy(force=True), **learner.state}
    if (normalizer := learner.policy.normalizer) is not None:
        arrays |= {"count": np.float64(normalizer.count), "mean": normalizer.mean, "var": normalizer.var}
    if value is not None:
        rest = np.array([value.target_mean, value.target_std, value.mu, value.fits])
        arrays |= {"value": value.theta.numpy(force=True), "value's rest": rest}
    parts = [(name, np.asarray(array).tobytes()) for name, array in sorted(arrays.items())]
    counts = progress.iteration, progress.sim_steps, list(progress.recent_returns)
    return hashlib.sha256(repr((parts, counts)).encode()).hexdigest()


def contents(folder: Path, *apart: str) -> dict[str, bytes]:
    """Every file of a folder, but for the names in `apart`."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in apart)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def half_done(folder: Path) -> list[str]:
    """Names of temporary files and folders in a run folder."""
    return sorted(path.name for path in folder.rglob(".*"))

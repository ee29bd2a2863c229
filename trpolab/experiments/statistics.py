"""What may be said of a few runs: `trpolab.statistics` (after Agarwal et al., 2021, and their rliable).

From 10 runs on: the interquartile mean with its interval by the stratified bootstrap. With 5 to 9: the mean with its
interval by Student's t. With fewer: the mean alone. A run that crashed has the score NaN. It is counted, never dropped
in silence: give the score that it shall count as, or read the number of crashed runs beside the estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from trpolab.settings import PlainError

FEW, MANY = 5, 10  # runs from which on there is an interval, and an interquartile mean
RESAMPLES = 2000
WORST = -1e300  # below every score
Scores = Any  # [R] numbers, one a run; or a table of them by task: {task: [R]}
Seed = int | np.random.Generator


@dataclass(frozen=True)
class Estimate:
    """A number that stands for several runs, or a curve of them, with its interval."""

    value: Any  # a float, or [B]; NaN where no run is left
    low: Any = None  # the same; None: too few runs for an interval
    high: Any = None
    kind: str = "mean"  # or "IQM", or what else it is
    runs: int = 0  # that the value is made of
    crashed: int = 0  # runs without a score; those that count as something are among `runs`, too
    x: np.ndarray | None = None  # [B] of a curve: where its values are

    @property
    def in_words(self) -> str:
        """The number, with its interval where there is one."""
        interval = "" if self.low is None else f" [{in_digits(self.low)}, {in_digits(self.high)}]"
        return f"{self.kind} {in_digits(self.value)}{interval}"

    def __str__(self) -> str:
        found = self.in_words if np.ndim(self.value) == 0 else f"{self.kind} of curves"
        return f"{found}, {self.runs} runs" + (f", {self.crashed} crashed" if self.crashed else "")


def interquartile_mean(scores: Any, axis: int = 0) -> Any:
    """Mean of the middle half: a quarter of the scores, rounded down, is cut off at either end.

    >>> float(interquartile_mean([1.0, 2.0, 3.0, 100.0]))
    2.5
    """
    return stats.trim_mean(scores, 0.25, axis=axis)


def estimate(
    scores: Scores, crashed_as: float | None = None, confidence: float = 0.95, seed: Seed = 0, x: Any = None
) -> Estimate:
    """The runs of one task [R], or of several {task: [R]}, as one number with its interval.

    NaN is a run that crashed; it counts as `crashed_as`, or is left out of the number and told beside it. How many runs
    there are is counted per task, by the task that has the fewest. Several tasks: the interquartile mean is that of all
    scores together, the mean that of the tasks' means; scores must then be on one scale. Curves [R, B] on a common
    grid `x` [B] are treated point by point. The bootstrap draws from `seed`, a number or a Generator.
    """
    if not 0 < confidence < 1:
        raise PlainError(f"confidence = {confidence!r}: must be between 0 and 1")
    strata = _strata(scores)
    lost = [np.isnan(rows.reshape(len(rows), -1)).any(1) for rows in strata]
    crashed = int(sum(rows.sum() for rows in lost))
    if crashed_as is not None:
        strata = [np.where(np.isnan(rows), crashed_as, rows) for rows in strata]
    else:
        strata = [rows[~gone] for rows, gone in zip(strata, lost, strict=True)]
    runs, fewest = sum(map(len, strata)), min(map(len, strata))
    told: dict[str, Any] = {"runs": runs, "crashed": crashed, "x": x}
    if fewest == 0:
        return Estimate(np.full(strata[0].shape[1:], np.nan)[()], **told)
    if fewest >= MANY:
        low, high = _bootstrap(strata, _pooled_iqm, confidence, seed)
        return Estimate(_pooled_iqm(*strata, axis=0), low, high, "IQM", **told)
    value = np.mean([rows.mean(0) for rows in strata], axis=0)[()]
    if fewest < FEW:
        return Estimate(value, **told)
    half = _half_of_t(strata, confidence)
    return Estimate(value, value - half, value + half, **told)


def curve(
    runs: Sequence[tuple[Any, Any]],
    crashed: Sequence[bool] = (),
    points: int = 60,
    crashed_as: float | None = None,
    confidence: float = 0.95,
    seed: Seed = 0,
) -> Estimate:
    """Learning curves (x [B], y [B]) as one, on a grid where every run has values.

    x may be simulator steps, seconds or iterations; it must grow. `crashed` says which of the runs did. Such a run
    counts as `crashed_as` beyond its end, or it is left out and told.
    """
    gone = list(crashed) or [False] * len(runs)
    arrays = [(np.asarray(x, np.float64), np.asarray(y, np.float64)) for x, y in runs]
    if len(gone) != len(runs) or not runs or all(gone):
        raise PlainError(f"runs: {len(runs)} curves, {sum(gone)} of them crashed: at least one must have finished")
    if any(len(x) == 0 or x.shape != y.shape or (np.diff(x) < 0).any() for x, y in arrays):
        raise PlainError("runs: each must be (x, y) of equal lengths >= 1, x growing")
    whole = [x for (x, _), lost in zip(arrays, gone, strict=True) if not lost]
    grid = np.linspace(max(x[0] for x in whole), min(x[-1] for x in whole), points)
    right = np.nan if crashed_as is None else crashed_as
    rows = [np.interp(grid, x, y, right=right if lost else None) for (x, y), lost in zip(arrays, gone, strict=True)]
    rows = [row for row, lost in zip(rows, gone, strict=True) if not lost or crashed_as is not None]
    return replace(estimate(np.array(rows), None, confidence, seed, grid), crashed=sum(gone))


def probability_of_improvement(x: Scores, y: Scores, confidence: float = 0.95, seed: Seed = 0) -> Estimate:
    """P(X > Y) + P(X = Y)/2 for a run X of one method and a run Y of the other: Mann and Whitney's U over |X|·|Y|.

    The mean over tasks, which must be the same. A run that crashed (NaN) loses against all that did not. The interval
    is by the stratified bootstrap, from 10 runs on.
    """
    if isinstance(x, Mapping) != isinstance(y, Mapping) or (isinstance(x, Mapping) and set(x) != set(y)):
        raise PlainError("x and y: must be scores of the same tasks")
    first, second = _strata(x), _strata([y[task] for task in x] if isinstance(x, Mapping) else [y], True)

    def improves(*drawn: np.ndarray, axis: int) -> Any:
        rows = [np.moveaxis(one, axis, -1) for one in drawn]
        pairs = zip(rows[: len(first)], rows[len(first) :], strict=True)
        signs = [np.sign(a[..., :, None] - b[..., None, :]) for a, b in pairs]
        return np.mean([0.5 + 0.5 * sign.mean((-1, -2)) for sign in signs], axis=0)

    crashed = sum(int(np.isnan(rows).sum()) for rows in (*first, *second))
    strata = [np.where(np.isnan(rows), WORST, rows) for rows in (*first, *second)]
    return _counted(strata, improves, "P(X > Y)", crashed, confidence, seed)


def performance_profile(scores: Scores, thresholds: Any, confidence: float = 0.95, seed: Seed = 0) -> Estimate:
    """The share of runs that score above each threshold [B]; the mean over tasks. No threshold is below a crash.

    The interval of each share is by the stratified bootstrap, from 10 runs on.
    """
    levels, strata = np.asarray(thresholds, np.float64), _strata(scores)
    above = [(rows[:, None] > levels).astype(np.float64) for rows in strata]  # NaN is above nothing
    crashed = sum(int(np.isnan(rows).sum()) for rows in strata)
    return _counted(above, _mean_of_means, "share above", crashed, confidence, seed, levels)


def in_digits(number: float) -> str:
    """A score in a table."""
    return "—" if np.isnan(number) else f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _strata(scores: Any, listed: bool = False) -> list[np.ndarray]:
    """A float64 array for each task, runs first. Raises PlainError where a task has no runs, or a score is infinite."""
    given = list(scores.values()) if isinstance(scores, Mapping) else list(scores) if listed else [scores]
    strata = [np.asarray(rows, np.float64) for rows in given]
    if not strata or any(rows.ndim == 0 or len(rows) == 0 for rows in strata):
        raise PlainError("scores: give at least one run of each task, as in [0.5, 0.7] or {'Hopper-v5': [0.5, 0.7]}")
    if any(np.isinf(rows).any() for rows in strata):
        raise PlainError("scores: must be finite numbers, or NaN for a run that crashed")
    return strata


def _counted(
    strata: list[np.ndarray],
    statistic: Callable[..., Any],
    kind: str,
    crashed: int,
    confidence: float,
    seed: Seed,
    x: Any = None,
) -> Estimate:
    """An estimate that all runs are part of, those that crashed included."""
    enough = min(map(len, strata)) >= MANY
    low, high = _bootstrap(strata, statistic, confidence, seed) if enough else (None, None)
    return Estimate(statistic(*strata, axis=0), low, high, kind, sum(map(len, strata)), crashed, x)


def _pooled_iqm(*strata: np.ndarray, axis: int) -> Any:
    return interquartile_mean(np.concatenate(strata, axis), axis)


def _mean_of_means(*strata: np.ndarray, axis: int) -> Any:
    return np.mean([rows.mean(axis) for rows in strata], axis=0)


def _bootstrap(strata: list[np.ndarray], statistic: Callable[..., Any], confidence: float, seed: Seed) -> Any:
    """The percentile interval (low, high) of a statistic, runs drawn with replacement within each task."""
    how: dict[str, Any] = {"n_resamples": RESAMPLES, "method": "percentile", "vectorized": True, "axis": 0}
    rng = np.random.default_rng(seed)
    found = stats.bootstrap(strata, statistic, confidence_level=confidence, rng=rng, **how).confidence_interval
    return found.low, found.high


def _half_of_t(strata: list[np.ndarray], confidence: float) -> Any:
    """Half the interval of the mean of the tasks' means, by Student's t; Welch's degrees of freedom for several."""
    variances = np.array([rows.var(0, ddof=1) / len(rows) for rows in strata])
    total, each = variances.sum(0), np.array([len(rows) - 1 for rows in strata])
    shares = (variances**2 / each.reshape(-1, *[1] * (variances.ndim - 1))).sum(0)
    freedom = np.divide(total**2, shares, out=np.full_like(total, each.min()), where=shares > 0)
    return stats.t.ppf(0.5 + confidence / 2, freedom) * np.sqrt(total) / len(strata)

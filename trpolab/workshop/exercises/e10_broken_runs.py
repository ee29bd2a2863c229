"""Diagnoses, held against what the runs show: an answer that is wrong hears what it would have looked like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trpolab.runs.reader import read_metrics
from trpolab.workshop.attempt import Attempt
from trpolab.workshop.checks import Properties

Rows = list[dict[str, Any]]
RUNS = Path(__file__).parent.parent / "broken"  # run folders


def column(rows: Rows, name: str) -> np.ndarray:
    """A metric, without the iterations that have none; NaN where all have none."""
    found = np.array([row[name] for row in rows if row[name] is not None], float)
    return found if len(found) else np.array([np.nan])


def median(name: str, rows: Rows) -> float:
    """Of a metric."""
    return float(np.median(column(rows, name)))


@dataclass(frozen=True)
class Cause:
    """What a fault looks like: its mark is in a run where `measure` of its rows `shows`."""

    mark: str
    measured: str
    measure: Callable[[Rows], float]
    shows: Callable[[float], bool]


def rejected(rows: Rows) -> float:
    """Share of the steps."""
    return float(np.mean([row["outcome"].startswith("rejected") for row in rows]))


def beyond(rows: Rows) -> float:
    """The largest KL over δ."""
    return float(np.max(column(rows, "kl_mean"))) / rows[-1]["delta"]


CAUSES = {
    1: Cause("no step would be accepted", "share rejected", rejected, lambda x: x > 0.9),
    2: Cause(
        "the return would not rise", "best return", lambda rows: column(rows, "return_mean").max(), lambda x: x < 60
    ),
    3: Cause("the CG residual would be as large as g", "its median", partial(median, "cg_residual"), lambda x: x > 0.3),
    4: Cause(
        "nearly every full step would be too long, by the same factor", "the share taken, in the middle",
        partial(median, "step_fraction"), lambda x: x < 0.9,
    ),
    5: Cause("the mean KL would go far beyond δ", "at most, in δ", beyond, lambda x: x > 1.1),
    6: Cause("the return would creep, with δ far below 0.01", "δ", partial(median, "delta"), lambda x: x < 0.002),
    7: Cause(
        "V would explain nothing from beginning to end", "its best explained variance",
        lambda rows: column(rows, "explained_variance").max(), lambda x: x < 0.2,
    ),
    8: Cause(
        "an iteration would have a few dozen steps", "their number", partial(median, "batch_steps"),
        lambda x: x < 200,
    ),
}  # fmt: skip
TRUE = {"A": 4, "B": 1, "C": 2, "D": 5, "E": 3}
TELLING = {
    "A": "what share of each full step is taken?",
    "B": "how many steps are accepted at all?",
    "C": "the surrogate gains; does the return?",
    "D": "how does the KL compare to δ?",
    "E": "how much of g is left when conjugate gradient has finished?",
}


def diagnosis(attempt: Attempt) -> Properties:
    """A number a run."""
    for run, cause in TRUE.items():
        said = attempt(run, like=0.0)
        yield f"run {run}", "" if said == cause else objection(run, said)


def objection(run: str, said: float) -> str:
    """Why this cause can't be that of the run."""
    if said not in CAUSES:
        return f"there is no cause {said:g}: they have the numbers 1 to {len(CAUSES)}"
    guess = CAUSES[int(said)]
    rows = list(read_metrics(RUNS / run))
    measured = guess.measure(rows)
    if not guess.shows(measured):
        here = (
            f"here {guess.measured} is {measured:.3g}"
            if measured < 1000
            else f"here {guess.measured} is {measured:,.0f}"
            if np.isfinite(measured)
            else "here there is none to be seen"
        )
        return f"not {said:g}: {guess.mark}; {here}"
    return f"not {said:g}: that fits a part of it, but not all. Look again: {TELLING[run]}"

"""How what an iteration costs grows with its batch, its networks, the vine's N and K, and how threads share it."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

from trpolab.bench.physics import HOPPER
from trpolab.bench.table import Report, Table, verdict
from trpolab.machine import usable_cores
from trpolab.training.session import Session

ITERATIONS = 3  # whose median counts, after one that does not
SAMPLING, UPDATE = ("seconds_sampling",), ("seconds_update", "seconds_value")


@dataclass(frozen=True)
class Study:
    """One setting at several values, all others alike."""

    what: str
    parts: tuple[str, ...]  # of an iteration, columns of its metrics
    setting: str
    values: tuple[Any, ...]
    task: str
    given: dict[str, Any]


THREADS = tuple(sorted({1, usable_cores()}))
PATHS: dict[str, Any] = {"threads": 1, "steps_per_iteration": 8192}
BRANCHES: dict[str, Any] = {"threads": 1, "sampler": "vine", "vine.trunks": 4, "vine.trunk_length": 250}
STUDIES = (
    Study("update and value fit", UPDATE, "steps_per_iteration", (2048, 8192, 32_768), "Hopper-v5", {"threads": 1}),
    Study("update and value fit", UPDATE, "hidden", ((32, 32), (64, 64), (128, 128), (256, 256)), "Hopper-v5", PATHS),
    Study("sampling, single path", SAMPLING, "steps_per_iteration", (2048, 8192, 32_768), "Hopper-v5", {"threads": 1}),
    Study("sampling, vine", SAMPLING, "vine.states", (30, 60, 120, 240), HOPPER, BRANCHES),
    Study("sampling, vine", SAMPLING, "vine.actions", (2, 4, 8, 16), HOPPER, BRANCHES),
    Study("sampling, single path", SAMPLING, "threads", THREADS, "Hopper-v5", PATHS),
    Study("sampling, vine", SAMPLING, "threads", THREADS, HOPPER, BRANCHES),
)


def cost(report: Report) -> Table:
    """What an iteration's parts cost as one setting grows.

    Medians of 3 iterations after one from the start of training; hidden: also of the value function. Of the first
    value: how much larger the setting is, widths in weights of the policy's network.
    """
    rows = []
    for study in STUDIES:
        first: tuple[float, float] | None = None
        for value in study.values:
            seconds, size = _measured(study, value)
            first = first or (seconds, size)
            shown = " x ".join(map(str, value)) if isinstance(value, tuple) else f"{value:,}"
            grown = f"{size / first[1]:.2f} | {seconds:.3f} | {seconds / first[0]:.2f}"
            rows.append(f"{study.what} | {study.setting} | {shown} | {grown}")
            report(rows[-1])
    return Table("what | setting | value | of the first value | seconds | times the first's", rows)


def swimmer(report: Report) -> Table:
    """paper/Swimmer at the paper's scale: minutes of 200 iterations.

    Table 2: some 41,000 steps of the vine, 50,000 of single path. 200 times the median of 10 iterations after one from
    the start of training, all threads.
    """
    rows = []
    for sampler, most in (("vine", 4), ("single-path", 6)):
        given: dict[str, Any] = {"preset": "paper", "sampler": sampler, "proposal": "policy", "iterations": 11}
        session = Session("paper/Swimmer", out=None, **given)
        session.run()
        measured = session.history[1:]
        minutes = 200 * statistics.median(row["seconds_total"] for row in measured) / 60
        steps = (measured[-1]["sim_steps"] - session.history[0]["sim_steps"]) / len(measured)
        rows.append(f"{sampler} | {steps:,.0f} | {minutes:.1f} | {most} | {verdict(minutes < most)}")
        report(rows[-1])
    return Table("sampler | steps an iteration | minutes | at most | reached", rows)


def _measured(study: Study, value: Any) -> tuple[float, float]:
    """Seconds of the study's parts with this value, and how large the value is."""
    given = {**study.given, study.setting: value}
    if study.setting == "hidden":
        given["value.hidden"] = value
    session = Session(study.task, out=None, iterations=1 + ITERATIONS, **given)
    session.run()
    spent = [math.fsum(row[part] for part in study.parts) for row in session.history[1:]]
    return statistics.median(spent), float(session.policy.size if isinstance(value, tuple) else value)

"""What each option of the vine buys at equal simulator steps, beside single path with GAE.

`results/vine-options.json` keeps the runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trpolab.bench.grids import run_grid
from trpolab.bench.learning import SMALL_VINE
from trpolab.bench.locomotion import WAYS
from trpolab.bench.table import Report, Table
from trpolab.experiments.results import Curve
from trpolab.experiments.statistics import estimate, in_digits
from trpolab.experiments.trial import TrialSpec

OUT = Path("sweeps") / "vine-options"  # their run folders; runs that are finished are not run again
SEEDS = 5
POINTS = 25  # kept of a curve
GAE = "single path, GAE"
TAIL = {**SMALL_VINE, "vine.tail_value": True}
EVERY = {**TAIL, "vine.learn_from": "all"}
PAIRS = {**EVERY, "vine.antithetic": True}
LONG = {**PAIRS, "vine.trunk_length": 1000, "vine.states": 15}
PAYING = {**LONG, "vine.choose": "advantage"}
CART = {"sampler": "vine", "vine.learn_from": "all"}
# By task: simulator steps, and settings by what they are called.
STUDIES: dict[str, tuple[int, dict[str, dict[str, Any]]]] = {
    "paper/Hopper": (
        500_000,
        {
            GAE: WAYS[GAE],
            "vine": SMALL_VINE,
            "vine, tail value": TAIL,
            "the same, learning from trunks' steps too": {**TAIL, "vine.learn_from": "trunks"},
            "the same, from all steps": EVERY,
            "the same, in antithetic pairs": PAIRS,
            "the same, trunks of 1,000 steps, 15 states": LONG,
            "the same, states chosen by advantages": PAYING,
            "the same, branches of adaptive length": {**PAYING, "vine.adaptive_length": True},
        },
    ),
    "CartPole-v1": (
        50_000,
        {
            GAE: {},
            "vine": {"sampler": "vine", "vine.tail_value": False},
            "vine, tail value": {"sampler": "vine"},
            "the same, from all steps": CART,
            "the same, states chosen by advantages": {**CART, "vine.choose": "advantage"},
            "the same, branches of adaptive length": {**CART, "vine.choose": "advantage", "vine.adaptive_length": True},
        },
    ),
}


def trials() -> list[TrialSpec]:
    """A run for each seed, task and option, one seed of all after the other."""
    return [
        TrialSpec(task, label, seed, {**given, "steps": steps}, 20, True)
        for seed in range(SEEDS)
        for task, (steps, studies) in STUDIES.items()
        for label, given in studies.items()
    ]


def vine_options(report: Report, out: Path = OUT) -> Table:
    """The vine's options at equal simulator steps, 5 seeds.

    Branches counted; one thread. The mean return of 20 evaluation episodes by the distribution's mode, as a share of
    single path with GAE. On the hopper the vine is that of `trpolab bench vine-hopper`, and single path has the same
    policy, γ and δ; on CartPole both are the task's defaults, and each action is tried in each state.
    """
    return as_table(run_grid("vine-options", trials(), out, POINTS))


def as_table(curves: Sequence[Curve]) -> Table:
    """A row for each task and option."""
    rows = []
    for task, (steps, studies) in STUDIES.items():
        scores = {label: [one.final for one in curves if (one.task, one.method) == (task, label)] for label in studies}
        usual = estimate(scores[GAE]).value
        for label, finals in scores.items():
            found = estimate(finals)
            each = ", ".join(map(in_digits, finals))
            rows.append(f"{task} | {label} | {steps:,} | {each} | {found.in_words} | {found.value / usual:.0%}")
    return Table("task | what | steps | return, seed by seed | all | of single path's", rows)

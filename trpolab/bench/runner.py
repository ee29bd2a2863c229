"""Which benchmarks there are, and how to run one."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import cast

from trpolab.bench.table import Report, Table
from trpolab.settings import nearest

# A module, imported when one of its benchmarks runs: their names, those of its functions but for the hyphens.
BENCHMARKS = {
    "physics": ("sampling", "vine"),
    "speed": ("iteration", "update", "memory", "checkpoint"),
    "lab_overhead": ("lab", "live"),
    "learning": ("cartpole", "pendulum", "hopper", "halfcheetah", "vine-hopper", "vine-cartpole", "vine-swimmer"),
    "method_comparison": ("methods", "claims"),
    "atari_speed": ("atari",),
    "atari_learning": ("atari-learning",),
}


def names() -> tuple[str, ...]:
    """Names that `run` takes, in the order in which all of them run."""
    return tuple(name for own in BENCHMARKS.values() for name in own)


def run(name: str, report: Report = lambda line: None) -> str:
    """Run one benchmark; returns its table as Markdown, titled and explained by the benchmark's docstring.

    `report` is told of progress, a line at a time. Raises ValueError for an unknown name.
    """
    for module, own in BENCHMARKS.items():
        if name in own:
            benchmark = getattr(import_module(f"trpolab.bench.{module}"), name.replace("-", "_"))
            return cast(Table, benchmark(report)).markdown(name, inspect.getdoc(benchmark) or "")
    raise ValueError(f"unknown benchmark {name!r}{nearest(name, names())}; there are {', '.join(names())}")

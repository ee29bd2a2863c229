"""Which benchmarks there are, and how to run one."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from trpolab.bench.table import Table
from trpolab.settings import nearest

# name: (module, function); imported when run
BENCHMARKS = {
    "sampling": ("speed", "sampling"),
    "iteration": ("speed", "iteration"),
    "update": ("speed", "update"),
    "memory": ("speed", "memory"),
    "lab": ("lab_overhead", "overhead"),
    "live": ("lab_overhead", "live"),
    "checkpoint": ("keeping", "checkpoint"),
    "cartpole": ("learning", "cartpole"),
    "pendulum": ("learning", "pendulum"),
    "hopper": ("learning", "hopper"),
    "halfcheetah": ("learning", "halfcheetah"),
    "methods": ("method_comparison", "methods"),
    "claims": ("method_comparison", "claims"),
    "vine": ("vine_speed", "speed"),
    "vine-hopper": ("vine_speed", "hopper"),
    "vine-cartpole": ("vine_speed", "cartpole"),
    "vine-swimmer": ("vine_speed", "swimmer"),
    "atari": ("atari_speed", "atari"),
    "atari-learning": ("atari_learning", "learning"),
}


def names() -> tuple[str, ...]:
    """Names that `run` takes, in the order in which all of them run."""
    return tuple(BENCHMARKS)


def run(name: str, report: Callable[[str], None] = lambda line: None) -> Table:
    """Run one benchmark; `report` is told of progress, a line at a time. Raises ValueError for an unknown name."""
    if name not in BENCHMARKS:
        raise ValueError(f"unknown benchmark {name!r}{nearest(name, BENCHMARKS)}; there are {', '.join(BENCHMARKS)}")
    module, function = BENCHMARKS[name]
    benchmark: Callable[[Callable[[str], None]], Table] = getattr(import_module(f"trpolab.bench.{module}"), function)
    return benchmark(report)

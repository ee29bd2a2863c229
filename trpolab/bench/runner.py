"""Which benchmarks there are, and how to run one."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path
from typing import cast

from trpolab.bench.table import Report, Table
from trpolab.settings import nearest

# A module, imported when one of its benchmarks runs: their names, those of its functions but for the hyphens, and how
# long each takes on two cores.
BENCHMARKS = {
    "physics": {"sampling": "1 min", "vine": "1 min"},
    "light": {"light": "6 min"},
    "speed": {"iteration": "1 min", "update": "1 min", "memory": "15 min", "checkpoint": "1 min"},
    "cost": {"cost": "2 min", "swimmer": "1 min"},
    "lab_overhead": {"lab": "30 min", "live": "3 min"},
    "learning": {
        **{"cartpole": "1 min", "pendulum": "1 min"},
        **{"vine-hopper": "4 min", "vine-cartpole": "2 min", "vine-swimmer": "15 min"},
    },
    "scores": {"scores": "5 h"},
    "locomotion": {"locomotion": "3 h"},
    "vine_options": {"vine-options": "40 min"},
    "atari_speed": {"atari": "4 min"},
    "device": {"device": "4 min"},
    "ray_workers": {"ray": "4 min"},
    "scaling": {"scaling": "5 min"},
    "peers": {"peers": "6 min"},
    "wall_time": {"wall-time": "1 h"},
    "atari_learning": {"atari-learning": "3 h"},
}


def names() -> tuple[str, ...]:
    """Names that `run` takes, in the order in which all of them run."""
    return tuple(name for own in BENCHMARKS.values() for name in own)


def about() -> dict[str, tuple[str, str]]:
    """How long each benchmark takes, and its title: the first line of its docstring. Nothing is imported."""
    found: dict[str, tuple[str, str]] = {}
    for module, own in BENCHMARKS.items():
        tree = ast.parse(Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8"))
        texts = {node.name: str(ast.get_docstring(node)) for node in tree.body if isinstance(node, ast.FunctionDef)}
        titles = {name: texts[name.replace("-", "_")].partition("\n")[0].rstrip(".") for name in own}
        found |= {name: (time, titles[name]) for name, time in own.items()}
    return found


def run(name: str, report: Report = lambda line: None, out: Path | None = None) -> str:
    """Run one benchmark; returns its table as Markdown, titled and explained by the benchmark's docstring.

    `report` is told of progress, a line at a time. Into the folder `out` go the table, its numbers as JSON, and a
    chart; if that fails, `report` is told, and the table is there all the same. Raises ValueError for an unknown name.
    """
    for module, own in BENCHMARKS.items():
        if name in own:
            benchmark = getattr(import_module(f"trpolab.bench.{module}"), name.replace("-", "_"))
            table, about = cast(Table, benchmark(report)), inspect.getdoc(benchmark) or ""
            if out is not None:
                try:
                    import_module("trpolab.bench.chart").write(table, name, about, out)
                except OSError as error:
                    report(f"{name}: not written to {out}: {error.strerror}")
            return table.markdown(name, about)
    raise ValueError(f"unknown benchmark {name!r}{nearest(name, names())}; there are {', '.join(names())}")

"""`trpolab sweep TASK`: every combination of settings, several seeds of each, a few runs at a time."""

from __future__ import annotations

import tomllib
from argparse import Namespace
from typing import Any

from trpolab.cli.exits import Exit
from trpolab.experiments.sweep import sweep as run
from trpolab.sampling.workers.execution import LOCAL
from trpolab.settings import ConfigError, as_setting, parse_value

FLAGS = (
    *("method", "sampler", "proposal", "preset", "device", "delta"),
    *("steps", "iterations", "steps_per_iteration", "executor"),
)
COUNTS = ("seeds", "jobs", "episodes")


def sweep(args: Namespace) -> int:
    """Run the grid that the command line names; prints the table and the files with the data last."""
    flags = axes_of([f"{name}={text}" for name in FLAGS if (text := getattr(args, name)) is not None])
    axes = {**flags, **axes_of(args.set), **flags}  # an option wins over --set, and stands before it
    how: dict[str, Any] = {name: parse_value(text) for name in COUNTS if (text := getattr(args, name)) is not None}
    where = axes.pop("executor", [LOCAL])
    how["executor"] = where[0] if len(where) == 1 else where
    swept = run(args.task, out=args.out, deterministic=args.deterministic, progress=True, **how, **axes)
    print(f"\n{swept!r}\n")
    for file in swept.files:
        print(file)
    return Exit.CRASHED if any(one.state != "finished" for one in swept.outcomes) else Exit.FINISHED


def axes_of(pairs: list[str]) -> dict[str, Any]:
    """Settings with their values from NAME=VALUE,VALUE...; a later one wins over an earlier one."""
    found: dict[str, Any] = {}
    problems = []
    for pair in pairs:
        name, equals, text = (part.strip() for part in pair.partition("="))
        if not equals or not name or not text:
            problems.append(f"--set {pair!r}: must be KEY=VALUE or KEY=VALUE,VALUE,...")
        else:
            found[name.replace("-", "_") if "." not in name else name] = _values(text)
    if problems:
        raise ConfigError(problems)
    return found


def _values(text: str) -> list[Any]:
    """The values of an axis: TOML's where it is TOML ("[64, 64],[32]"), else texts between commas."""
    try:
        return [as_setting(value) for value in tomllib.loads(f"values = [{text}]")["values"]]
    except tomllib.TOMLDecodeError:
        return [parse_value(part.strip()) for part in text.split(",")]

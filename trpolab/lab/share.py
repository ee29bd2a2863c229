"""A lab's settings as text to be copied: a Python call or a command line that repeats them."""

from __future__ import annotations

import json
import shlex
from typing import Any

from trpolab.simulators.base import Task
from trpolab.training.config import Config, resolve

LEFT_OUT = ("task", "slots", "threads", "iterations", "seconds_per_iteration")  # the machine's, or the watcher's


def differences(config: Config, task: Task) -> dict[str, Any]:
    """Settings that differ from what the task and the preset give by themselves."""
    usual = resolve(task, config.preset).settings()
    changed = {name: value for name, value in config.settings().items() if value != usual[name]}
    if config.preset != "modern":
        changed = {"preset": config.preset, **changed}
    return {name: value for name, value in changed.items() if name not in LEFT_OUT}


def as_python(config: Config, task: Task, iterations: int) -> str:
    """A call of `trpolab.train` with these settings."""
    given = {**differences(config, task), "iterations": iterations}
    flat = [f"{name}={value!r}" for name, value in given.items() if "." not in name]
    dotted = {name: value for name, value in given.items() if "." in name}
    if dotted:
        flat.append("**{" + ", ".join(f"{name!r}: {value!r}" for name, value in dotted.items()) + "}")
    return f"import trpolab\n\nsession = trpolab.train({', '.join([repr(task.name), *flat])})"


def as_command(config: Config, task: Task, iterations: int) -> str:
    """A `trpolab train` command line with these settings."""
    words = ["trpolab", "train", task.name]
    for name, value in {**differences(config, task), "iterations": iterations}.items():
        words += ["--set", f"{name}={as_toml(value)}"]
    return shlex.join(words)


def as_toml(value: Any) -> str:
    """A setting's value as `--set` reads it; JSON writes numbers, lists, true and false as TOML does."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)

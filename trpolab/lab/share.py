"""A run as text to be copied: a Python call or a command line that does it again, as it was steered, bit for bit."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

from trpolab.own import typed
from trpolab.training.config import resolve
from trpolab.training.registration import modules_of
from trpolab.training.resume import OF_THE_WATCHER, Schedule, turned_in
from trpolab.training.samplers import with_chosen_resources

LEFT_OUT = ("task", *OF_THE_WATCHER)
OBJECT = "# the task was given as a Python object: "


def replayed(session: Any) -> tuple[dict[str, Any], Schedule]:
    """The settings to begin with, where they are not the usual ones, and those turned later, by iteration."""
    first, task = session.first if session.history else session.controls.requested, session.task
    usual = resolve(task, first.preset).settings()
    by_rule = with_chosen_resources(replace(first, slots=usual["slots"], threads=usual["threads"]))
    usual |= {"preset": "modern", "slots": by_rule.slots if first.slots else None}
    usual |= {"threads": by_rule.threads if first.threads else None}
    given = {name: value for name, value in first.settings().items() if value != usual[name] and name not in LEFT_OUT}
    turned = {at: each for at, each in turned_in(session.history).items() if each}
    return given | {"iterations": max(len(session.history), 1)}, turned


def modules(session: Any, turned: Schedule) -> list[str]:
    """Those to be imported first: what they register was in use."""
    used = [session.first, session.controls.requested, *(session.first.replace(**each) for each in turned.values())]
    return sorted({module for config in used for module in modules_of(config)} - {"__main__"})


def as_python(session: Any) -> str:
    """A call of `trpolab.train` that does the run again."""
    given, turned = replayed(session)
    words = [f"{name}={value!r}" for name, value in given.items() if "." not in name]
    if dotted := {name: value for name, value in given.items() if "." in name}:
        words.append("**{" + ", ".join(f"{name!r}: {value!r}" for name, value in dotted.items()) + "}")
    lines = [f"import {name}" for name in ("trpolab", *modules(session, turned))] + [""]
    task = repr(session.task.name)
    if not session.named:
        lines, task = [*lines, f"{OBJECT}give it as task = ..."], "task"
    for name, called in session.controls.functions.items():
        lines.append(f"# {name} was a function of its own, {called}: define it")
        words.append(f"{name}={typed(name, called)}")
    if turned:
        lines += ["schedule = {", *(f"    {at}: {each!r}," for at, each in turned.items()), "}"]
        words.append("schedule=schedule")
    return "\n".join([*lines, f"session = trpolab.train({', '.join([task, *words])})"])


def as_command(session: Any) -> str:
    """A `trpolab train` command line that does the run again."""
    if not session.named:
        return f"{OBJECT}it has no command, only a Python call"
    if session.controls.functions:
        return f"# {', '.join(session.controls.functions)} of its own: it has no command, only a Python call"
    given, turned = replayed(session)
    named = [*given.items(), *((f"{at}:{name}", value) for at, each in turned.items() for name, value in each.items())]
    imported = [word for name in modules(session, turned) for word in ("--import", name)]
    pairs = [word for name, value in named for word in ("--set", f"{name}={as_toml(value)}")]
    return shlex.join(["trpolab", "train", *imported, session.task.name, *pairs])


def as_toml(value: Any) -> str:
    """A setting's value as `--set` reads it; JSON writes numbers, lists, true and false as TOML does."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)

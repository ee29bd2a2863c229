"""`trpolab workshop`: the exercises, opened, built, or marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trpolab.cli.exits import Exit, refuse
from trpolab.cli.lab import checkout_notebooks, copy_and_serve, folder_and_options, packaged_notebooks
from trpolab.machine import user_path
from trpolab.runs.disk import strict_json
from trpolab.runs.follower import printable
from trpolab.workshop.builder import build
from trpolab.workshop.checks import YES
from trpolab.workshop.source import exercises

FOLDER = "workshop"  # of the notebooks
DEFAULT_FOLDER = "trpolab-workshop"


def workshop(words: Sequence[str]) -> int:
    """Do what `words` say: [DIR] [OPTION ...], build [DIR], or progress DIR [--json]."""
    if words[:1] == ["build"]:
        return _build(words[1:])
    if words[:1] == ["progress"]:
        return _progress(words[1:])
    folder, options = folder_and_options(words)
    first = f"{exercises()[0].name}.ipynb"
    source = packaged_notebooks() / FOLDER
    return copy_and_serve(source, folder or DEFAULT_FOLDER, options, first)


def _progress(words: Sequence[str]) -> int:
    folders = [word for word in words if word != "--json"]
    if len(folders) != 1 or folders[0].startswith("-"):
        return refuse(["workshop progress: name one folder of notebooks, and --json if a program is to read it"])
    from trpolab.workshop.marking import mark

    found = []
    for marked in mark(user_path(folders[0])):
        found.append(marked)
        if "--json" not in words:
            print(_line(marked), flush=True)
    if "--json" in words:
        print(strict_json([marked.record() for marked in found], indent=1))
    else:
        print(f"{sum(marked.passed for marked in found)} of {len(found)} notebooks pass all their checks")
    return Exit.FINISHED


def _line(marked: Any) -> str:
    """A notebook's line of the table, and one below it for each function that does not pass."""
    held = sum(said == YES for said in marked.checks.values())
    exercise = f"exercise {marked.exercise}: {held} of {len(marked.checks)}" if marked.checks else "not marked"
    below = [f"{name}: {said}" for name, said in marked.checks.items() if said != YES]
    below += [marked.fault] if marked.fault else []
    return "\n    ".join([f"{printable(marked.notebook):44} {exercise}", *map(printable, below)])


def _build(words: Sequence[str]) -> int:
    checkout = checkout_notebooks(Path.cwd())
    if len(words) > 1 or (not words and checkout is None):
        return refuse(["workshop build: name one folder to build the notebooks in"])
    target = user_path(words[0]) if words or checkout is None else checkout / FOLDER
    try:
        written = build(target)
    except OSError as error:
        return refuse([f"the notebooks could not be written to {target}: {error.strerror or error}"])
    print(f"{len(written)} notebooks in {target}")
    return Exit.FINISHED

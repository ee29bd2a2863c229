"""`trpolab workshop`: the exercises, opened, built, or marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trpolab.cli.exits import Exit, refuse
from trpolab.cli.lab import SKIPPED, checkout_notebooks, copy_and_serve, folder_and_options, packaged_notebooks
from trpolab.machine import user_path
from trpolab.workshop.builder import SOLUTIONS, build
from trpolab.workshop.source import exercises

FOLDER = "workshop"  # of the notebooks
DEFAULT_FOLDER = "trpolab-workshop"


def workshop(words: Sequence[str]) -> int:
    """Do what `words` say: [DIR] [OPTION ...], build [DIR], or progress DIR [--json]."""
    if words[:1] == ["build"]:
        return _build(words[1:])
    folder, options = folder_and_options(words)
    first = f"{exercises()[0].name}.ipynb"
    source = packaged_notebooks() / FOLDER
    return copy_and_serve(source, folder or DEFAULT_FOLDER, options, first, {*SKIPPED, SOLUTIONS})


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

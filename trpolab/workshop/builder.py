"""Notebooks from the exercises' sources: one for students, with a stub, and one with the solution."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trpolab.workshop.source import Exercise, exercises

SOLUTIONS = "solutions"
HOW = "Shift+Enter runs a cell; the first one takes some seconds."
LEFT_OUT = ("picture", "check", "real")  # cells that need not run for the checks
KERNEL = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def build(folder: Path) -> list[Path]:
    """Write the notebooks of all exercises into a folder, and those with solutions below it; returns their files."""
    written = []
    for exercise in exercises():
        for where, solved in ((folder, False), (folder / SOLUTIONS, True)):
            where.mkdir(parents=True, exist_ok=True)
            file = where / f"{exercise.name}.ipynb"
            file.write_text(notebook(exercise, solved), encoding="utf-8")
            written.append(file)
    return written


def notebook(exercise: Exercise, solved: bool) -> str:
    """The text of one notebook."""
    head = f"# {exercise.number}. {exercise.title}\n\n*About {exercise.minutes} minutes. {HOW}*"
    cells = [cell("text", head if not solved else f"{head} **With the solution.**")]
    solutions = iter([block.text for block in exercise.blocks if block.kind == "solution"])
    first = 1  # of the hints about the function that is checked
    for block in exercise.blocks:
        first = exercise.first_hint(block.text) if block.kind == "check" else first
        match block.kind:
            case "stub" if solved:
                cells.append(cell("solution", next(solutions)))
            case "check" if solved:
                cells.append(cell("check", f"verdict = {block.text}\nassert verdict, verdict\nverdict"))
            case "solution" if not solved:
                cells += [cell("hint", stuck(first, len(exercise.hints))), cell("text", folded(block.text))]
            case "text" | "code" | "picture" | "stub" | "check" | "real":
                cells.append(cell(block.kind, block.text))
    for place, each in enumerate(cells):
        each["id"] = f"cell-{place:02d}"
    content = {"cells": cells, "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def stuck(first: int, hints: int) -> str:
    """The line that gives a hint, waiting to be uncommented."""
    return f"# hint({first})  # stuck? take the first # away; this notebook has hints 1 to {hints}"


def folded(code: str) -> str:
    """A solution that opens when it is clicked on."""
    head = "<details><summary><b>A solution</b>, for when the hints are used up</summary>"
    return f"{head}\n\n```python\n{code}\n```\n\n</details>"


def cell(kind: str, text: str) -> dict[str, Any]:
    """A cell of a notebook; its id is still missing."""
    lines = text.splitlines(keepends=True)
    if kind == "text":
        return {"cell_type": "markdown", "metadata": {}, "source": lines}
    metadata: dict[str, Any] = {"tags": [kind]} if kind in (*LEFT_OUT, "stub", "solution") else {}
    if kind == "picture":
        metadata["jupyter"] = {"source_hidden": True}
    return {"cell_type": "code", "execution_count": None, "metadata": metadata, "outputs": [], "source": lines}

"""Every benchmark has its title and its note in its docstring, and docs/results.md shows them so."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from trpolab.bench import Table, names, run
from trpolab.bench.runner import BENCHMARKS

RESULTS = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, own in BENCHMARKS.items() for name in own])
def test_the_results_page_shows_each_benchmark_under_its_own_title(module: str, name: str) -> None:
    title, _, note = inspect.getdoc(
        getattr(import_module(f"trpolab.bench.{module}"), name.replace("-", "_"))
    ).partition("\n")
    (shown,) = re.findall(rf"^\*\*(.*)\*\* \(`trpolab bench {name}`\)$", RESULTS, re.M)
    assert title.endswith(".") and (shown == title[:-1] or shown.startswith(f"{title[:-1]}: "))
    assert " ".join(note.split()) in RESULTS


def test_a_table_has_its_cells_under_their_heads() -> None:
    table = Table("what | MiB | reached", ["most | 1,024 | yes", "| | no"], "1 of 2")
    title, empty, head, rule, first, second, *_, note, machine = table.markdown(
        "x", "Memory.\n\nTwo\nlines."
    ).splitlines()
    assert (title, empty, note) == ("**Memory: 1 of 2** (`trpolab bench x`)", "", "Two lines.")
    assert [head, first, second] == [
        "| what | MiB   | reached |",
        "| most | 1,024 | yes     |",
        "|      |       | no      |",
    ]
    assert rule == "|------|-------|---------|" and "Python" in machine


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown benchmark 'updat'.*did you mean update.*sampling"):
        run("updat")
    assert len(set(names())) == len(names()) == 26

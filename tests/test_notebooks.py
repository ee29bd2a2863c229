"""What a committed notebook must be, beside running: small, without widget state, on the kernel that everyone has."""

from __future__ import annotations

import ast
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import as_added, notebooks
from trpolab.settings import ConfigError
from trpolab.simulators import find_task
from trpolab.training.config import resolve, settings

NOTEBOOKS = notebooks()
MOST_BYTES = 300_000


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def notebook(path: Path) -> dict[str, Any]:
    return json.loads(as_added(path))


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_it_is_small(path: Path) -> None:
    assert len(as_added(path)) < MOST_BYTES


def test_it_holds_no_widget_state(notebook: dict[str, Any]) -> None:
    assert "widgets" not in notebook["metadata"]
    types = [kind for cell in code_cells(notebook) for output in cell["outputs"] for kind in output.get("data", {})]
    assert "application/vnd.jupyter.widget-view+json" not in types


def test_it_asks_for_the_kernel_that_everyone_has(notebook: dict[str, Any]) -> None:
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def test_checked_cells_hold_what_they_are_checked_against(notebook: dict[str, Any]) -> None:
    """Without a count, or without outputs, the comparison would be skipped in silence."""
    for cell in code_cells(notebook):
        if "NBVAL_CHECK_OUTPUT" in "".join(cell["source"]):
            assert isinstance(cell["execution_count"], int) and cell["outputs"], "".join(cell["source"])


def test_only_checked_and_kept_cells_hold_outputs(notebook: dict[str, Any]) -> None:
    for cell in code_cells(notebook):
        if "NBVAL_CHECK_OUTPUT" not in "".join(cell["source"]) and "keep_output" not in cell["metadata"].get(
            "tags", []
        ):
            assert cell["outputs"] == [], "".join(cell["source"])


def test_no_cell_defines_an_error_as_its_output(notebook: dict[str, Any]) -> None:
    assert not [o for cell in code_cells(notebook) for o in cell["outputs"] if o["output_type"] == "error"]


def test_there_are_notebooks() -> None:
    assert "0_start" in [path.stem for path in NOTEBOOKS]


BUDGETS = ("FAST", "HURRIED", "hurried")  # what notebooks call it when they are in a hurry, as in tests
RUNS = ("Lab", "Session", "collect", "resolve")  # whose arguments are a task and its settings


class Unknown(Exception):
    """An expression whose value only a run of the notebook would tell."""


def value_of(node: ast.AST, names: dict[str, Any]) -> Any:
    """The value of an expression without calls; what can't be told in a table is left out of it."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name) if name in names:
            return names[name]
        case ast.IfExp(test, body, orelse):
            return value_of(body if value_of(test, names) else orelse, names)
        case ast.UnaryOp(ast.Not(), operand):
            return not value_of(operand, names)
        case ast.Tuple(elements) | ast.List(elements):
            return tuple(value_of(element, names) for element in elements)
        case ast.Call(ast.Name("find_task"), [task]):
            return value_of(task, names)
        case ast.Dict(keys, values):
            table: dict[str, Any] = {}
            for key, value in zip(keys, values, strict=True):
                with contextlib.suppress(Unknown):
                    table |= value_of(value, names) if key is None else {value_of(key, names): value_of(value, names)}
            return table
    raise Unknown(ast.dump(node))


def runs_of(notebook: dict[str, Any], hurried: bool) -> list[tuple[str, dict[str, Any]]]:
    """(task, settings) of the runs that a notebook asks for, with small or with full budgets."""
    names: dict[str, Any] = dict.fromkeys(BUDGETS, hurried)
    found = []
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            with contextlib.suppress(Unknown):
                match node:
                    case ast.Assign([ast.Name(name)], value) if name not in BUDGETS:
                        names[name] = value_of(value, names)
                    case ast.Assign([ast.Tuple(targets)], value):
                        names |= zip((ast.unparse(target) for target in targets), value_of(value, names), strict=True)
                    case ast.Call(ast.Name(name), [first, *_], keywords) if name in RUNS:
                        given = value_of(
                            ast.Dict(
                                [ast.Constant(k.arg) if k.arg else None for k in keywords], [k.value for k in keywords]
                            ),
                            names,
                        )
                        given = given.get("overrides", given)
                        found.append((value_of(first, names), {k: v for k, v in given.items() if k in settings()}))
    return [(task, given) for task, given in found if isinstance(task, str)]


@pytest.mark.parametrize("hurried", [True, False], ids=["small budgets", "full budgets"])
def test_what_a_notebook_asks_for_can_run_with_either_budget(notebook: dict[str, Any], hurried: bool) -> None:
    for task, given in runs_of(notebook, hurried):
        try:
            about = find_task(task)
        except ImportError:  # games, without ale-py
            continue
        resolve(about, overrides=given)


def test_settings_that_depend_on_the_budget_are_found() -> None:
    source = """
FAST = os.environ.get("TRPOLAB_FAST") == "1"
TASK, OTHER = "CartPole-v1", "Hopper-v5"
TREE = {"sampler": "vine", "vine.states": 10 if FAST else 10**9, "unknown": measured()}
collect(TASK, 3, **TREE, proposal="all", out=None)
"""
    notebook = {"cells": [{"cell_type": "code", "source": source.replace("10**9", "4000")}]}
    (fast,), (full,) = (runs_of(notebook, hurried) for hurried in (True, False))
    assert fast == ("CartPole-v1", {"sampler": "vine", "vine.states": 10, "proposal": "all"})
    assert full[1]["vine.states"] == 4000
    with pytest.raises(ConfigError, match="visit"):
        resolve(find_task(full[0]), overrides=full[1])
    known = {path.stem: runs_of(json.loads(as_added(path)), False) for path in NOTEBOOKS}
    assert any(given.get("vine.states") == 4000 for _, given in known["3_single_path_and_vine"])
    assert all(known[name] for name in ("0_start", "2_inside_one_update", "6_atari"))

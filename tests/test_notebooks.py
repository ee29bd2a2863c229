"""What a committed notebook must be, beside running: small, without widget state, on the kernel that everyone has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").rglob("*.ipynb"))
MOST_BYTES = 300_000


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def notebook(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_it_is_small(path: Path) -> None:
    assert path.stat().st_size < MOST_BYTES


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

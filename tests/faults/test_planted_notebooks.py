"""Notebooks with a fault: the check that every notebook passes must fail."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.reliability.test_notebooks import runs_and_leaves_alone

HONEST = "from pathlib import Path\nfound = Path('found')\nfound.mkdir(exist_ok=True)"
RED = (AssertionError,)


def runs_twice(folder: Path, *sources: str, skipped: bool = False) -> None:
    """A notebook of these cells is put into a checkout of its own and run twice beside it, as all notebooks are."""
    tags = {"metadata": {"tags": ["skip-execution"]}} if skipped else {}
    cells = [nbformat.v4.new_code_cell(source, **tags) for source in sources]
    path = folder / "checkout" / "a.ipynb"
    path.parent.mkdir()
    (folder / "work").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    for _ in range(2):
        runs_and_leaves_alone(path, folder / "work", path.parent)


@pytest.mark.reliability("R36")
@pytest.mark.parametrize(
    "last",
    [
        "found / 0",
        "(found / 'once').mkdir()",  # the first time all is well
        "Path('../checkout/left').touch()",
    ],
    ids=["an error", "an error the second time", "a file left in the checkout"],
)
def test_a_notebook_with_a_fault(last: str, tmp_path: Path) -> None:
    with pytest.raises(RED):
        runs_twice(tmp_path, HONEST, last)


@pytest.mark.reliability("R36")
def test_a_cell_that_is_passed_over(tmp_path: Path) -> None:
    with pytest.raises(RED):
        runs_twice(tmp_path, HONEST, skipped=True)


def test_without_a_fault_it_passes(tmp_path: Path) -> None:
    runs_twice(tmp_path, HONEST, "(found / 'again').mkdir(exist_ok=True)")

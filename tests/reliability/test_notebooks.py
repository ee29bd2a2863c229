"""R36: every notebook, top to bottom, beside a checkout that nothing is written to.

nbval runs each of them, too, in the same working directory, and `conftest.py` looks at the checkout after each. Here
they run once more, among what the first run has left: one always, the others before a release.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.checkout import contents, notebooks

nbclient = pytest.importorskip("nbclient")

FOLDER = Path(__file__).parent.parent.parent / "notebooks"
NOTEBOOKS = [path for path in notebooks() if path.parent.name != "workshop"]  # stubs are to fail
ALWAYS = "1_monotonic_improvement"  # the quickest
CELL_SECONDS = 120  # generous on a busy machine; with TRPOLAB_FAST a whole notebook is meant to take less than 60


def run(notebook: nbformat.NotebookNode, where: Path) -> list[str]:
    """Execute a notebook in a kernel of its own whose working directory is `where`; texts of its error outputs."""
    client = nbclient.NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        allow_errors=True,
        store_widget_state=False,
        resources={"metadata": {"path": str(where)}},
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [f"{output.ename}: {output.evalue}" for output in outputs if output.output_type == "error"]


def runs_and_leaves_alone(path: Path, where: Path, folder: Path) -> None:
    """It runs from top to bottom without an error, and no file in `folder` has changed."""
    before, notebook = contents(folder), nbformat.read(path, as_version=4)
    assert run(notebook, where) == []
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code" and cell.source)
    assert contents(folder) == before, "it wrote into the checkout"


@pytest.mark.reliability("R36")
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem == ALWAYS else pytest.mark.soak, id=path.stem) for path in NOTEBOOKS],
)
def test_a_notebook_runs_and_leaves_the_checkout_alone(path: Path, notebook_folder: Path) -> None:
    runs_and_leaves_alone(path, notebook_folder, FOLDER)


@pytest.mark.reliability("R36")
def test_a_cell_that_raises_is_seen(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0"), nbformat.v4.new_code_cell("2")])
    assert run(notebook, tmp_path) == ["ZeroDivisionError: division by zero"]

"""The solutions' notebooks run from top to bottom: all in one kernel, with small budgets.

With full ones they run under nbval before a release, with all other notebooks: docs/reliability.md.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.reliability.test_notebooks import run

pytest.importorskip("ipywidgets", reason='needs the lab: pip install "trpolab[lab]"')

BETWEEN = """
from trpolab.lab.shown import Shown
for one in [*globals().values(), *Out.values()]:
    if isinstance(one, Shown):
        one.close()
%reset -f
"""


@pytest.mark.reliability("R36")
def test_the_solutions_run_one_after_another(checkout: Path, tmp_path: Path) -> None:
    files = sorted((checkout / "notebooks" / "workshop" / "solutions").glob("*.ipynb"))
    notebooks = [nbformat.read(file, as_version=4) for file in files]
    cells = [cell for notebook in notebooks for cell in (*notebook.cells, nbformat.v4.new_code_cell(BETWEEN))]
    for place, cell in enumerate(cells):
        cell["id"] = f"cell-{place}"
    together = nbformat.v4.new_notebook(cells=cells)
    assert run(together, tmp_path) == []
    checks = [cell for cell in together.cells if "check" in cell.metadata.get("tags", [])]
    told = ["".join(output.data["text/plain"] for output in cell.outputs if "data" in output) for cell in checks]
    assert told and all(text.endswith("All of it holds.") for text in told)
    assert not list(tmp_path.rglob("run.json")), "an exercise leaves run folders behind"

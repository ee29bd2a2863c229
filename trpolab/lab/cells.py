"""One lab a cell: running a cell again closes the lab that it made before.

The record is an attribute of IPython's shell, which exists as long as the kernel and survives `%reset`. Without a shell
nothing is recorded.
"""

from __future__ import annotations

from typing import Any

ATTRIBUTE = "_trpolab_cells"


def claim(fallback: str) -> tuple[list[Any], list[Any]]:
    """Close what the running cell made in an earlier execution: (where its new labs are to be recorded, those closed).

    A cell holds what has `close(keep_view=False)`, by the number of its latest execution.
    A cell is known by the id that JupyterLab sends along; where a front end sends none, by `fallback` (the task).
    """
    shell = current_shell()
    if shell is None:
        return [], []
    cells: dict[str, tuple[int, list[Any]]] = shell.__dict__.setdefault(ATTRIBUTE, {})
    key, execution = cell_id(shell) or fallback, int(shell.execution_count)
    latest, labs = cells.get(key, (None, []))
    if latest == execution:
        return labs, []
    for earlier in labs:
        earlier.close(keep_view=False)
    cells[key] = execution, []
    return cells[key][1], labs


def current_shell() -> Any:
    """IPython's shell inside a kernel, else None."""
    from IPython import get_ipython

    shell = get_ipython()
    return shell if shell is not None and hasattr(shell, "kernel") else None


def cell_id(shell: Any) -> str | None:
    """The id of the cell that runs now, as JupyterLab names it."""
    message = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return (message or {}).get("metadata", {}).get("cellId")

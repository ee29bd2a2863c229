"""One lab a cell: running a cell again closes the lab that it made before.

The record is an attribute of IPython's shell, which exists as long as the kernel and survives `%reset`. Without a shell
nothing is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ATTRIBUTE = "_trpolab_cells"


@dataclass
class Cell:
    """The labs of a cell's latest execution, or other things with `close(keep_view=False)`."""

    execution: int
    labs: list[Any] = field(default_factory=list)


def claim(fallback: str) -> list[Any]:
    """Close what the running cell made in an earlier execution; the list is where its new labs are to be recorded.

    A cell is known by the id that JupyterLab sends along; where a front end sends none, by `fallback` (the task).
    """
    shell = current_shell()
    if shell is None:
        return []
    cells: dict[str, Cell] = shell.__dict__.setdefault(ATTRIBUTE, {})
    key, execution = cell_id(shell) or fallback, int(shell.execution_count)
    cell = cells.get(key)
    if cell is None or cell.execution != execution:
        for earlier in cell.labs if cell else ():
            earlier.close(keep_view=False)
        cell = cells[key] = Cell(execution)
    return cell.labs


def current_shell() -> Any:
    """IPython's shell inside a kernel, else None."""
    from IPython import get_ipython

    shell = get_ipython()
    return shell if shell is not None and hasattr(shell, "kernel") else None


def cell_id(shell: Any) -> str | None:
    """The id of the cell that runs now, as JupyterLab names it."""
    message = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return (message or {}).get("metadata", {}).get("cellId")

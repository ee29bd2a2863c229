"""What a folder of the checkout holds, to tell whether a test wrote into it; and its notebooks."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, by its hash."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".ipynb_checkpoints" not in path.parts]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def notebooks() -> list[Path]:
    """Those of the checkout, without the copies that JupyterLab makes."""
    return sorted(path for path in NOTEBOOKS.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)


def as_added(path: Path) -> bytes:
    """A file as Git has it to be committed: a person who has used the lab has saved notebooks with outputs.

    As it is on disk where Git does not know it.
    """
    try:
        command = ["git", "show", f":./{path.name}"]
        return subprocess.run(command, cwd=path.parent, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return path.read_bytes()

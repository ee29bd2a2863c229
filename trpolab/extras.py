"""The packages that trpolab needs, always or for an extra, and the sentence a person reads when one is missing."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CORE = ("numpy", "scipy", "torch", "gymnasium", "mujoco", "safetensors", "threadpoolctl", "imageio", "psutil", "rich")
EXTRAS = {  # module: extra
    "IPython": "lab",
    "PIL": "lab",
    "anywidget": "lab",
    "ipykernel": "lab",
    "ipywidgets": "lab",
    "jupyterlab": "lab",
    "matplotlib": "lab",
    "plotly": "lab",
    "ale_py": "atari",
    "pyarrow": "parquet",
    "cma": "cma",
    "tensorboard": "tensorboard",
    "ray": "ray",
    "sb3_contrib": "bench",
    "stable_baselines3": "bench",
    "tianshou": "bench",
}


def install_line(module: str) -> str:
    """The command that installs a module. Raises KeyError for one that trpolab never needs."""
    return "pip install trpolab" if module in CORE else f'pip install "trpolab[{EXTRAS[module]}]"'


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the absence of a package inside the block into an ImportError that names its install command.

    Any other ImportError passes as it is: a broken package is not a missing one.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS and module not in CORE:
            raise
        raise ImportError(
            f"{what} needs {module}, which is not installed: {install_line(module)}", name=error.name
        ) from error


@contextmanager
def announced(what: str) -> Iterator[None]:
    """While the block loads packages, say so in the notebook's cell that runs: torch and the widgets take seconds.

    Outside a kernel, and once torch is loaded, nothing is said.
    """
    shell: Any = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if "torch" in sys.modules or not hasattr(shell, "kernel"):
        yield
        return
    line = {"display_id": f"trpolab-loading-{uuid.uuid4().hex}"}
    shell.display_pub.publish({"text/plain": f"loading {what} ..."}, transient=line)
    try:
        yield
    finally:
        shell.display_pub.publish({"text/plain": "", "text/html": "<span></span>"}, transient=line, update=True)

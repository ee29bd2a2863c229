"""Optional packages: which extra brings each, and the sentence a person reads when one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

EXTRAS = {
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
}


def install_line(module: str) -> str:
    """The command that installs an optional module. Raises KeyError for one that no extra brings."""
    return f'pip install "trpolab[{EXTRAS[module]}]"'


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the absence of an optional package inside the block into an ImportError that names its install command.

    Any other ImportError passes as it is: a broken package is not a missing one.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        raise ImportError(
            f"{what} needs {module}, which is not installed: {install_line(module)}", name=error.name
        ) from error

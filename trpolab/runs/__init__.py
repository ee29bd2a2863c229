"""The run folder on disk. `trpolab.runs()` lists those of a folder: see `browser`."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """This package, which is also the function `trpolab.runs`."""

    def __call__(self, folder: str | Path = "runs") -> Any:
        """The runs in a folder, as a table. Raises RunFolderError where it is no folder."""
        from trpolab.runs.browser import Runs

        return Runs(folder)


sys.modules[__name__].__class__ = _Callable

"""A lab for Trust Region Policy Optimization (Schulman et al., 2015).

The names below are loaded when they are first used, so that `import trpolab` costs nothing and needs no notebook.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from trpolab.lab import Lab
    from trpolab.numerics import backtrack, conjugate_gradient
    from trpolab.sampling.batch import Batch
    from trpolab.simulators import make
    from trpolab.training import Controls, evaluate, load_policy, train
    from trpolab.training.config import Config, SinglePath, Vine

__all__ = [
    "Batch",
    "Config",
    "Controls",
    "Lab",
    "SinglePath",
    "Vine",
    "backtrack",
    "conjugate_gradient",
    "evaluate",
    "load_policy",
    "make",
    "train",
]

_HOMES = {
    "Batch": "trpolab.sampling.batch",
    "Config": "trpolab.training.config",
    "Controls": "trpolab.training",
    "Lab": "trpolab.lab",
    "SinglePath": "trpolab.training.config",
    "Vine": "trpolab.training.config",
    "backtrack": "trpolab.numerics",
    "conjugate_gradient": "trpolab.numerics",
    "evaluate": "trpolab.training",
    "load_policy": "trpolab.training",
    "make": "trpolab.simulators",
    "train": "trpolab.training",
}


def __getattr__(name: str) -> Any:
    """Load a public name from the module that it lives in.

    Raises AttributeError for any other name, and ImportError with the command that installs it where an optional
    package is missing.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'trpolab' has no attribute {name!r}")
    from trpolab.extras import explained

    with explained(f"trpolab.{name}"):
        value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

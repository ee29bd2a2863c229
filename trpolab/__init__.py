"""A lab for Trust Region Policy Optimization (Schulman et al., 2015).

The names below are loaded when they are first used, so that `import trpolab` loads Gymnasium and NumPy alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import gymnasium

__version__ = "0.1.0"

if TYPE_CHECKING:
    from trpolab import runs, theory
    from trpolab.experiments import statistics
    from trpolab.experiments.sweep import sweep
    from trpolab.lab import Lab
    from trpolab.lab.compare import compare
    from trpolab.lab.player import play
    from trpolab.lab.watch import watch
    from trpolab.numerics import backtrack, conjugate_gradient
    from trpolab.policies.kinds import DistributionKind, NetworkKind
    from trpolab.runs.reader import load_policy
    from trpolab.sampling.batch import Batch
    from trpolab.sampling.config import SinglePath, Vine
    from trpolab.sampling.sampler import SamplerKind
    from trpolab.settings import setting
    from trpolab.simulators import as_gymnasium, make
    from trpolab.simulators.registry import SimulatorKind
    from trpolab.training.config import Config
    from trpolab.training.controls import Controls
    from trpolab.training.evaluation import evaluate
    from trpolab.training.registration import register
    from trpolab.training.session import Session, train
    from trpolab.updates.method import MethodKind

_HOMES = {
    "Batch": "trpolab.sampling.batch",
    "Config": "trpolab.training.config",
    "Controls": "trpolab.training.controls",
    "DistributionKind": "trpolab.policies.kinds",
    "Lab": "trpolab.lab",
    "MethodKind": "trpolab.updates.method",
    "NetworkKind": "trpolab.policies.kinds",
    "SamplerKind": "trpolab.sampling.sampler",
    "Session": "trpolab.training.session",
    "SimulatorKind": "trpolab.simulators.registry",
    "SinglePath": "trpolab.sampling.config",
    "Vine": "trpolab.sampling.config",
    "as_gymnasium": "trpolab.simulators",
    "backtrack": "trpolab.numerics",
    "compare": "trpolab.lab.compare",
    "conjugate_gradient": "trpolab.numerics",
    "evaluate": "trpolab.training.evaluation",
    "load_policy": "trpolab.runs.reader",
    "make": "trpolab.simulators",
    "play": "trpolab.lab.player",
    "register": "trpolab.training.registration",
    "runs": "trpolab.runs",
    "setting": "trpolab.settings",
    "statistics": "trpolab.experiments.statistics",
    "sweep": "trpolab.experiments.sweep",
    "theory": "trpolab.theory",
    "train": "trpolab.training.session",
    "watch": "trpolab.lab.watch",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Load a public name from the module that it lives in.

    Raises AttributeError for any other name, and ImportError with the command that installs it where an optional
    package is missing.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'trpolab' has no attribute {name!r}")
    from trpolab.extras import announced, explained

    with explained(f"trpolab.{name}"), announced(f"trpolab.{name}"):
        home = importlib.import_module(_HOMES[name])
        value = getattr(home, name, home)  # a module that is public as a whole has nothing of its own name
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def _register_environments() -> None:
    """The paper's tasks for `gymnasium.make`: Gymnasium knows those environments whose package has been imported."""
    for name, limit in (("CartPole", 500), ("Swimmer", 1000), ("Hopper", 1000), ("Walker", 1000)):
        task, known = f"paper/{name}", f"trpolab/{name}-v0"
        if known not in gymnasium.registry:
            gymnasium.register(known, "trpolab:as_gymnasium", max_episode_steps=limit, kwargs={"task": task})


_register_environments()

"""Processes of their own, to be killed or starved, and what they run."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trpolab.training.session import Session

SMALL: dict[str, Any] = {"hidden": (8,), "value.hidden": (8,), "threads": 1}
CARTPOLE: dict[str, Any] = {**SMALL, "task": "CartPole-v1", "steps_per_iteration": 256, "slots": 4}
EVERY = 5  # iterations between the checkpoints of a run that is killed
DEADLINE = 120.0  # seconds for something to come about, generous on a busy machine


def child(work: Callable[..., None], *given: Any) -> Any:
    """Start `work(*given)` in a process of its own. `work` must be a module's function.

    It is forked from a server that has imported the library, so that it starts in a tenth of a second.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=work, args=given, daemon=True)
    process.start()
    return process


def until(true: Callable[[], Any]) -> Any:
    """Wait for something to come about, and return it."""
    deadline = time.monotonic() + DEADLINE
    while not (found := true()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not come about within {DEADLINE:.0f} s")
        time.sleep(0.002)
    return found


def only_run(out: Path) -> Path | None:
    """The one run folder in `out`, once it is there."""
    found = [path for path in out.iterdir() if not path.name.startswith(".")] if out.is_dir() else []
    return found[0] if found else None


def train_on(out: Path, checkpoint_every: int) -> None:
    """Start a run in `out`, or go on with the one there, without an end."""
    folder = only_run(out)
    given = {"resume": folder} if folder else {**CARTPOLE, "out": out, "checkpoint_every": checkpoint_every}
    Session(iterations=10**6, **given).run()


def train_without_room(tell: Any, out: Path, iterations: int) -> None:
    """After the second iteration no file may grow until the run has said that it waits; `tell` is sent what it says."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails instead of killing
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    session = Session(out=out, iterations=iterations, checkpoint_every=1, **CARTPOLE)

    def make_room(trouble: str) -> None:
        tell.send(trouble)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    session.on_trouble(make_room)
    for iteration in session.iterate():
        if iteration.index == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))

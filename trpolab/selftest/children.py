"""What the checks run in processes of their own, to be killed or starved."""

from __future__ import annotations

import resource
import signal
import sys

from trpolab.selftest.runs import CARTPOLE
from trpolab.training.session import Session


def train_slowly(out: str, iterations: str) -> None:
    """A checkpoint every iteration, and time to be killed."""
    settings = {**CARTPOLE, "iterations": int(iterations), "checkpoint_every": 1, "seconds_per_iteration": 0.05}
    Session(out=out, **settings).run()


def train_without_room(out: str, iterations: str) -> None:
    """After the second iteration no file may grow, until the run has said that it waits; prints what it says."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails instead of killing
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    session = Session(out=out, iterations=int(iterations), checkpoint_every=1, **CARTPOLE)

    def make_room(trouble: str) -> None:
        sys.stdout.write(f"{trouble}\n")
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    session.on_trouble(make_room)
    for iteration in session.iterate():
        if iteration.index == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))

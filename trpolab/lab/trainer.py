"""The training thread: only it iterates the session. All others use the session's controls."""

from __future__ import annotations

import atexit
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any

from trpolab.lab.kept_policies import InMemory
from trpolab.sampling.vine.record import VineRecord

NAME = "trpolab-trainer"
MOST_VINES = 20  # iterations whose vine can be looked back at
VINE_BYTES = 64 * 2**20  # that all of them may take


@dataclass(frozen=True)
class Failure:
    """An exception of the training thread."""

    sentence: str
    trace: str


class Trainer:
    """Runs one session in a daemon thread, again and again if it was stopped or failed.

    `session` needs `iterate()`, `controls` and `history` as `trpolab.training.session.Session` has them.
    """

    def __init__(self, session: Any):
        self.session = session
        self.failure: Failure | None = None
        self.latest: Any = None  # the newest Iteration
        self.vines: tuple[tuple[int, VineRecord], ...] = ()  # of the last vine iterations, by index
        self.policies = InMemory(session.progress.iteration, session.learner.policy)
        self.worked = 0.0  # seconds that the thread has been alive for
        self._thread: threading.Thread | None = None
        self._target: int | None = None  # pause when the history is this long
        self._seen = 0  # length of the history when it was last looked at
        self._moved = threading.Condition()
        self._began = 0.0

    @property
    def alive(self) -> bool:
        """Whether the thread runs (it may be paused)."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def state(self) -> str:
        """ready, running, waiting, pausing, paused, stopping, stopped, finished or error."""
        if not self.alive:
            if self.failure is not None:
                return "error"
            return self.session.state if self.session.state in ("finished", "stopped") else "ready"
        controls = self.session.controls
        if controls.stopping:
            return "stopping"
        if controls.paused:
            return "paused" if controls.holding else "pausing"
        return "waiting" if self.session.trouble else "running"

    def run(self, target: int | None = None) -> None:
        """Start or go on; with `target`, pause once the history is that long."""
        with self._moved:
            self._target = target
            self.session.controls.resume()
        self._start()

    def step(self) -> None:
        """One iteration, then hold."""
        with self._moved:
            self._target = None
            self.session.controls.step()
        self._start()

    def wait(self, length: int | None = None) -> None:
        """Block until the history is `length` long, or the thread holds or ended.

        Wakes ten times a second, so that the kernel's interrupt gets through.
        """
        while not self.rests(length):
            with self._moved:
                self._moved.wait(0.1)

    def rests(self, length: int | None = None) -> bool:
        """Whether the thread holds or ended, or the history is `length` long."""
        if not self.alive:
            return True
        if length is not None and self._seen >= length:  # not the history's length: the pause comes with `_seen`
            return True
        controls = self.session.controls
        return bool(controls.paused and controls.holding)

    def close(self, seconds: float = 10.0) -> None:
        """Give up the iteration under way and end the thread; wait so many seconds for its end."""
        self.session.controls.abort()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def elapsed(self) -> float:
        """Seconds spent training, pauses included."""
        return self.worked + (time.perf_counter() - self._began if self.alive else 0.0)

    def _start(self) -> None:
        if self._thread is not None and self.alive:
            if not self.session.controls.stopping:
                return
            self._thread.join(10)  # it was told to end and is writing its last files
        self.failure = None
        self._began = time.perf_counter()
        # A daemon thread inside C++ when the interpreter goes down takes the process with it: end it first.
        atexit.register(self.close)
        self._thread = threading.Thread(target=self._drive, name=NAME, daemon=True)
        self._thread.start()

    def _drive(self) -> None:
        try:
            for iteration in self.session.iterate():
                self.policies.write_to(self.session.path)
                self.policies.add(iteration.index, iteration.learner.policy)
                with self._moved:
                    self.latest, self._seen = iteration, len(self.session.history)
                    self.vines = keep_vine(self.vines, iteration)
                    if self._target is not None and self._seen >= self._target:
                        self.session.controls.pause()
                        self._target = None
                    self._moved.notify_all()
        except Exception as error:  # noqa: BLE001 - whatever a task raises is shown, and the kernel lives on
            self.failure = Failure(f"{type(error).__name__}: {error}", traceback.format_exc())
        finally:
            atexit.unregister(self.close)
            self.worked += time.perf_counter() - self._began
            with self._moved:
                self._moved.notify_all()


def keep_vine(kept: tuple[tuple[int, VineRecord], ...], iteration: Any) -> tuple[tuple[int, VineRecord], ...]:
    """The vines kept, with that of a new iteration if it was one; the oldest go when there are too many or too big."""
    record = iteration.batch.paths if iteration.batch is not None else None
    if not isinstance(record, VineRecord):
        return kept
    kept = (*kept, (iteration.index, record))[-MOST_VINES:]
    while len(kept) > 1 and sum(vine.nbytes for _, vine in kept) > VINE_BYTES:
        kept = kept[1:]
    return kept

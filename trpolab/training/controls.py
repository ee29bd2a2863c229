"""Settings and commands for the training loop, given from other threads."""

from __future__ import annotations

import threading
import time
from typing import Any

from trpolab.own import OWN
from trpolab.settings import ConfigError
from trpolab.simulators.base import Task
from trpolab.training.config import Config, check, settings


class Controls:
    """Settings for the next iteration, and run, pause, step, stop. Safe to call from any thread.

    The loop reads the config once at the start of an iteration (`take`); a change made meanwhile is pending until then.
    `paused`, `holding`, `stopping` and `phase` are there to be read; the methods change them.
    """

    def __init__(self, config: Config, task: Task):
        check(config, task)
        self.task = task
        self._changed = threading.Condition()
        self._requested = self._in_use = config
        self.paused = False  # the loop is paused, or will be before the next iteration
        self.holding = False  # the loop is waiting between two iterations
        self.stopping = False  # the run was told to end
        self.phase, self.phase_began = "", 0.0  # what the iteration under way does, and since when (perf_counter)
        self._aborting = self._ended = False
        self._steps = 0  # iterations still granted while paused

    def replace(self, **changes: Any) -> Config:
        """Ask for other settings from the next iteration on; returns the config asked for.

        Raises ConfigError, changing nothing, if any is unknown, out of bounds, not live, or doesn't go with the rest.
        """
        with self._changed:
            config = self._requested.replace(**changes)
            fixed = [
                f"{name} can't change while a run goes on (it applies at Reset): {self._requested.get(name)!r} stays"
                for name, about in settings().items()
                if not about.live and config.get(name) != self._requested.get(name)
            ]
            fixed += [
                f"{name} can't change while a run goes on"
                for name in OWN
                if name in changes and callable(changes[name])
            ]
            if fixed:
                raise ConfigError(fixed)
            check(config, self.task)
            self._requested = config
            return config

    @property
    def requested(self) -> Config:
        """The config that the next iteration will use."""
        return self._requested

    @property
    def functions(self) -> dict[str, str]:
        """A person's own functions in the place of the library's, by that place: their names."""
        return self._requested.own.named

    @property
    def in_use(self) -> Config:
        """The config of the iteration under way, or of the last one."""
        return self._in_use

    @property
    def pending(self) -> dict[str, tuple[Any, Any]]:
        """Settings that differ: {name: (next, in use)}."""
        with self._changed:
            if self._requested is self._in_use:
                return {}
            new, old = self._requested.settings(), self._in_use.settings()
        return {name: (new[name], old[name]) for name in new if new[name] != old[name]}

    def take(self) -> Config:
        """Called by the loop: use the requested config from now on."""
        with self._changed:
            self._in_use = self._requested
            return self._in_use

    def enter(self, phase: str) -> None:
        """Called by the loop: the iteration under way begins to do this; "": it is over."""
        self.phase, self.phase_began = phase, time.perf_counter()

    def pause(self) -> None:
        """Pause before the next iteration."""
        with self._changed:
            self.paused, self._steps = True, 0
            self._changed.notify_all()

    def resume(self) -> None:
        """Continue; a stop that the loop has not obeyed yet is withdrawn."""
        with self._changed:
            self._withdraw_stop()
            self.paused = False
            self._changed.notify_all()

    def step(self) -> None:
        """Run one more iteration, then pause."""
        with self._changed:
            self._withdraw_stop()
            self._steps = self._steps + 1 if self.paused else 1
            self.paused = True
            self._changed.notify_all()

    def stop(self) -> None:
        """End the run after the iteration under way; asked a second time, give that iteration up at once."""
        with self._changed:
            self._aborting = self.stopping
            self.stopping = True
            self._changed.notify_all()

    def abort(self) -> None:
        """End the run now; the iteration under way is given up, and its parameters are discarded."""
        with self._changed:
            self.stopping = self._aborting = True
            self._changed.notify_all()

    def rearm(self) -> None:
        """Forget an earlier stop, so that the run can go on."""
        with self._changed:
            self.stopping = self._aborting = self._ended = False

    def aborting(self) -> bool:
        """Whether to give up the iteration under way; asked by the samplers, and between the phases of an iteration."""
        return self._aborting

    def wait_for_turn(self) -> bool:
        """Called by the loop: wait while paused. True: run an iteration; False: the run was told to end."""
        with self._changed:
            self.holding = self.paused and self._steps == 0
            self._changed.wait_for(lambda: self.stopping or not self.paused or self._steps > 0)
            self.holding = False
            self._ended = self.stopping
            if self.stopping:
                return False
            if self.paused:
                self._steps -= 1
            return True

    def wait(self, seconds: float) -> None:
        """Called by the loop: wait so many seconds; a stop ends the wait."""
        with self._changed:
            self._changed.wait_for(lambda: self.stopping, timeout=max(0.0, seconds))

    def _withdraw_stop(self) -> None:
        """Forget a stop that the loop has not obeyed yet."""
        if not self._aborting and not self._ended:
            self.stopping = False

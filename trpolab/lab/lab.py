"""The lab: TRPO learns in a thread of the kernel while a person watches and changes settings.

    from trpolab import Lab
    Lab("Hopper-v5")
    Lab(resume="runs/20261122T101502Z-Hopper-v5-9f3a11")  # goes on with a run that was stopped or killed

Three threads are at work. The trainer, a daemon thread, iterates the session; only it uses torch and the run's
simulators. The refresh thread moves new values to the widgets and draws rollouts in a simulator of its own. Widget
callbacks run on a thread of the kernel; they ask the controls or set a flag. The kernel's own stop button raises in the
main thread and reaches none of them, so the lab has its own Stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

from trpolab.lab.cells import claim
from trpolab.lab.controls_panel import ControlsPanel
from trpolab.lab.shown import Shown
from trpolab.lab.trainer import Trainer
from trpolab.policies import Policy
from trpolab.runs.reader import numbered
from trpolab.settings import PlainError
from trpolab.simulators import Source
from trpolab.training import config
from trpolab.training.session import Session

UNTIL_STOPPED = 1_000_000  # iterations of a lab that was given none


class Lab(Shown):
    """A live run of a task; the last line of a cell shows it.

    `task` and `settings` are those of `trpolab.train`; without `iterations` it learns until stopped. `out=None` writes
    nothing to disk. `Lab(resume=folder)` goes on with a run that was stopped or killed, bit for bit: its history is
    shown at once, and *Continue* does the iteration that would have come next; a run of a callable needs it again,
    `Lab(make_env, resume=folder)`, and other environments `changed_environment=True`. Running the same cell again
    closes the lab that it made before. Raises ConfigError, listing all that is wrong, UnknownTask, and RunFolderError.
    """

    def __init__(
        self,
        task: Source | None = None,
        *,
        out: str | Path | None = "runs",
        resume: str | Path | None = None,
        autostart: bool = False,
        **settings: Any,
    ):
        super().__init__()
        mine, closed = claim(str(task or resume) if not callable(task) else getattr(task, "__name__", "task"))
        self._out = out
        self._more = settings.get("iterations", UNTIL_STOPPED)
        self._granted = self._more  # as many as the lab itself has last asked for
        first = self._new_session(task, settings | {"iterations": self._more}, resume)
        self._source = first.source
        self.trainer = Trainer(first)
        self._wanted: Callable[[], Any] | None = None  # makes the session that a reset asks for
        before = [lab for lab in closed if isinstance(lab, Lab) and lab.session.task.name == first.task.name]
        self.ghosts = before[-1].as_ghosts() if before else []
        mine.append(self)
        if autostart:
            self.run()

    @property
    def session(self) -> Any:
        """The session of the run under way; a reset makes another one."""
        return self.trainer.session

    @property
    def controls(self) -> Any:
        """The mailbox for settings: `lab.controls.replace(delta=0.02)`."""
        return self.session.controls

    @property
    def state(self) -> str:
        """ready, running, waiting (for its folder), pausing, paused, stopping, stopped, finished, error or closed."""
        return "closed" if self._closed else self.trainer.state

    @property
    def policy(self) -> Policy:
        """The policy after the last whole iteration."""
        return self.session.learner.policy

    def panel(self) -> ControlsPanel:
        """The knobs."""
        return ControlsPanel(lambda: self.controls)

    def run(self, *, block: bool = False, iterations: int | None = None) -> Lab:
        """Train until paused or stopped, or for so many iterations more and then pause.

        With `block` the call returns when that is done (for scripts and tests; the kernel's interrupt pauses), and
        raises RuntimeError if training failed.
        """
        self._refuse_if_closed()
        target = None if iterations is None else len(self.history) + iterations
        self._grant(iterations)
        self.trainer.run(target)
        return self.wait(target) if block else self

    def wait(self, length: int | None = None) -> Lab:
        """Block until the run holds, has ended or failed, or its history is so long.

        The kernel's interrupt pauses it and ends the waiting. Raises RuntimeError if training failed.
        """
        try:
            self.trainer.wait(length)
        except KeyboardInterrupt:
            self.pause()
        self.refresh()
        if (failure := self.trainer.failure) is not None:
            raise RuntimeError(f"training failed: {failure.sentence}\n{failure.trace}")
        return self

    def __await__(self) -> Generator[Any, None, Lab]:
        """`await lab` in a cell waits as `lab.wait()` does, and the kernel stays free: knobs and buttons answer."""
        return self._arrival().__await__()

    async def _arrival(self) -> Lab:
        try:
            while not self.trainer.rests():
                await asyncio.sleep(0.1)
        except asyncio.CancelledError:  # the kernel's interrupt
            self.pause()
        return self.wait()

    def step(self) -> Lab:
        """One iteration, then hold."""
        self._refuse_if_closed()
        self._grant(1)
        self.trainer.step()
        return self

    def pause(self) -> Lab:
        """Hold after the iteration under way."""
        self.controls.pause()
        return self

    def stop(self) -> Lab:
        """End the run after the iteration under way; a second time: at once."""
        self.controls.stop()
        return self

    def reset(self) -> Lab:
        """Start anew, untrained, with the knobs as they are; the charts keep the last run in dotted grey."""
        return self._begin_another(None)

    def rewind(self, at: int) -> Lab:
        """Step back to an iteration of `kept()`, and make ready to go on from there with the knobs as they are.

        That is a new run, which names the old one as its parent; the charts keep the old one in dotted grey. Raises
        PlainError where the iteration isn't kept.
        """
        return self._begin_another(at)

    def kept(self) -> list[int]:
        """The iterations that the run can be stepped back to: its folder keeps their checkpoints."""
        path = self.session.path
        return [int(entry.name) for entry in numbered(path / "ckpt")] if path is not None else []

    def ask_for_reset(self, at: int | None = None) -> None:
        """Give up the iteration under way; `settle` does the rest. With `at`, step back to that iteration."""
        path, live = self.session.path, config.settings()
        asked = self._asked()
        if at is None:
            self._wanted = self._anew
        elif at in self.kept() and path is not None:
            turned = {name: value for name, value in asked.items() if name not in live or live[name].live}
            self._wanted = partial(self._new_session, self._source, turned, path, at)
        else:
            kept = ", ".join(map(str, self.kept())) or "none"
            raise PlainError(f"iteration {at}: only those whose checkpoints the run folder keeps ({kept})")
        self.controls.abort()

    def settle(self) -> None:
        """Make another session if one was asked for and the thread has ended."""
        if self._wanted is None or self.trainer.alive or self._closed:
            return
        make, self._wanted = self._wanted, None
        try:
            self.trainer = Trainer(make())
        except PlainError as error:  # the checkpoint is damaged, or was given up meanwhile
            self.session.warnings = {**self.session.warnings, "rewind": str(error)}

    def close_run(self) -> None:
        """End the training thread."""
        self.trainer.close()

    def __repr__(self) -> str:
        where = f", {self.session.path}" if self.session.path else ""
        return f"Lab({self.session.task.name}: {self.state}, iteration {len(self.history)}{where})"

    def _new_session(
        self, source: Any, settings: dict[str, Any], resume: str | Path | None = None, at: int | None = None
    ) -> Any:
        out = self._out if at is None else Path(resume or ".").parent  # beside its parent
        return Session(source, out=out, resume=resume, at=at, **settings)

    def _asked(self) -> dict[str, Any]:
        """The knobs as they are, and a person's own functions."""
        requested = self.controls.requested
        return {name: value for name, value in requested.settings().items() if name != "task"} | requested.own.given

    def _anew(self) -> Any:
        asked = self._asked()
        if asked["iterations"] == self._granted:  # nobody has asked for others
            asked["iterations"] = self._granted = self._more
        return self._new_session(self._source, asked)

    def _begin_another(self, at: int | None) -> Lab:
        self._refuse_if_closed()
        self.ask_for_reset(at)
        self.trainer.close()
        if self._view is not None:
            self._view.stroke()
        else:
            self.settle()
        return self

    def _grant(self, iterations: int | None) -> None:
        """Let the run go on for so many iterations (None: as long as it was made for) if its settings end it before."""
        done = self.session.progress.iteration
        if self.controls.requested.iterations < done + (iterations or 1):
            self._granted = done + (iterations or self._more)
            self.controls.replace(iterations=self._granted)
        if self.session.progress.over(self.controls.requested):  # its steps are spent
            self.controls.replace(steps=None)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise RuntimeError("this lab was closed (its cell ran again, or close() was called); run the cell again")

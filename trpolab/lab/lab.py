"""The lab: TRPO that learns in a thread of the kernel while a person watches and turns its knobs.

    from trpolab import Lab
    Lab("Hopper-v5")

Three parties, and what each may do. The trainer (a daemon thread) iterates the session and touches torch and the
simulators. The pump (another) moves what is new to the widgets and draws rollouts in a simulator of its own. Widget
callbacks, on whatever thread the kernel runs them, ask the controls or set a flag. The kernel's own stop button raises
in the main thread and so reaches none of them: the lab has its own Stop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trpolab.lab.cells import claim
from trpolab.lab.charts import Charts
from trpolab.lab.controls import ControlsPanel
from trpolab.lab.page import Page
from trpolab.lab.player import Player
from trpolab.lab.pump import Pump
from trpolab.lab.reading import clock, mark_of, short, speed, work
from trpolab.lab.share import as_command, as_python
from trpolab.lab.summary import Summary, summarize
from trpolab.lab.trainer import Failure, Trainer
from trpolab.policies import Policy
from trpolab.training.session import Session

UNTIL_STOPPED = 1_000_000  # iterations of a lab that was given none
ALLOWED = {
    "ready": {"run", "step"},
    "running": {"pause", "step", "stop", "reset"},
    "pausing": {"run", "stop", "reset"},
    "paused": {"run", "step", "stop", "reset"},
    "stopping": {"stop"},
    "stopped": {"run", "step", "reset"},
    "finished": {"run", "step", "reset"},
    "error": {"run", "step", "reset"},
    "closed": set(),
}


class Lab:
    """A live run of a task; the last line of a cell shows it.

    `task` and `settings` are those of `trpolab.train`; without `iterations` it learns until stopped. `out=None` writes
    nothing to disk. Running the same cell again closes the lab that it made before. Raises ConfigError, listing all
    that is wrong, and UnknownTask.
    """

    def __init__(
        self,
        task: str | Callable[[], Any],
        *,
        out: str | Path | None = "runs",
        autostart: bool = False,
        **settings: Any,
    ):
        self._source, self._out = task, out
        self._more = settings.get("iterations", UNTIL_STOPPED)
        self._trainer = Trainer(self._new_session(settings | {"iterations": self._more}))
        name = self.session.task.name
        claim(self, name)
        self._charts = Charts()
        self._knobs = ControlsPanel(lambda: self.controls)
        self._page = Page(name, self._knobs.widget, self._charts, self._press)
        self._player = Player(task, self._page)
        self._drawing = threading.RLock()
        self._drawn = 0
        self._marks: list[tuple[int, str]] = []
        self._reset_wanted = self._closed = False
        self._page.show_folder("" if out is None else f"{Path(out)}/…")
        self._pump = Pump(self._stroke, self._pump_failed)
        self.refresh()
        self._pump.start()
        if autostart:
            self.run()

    @property
    def session(self) -> Any:
        """The run under way; after a reset, another one."""
        return self._trainer.session

    @property
    def controls(self) -> Any:
        """The mailbox for settings: `lab.controls.replace(delta=0.02)`."""
        return self.session.controls

    @property
    def history(self) -> list[dict[str, Any]]:
        """One dict of metrics per iteration of the run under way."""
        return self.session.history

    @property
    def state(self) -> str:
        """ready, running, pausing, paused, stopping, stopped, finished, error or closed."""
        return "closed" if self._closed else self._trainer.state

    @property
    def policy(self) -> Policy:
        """The policy after the last whole iteration."""
        return self.session.learner.policy

    @property
    def failure(self) -> Failure | None:
        """What ended the training thread, if an exception did."""
        return self._trainer.failure

    def run(self, *, block: bool = False, iterations: int | None = None) -> Lab:
        """Train until paused or stopped, or for so many iterations more and then pause.

        With `block` the call returns when that is done (for scripts and tests; the kernel's interrupt pauses), and
        raises RuntimeError if training failed.
        """
        self._refuse_if_closed()
        length = len(self.history)
        target = None if iterations is None else length + iterations
        done = self.session.progress.iteration
        if self.controls.requested.iterations < done + (iterations or 1):
            self.controls.replace(iterations=done + (iterations or self._more))
        self._trainer.run(target)
        if block:
            self._wait(target)
        return self

    def wait(self) -> Lab:
        """Block until the run holds, has ended or failed; the kernel's interrupt pauses it and ends the waiting.

        Raises RuntimeError if training failed.
        """
        self._wait(None)
        return self

    def step(self) -> Lab:
        """One iteration, then hold."""
        self._refuse_if_closed()
        done = self.session.progress.iteration
        if self.controls.requested.iterations <= done:
            self.controls.replace(iterations=done + 1)
        self._trainer.step()
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
        """Start afresh, untrained, with the knobs as they stand; the charts keep the last run in dotted grey."""
        self._refuse_if_closed()
        self._reset_wanted = True
        self.controls.abort()
        self._trainer.close()
        self.refresh()
        return self

    def close(self, keep_view: bool = True) -> None:
        """End the threads. The view stays as it is, or goes too."""
        if self._closed:
            return
        self._closed = True
        self._trainer.close()
        self._pump.close()
        with self._drawing:
            self._player.close()
            self._show_state()
            if not keep_view:
                self._page.close()

    def refresh(self) -> None:
        """Show what is new now, instead of at the pump's next stroke."""
        with self._drawing:
            self._stroke()

    def overhead(self) -> float:
        """The pump's processor time as a share of the time spent training."""
        elapsed = self._trainer.elapsed()
        return self._pump.seconds / elapsed if elapsed > 0 else 0.0

    def summary(self) -> Summary:
        """A static table and picture of the run so far, for a saved notebook: display it as the last line of a cell."""
        return summarize(self.session, self._marks)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        self._charts.handed_out()
        bundle = self._page.widget._repr_mimebundle_(include=include, exclude=exclude)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        return {**data, "text/plain": repr(self)}

    def __repr__(self) -> str:
        where = self.session.path
        return (
            f"Lab({self.session.task.name}: {self.state}, iteration {len(self.history)}{f', {where}' if where else ''})"
        )

    def _new_session(self, settings: dict[str, Any]) -> Any:
        return Session(self._source, out=self._out, **settings)

    def _press(self, name: str) -> None:
        """A button: ask or set a flag, nothing that takes time."""
        if self._closed:
            return
        if name == "reset":
            self._reset_wanted = True
            self.controls.abort()
        elif name in ("python", "command"):
            text = as_python if name == "python" else as_command
            done = max(len(self.history), 1)
            self._page.show_code(name, text(self.controls.requested, self.session.task, done))
        else:
            {"run": self.run, "pause": self.pause, "step": self.step, "stop": self.stop}[name]()
        self._show_state()

    def _wait(self, target: int | None) -> None:
        try:
            self._trainer.wait(target)
        except KeyboardInterrupt:
            self.pause()
        self.refresh()
        if self.failure is not None:
            raise RuntimeError(f"training failed: {self.failure.sentence}\n{self.failure.trace}")

    def _stroke(self) -> None:
        """Move what is new from the session to the widgets."""
        with self._drawing:
            if self._closed:
                return
            if self._reset_wanted and not self._trainer.alive:
                self._start_afresh()
            rows = self.history[self._drawn :]
            if rows and not self._charts.being_drawn():
                self._drawn += len(rows)
                self._marks += [mark for row in rows if (mark := mark_of(row)) is not None]
                for row in rows:
                    self._knobs.applied(row.get("changed", ()), row["iteration"])
                latest = self._trainer.latest
                diagnostics = latest.diagnostics if latest is not None else None
                residuals = diagnostics.cg.residual_norms if diagnostics is not None and diagnostics.cg else None
                self._charts.update([{**row, "steps_per_second": speed(row)} for row in rows], residuals, self._marks)
            self._show_state()
            seconds = work(self.history[-1]) / max(self.history[-1]["batch_steps"], 1) if self.history else None
            self._knobs.refresh(seconds)
            self._player.consider(
                self.policy, len(self.history), busy=self.state == "running", overhead=self.overhead()
            )

    def _start_afresh(self) -> None:
        """Another session with the settings that were asked for last."""
        asked = {name: value for name, value in self.controls.requested.settings().items() if name != "task"}
        self._trainer = Trainer(self._new_session(asked))
        self._reset_wanted = False
        self._drawn, self._marks = 0, []
        self._charts.restart()
        self._knobs.forget()
        self._player.forget()

    def _show_state(self) -> None:
        page, state, count = self._page, self.state, len(self.history)
        page.show_status(state, f"iteration {count:,}" if count else "", self._numbers())
        page.enable(ALLOWED[state])
        failure = self.failure
        page.show_error(failure.sentence if failure else "", failure.trace if failure else "")
        if self.session.path is not None:
            page.show_folder(str(self.session.path))

    def _numbers(self) -> str:
        if not self.history:
            return "press Run" if self.state == "ready" else ""
        recent = self.history[-10:]
        rate = sum(row["batch_steps"] for row in recent) / max(sum(work(row) for row in recent), 1e-9)
        return f"{short(self.history[-1]['sim_steps'])} steps · {rate:,.0f} / s · {clock(self._trainer.elapsed())}"

    def _pump_failed(self, error: BaseException) -> None:
        """The display itself broke: say so where it can still be said."""
        self._page.show_error(f"the display stopped ({type(error).__name__}: {error}); training is not touched", "")

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise RuntimeError("this lab was closed (its cell ran again, or close() was called); run the cell again")

"""What a lab looks like: it shows the lab's state, and passes on what a person asks for."""

from __future__ import annotations

import threading
import time
from typing import Any

from trpolab.lab.cards import RolloutCard, VineCard
from trpolab.lab.charts import GHOSTS, Charts
from trpolab.lab.page import Page
from trpolab.lab.reading import clock, found_on_resuming, marks_of, phase_of, remarks, short, speed, work, workers_lost
from trpolab.lab.refresh import RefreshTimer
from trpolab.lab.share import as_command, as_python
from trpolab.lab.static_output import StaticOutput
from trpolab.lab.take_along import TakeAlong
from trpolab.lab.trust_region import TrustRegionCard
from trpolab.numerics.device import device_name
from trpolab.training.config import cost

COSTED = 2.0  # seconds for which the cost of an iteration is told as it was
LOSS_TOLD = 60.0  # seconds for which it is told that a worker was lost

ALLOWED = {
    "ready": {"run", "step"},
    "running": {"pause", "step", "stop", "reset"},
    "waiting": {"pause", "stop", "reset"},
    "pausing": {"run", "stop", "reset"},
    "paused": {"run", "step", "stop", "reset"},
    "stopping": {"stop"},
    "stopped": {"run", "step", "reset"},
    "finished": {"run", "step", "reset"},
    "error": {"run", "step", "reset"},
    "closed": set(),
}


class View:
    """The widgets of one `Shown`, and the timer that keeps them up to date."""

    def __init__(self, lab: Any):
        self.lab = lab
        self.charts = Charts()
        self.charts.ghosts = lab.ghosts[:GHOSTS]
        self.knobs = lab.panel()
        self.rollout = RolloutCard(lab)
        self.page = Page(lab.session.task.name, self.knobs.widget, self.charts, self.press)
        self.page.cards["rollout"].children = [self.rollout.player.view]
        self.vine = VineCard(lab.session.task.name, self.page)
        self.static = StaticOutput(lab.summary)
        self.trust_region = TrustRegionCard(lab)
        self.page.cards["trust_region"].children = [self.trust_region.view]
        self.page.show_card("trust_region", lab.steerable)
        if not lab.steerable:
            self.page.hide_steering()
            self.charts.leave_out("residual")  # a run folder does not hold the solver's iterations
        self.along = TakeAlong(lab, lambda: self.poster)
        self.page.widget.children += (self.along.widget, self.static)
        self.pump = RefreshTimer(self.stroke, self._pump_failed)
        self._drawing = threading.RLock()
        self._session = lab.session
        self._drawn = 0
        self._before = lab.session.first.settings()  # in use before the rows not drawn yet
        self._lost = len(workers_lost(lab.session.events))  # how many workers
        self._told_until = 0.0  # when the last loss is told no longer
        self._costed, self._cost = 0.0, 0.0  # when a simulator step's seconds were told last, and how many

    def start(self) -> None:
        """Show what there is, then keep it up to date unless the lab was closed."""
        if self.lab.state == "closed":
            self._show_state()
            return
        self.stroke()
        self.pump.start()
        self.rollout.start()
        self.trust_region.start()

    @property
    def poster(self) -> bytes:
        """The newest rollout as an animated PNG; empty where there is none."""
        return self.rollout.player.poster()

    def bundle(self, **options: Any) -> dict[str, Any]:
        """The MIME bundle that shows the page; what stays in the notebook's file is put beside it."""
        self.static.place()
        return self.page.widget._repr_mimebundle_(**options)

    def press(self, name: str) -> None:
        """A button: ask or set a flag, nothing that takes time."""
        lab = self.lab
        if lab.state == "closed":
            return
        if name in ("python", "command"):
            text = as_python if name == "python" else as_command
            written = text(lab.session)
            if self.page.show_code(name, written):
                self.along.copy(written)
            return
        asks = {"run": lab.run, "pause": lab.pause, "step": lab.step, "stop": lab.stop, "reset": lab.ask_for_reset}
        asks[name]()
        self._show_state()

    def stroke(self) -> None:
        """Move what is new from the session to the widgets."""
        with self._drawing:
            if self.lab.state == "closed":
                return
            self.lab.settle()
            if self.lab.session is not self._session:
                self._restart()
            self._draw(self.lab.history[self._drawn :])
            self._show_state()
            last = self.lab.history[-1] if self.lab.history else None
            self.knobs.refresh(self._seconds_per_step(last))
            self._show_progress(last)
            busy, overhead = self.lab.state == "running", self.lab.overhead()
            self.vine.consider(self.lab.trainer.latest, self.lab.trainer.vines, busy=busy, overhead=overhead)
            self.along.refresh()
            self.static.consider(self.lab.state, len(self.lab.history), self.rollout.player.caption)

    def close(self, keep: bool) -> None:
        """End the pump; the page stays as it is, or goes too."""
        self.pump.close()
        self.rollout.close()
        self.trust_region.close()
        with self._drawing:
            self._show_state()
            if not keep:
                self.page.close()

    def _draw(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        self._drawn += len(rows)
        for row in rows:
            self.knobs.applied(row.get("changed", ()), row["iteration"])
        latest = self.lab.trainer.latest
        residuals = latest.diagnostics.cg.residual_norms if latest is not None and latest.diagnostics.cg else None
        marks = marks_of(rows, self._before)
        self.charts.update([{**row, "steps_per_second": speed(row)} for row in rows], residuals, marks)

    def _seconds_per_step(self, last: dict[str, Any] | None) -> float | None:
        """Of the newest iteration; a number that changes with each could not be read."""
        if last is None:
            return None
        if time.monotonic() > self._costed + COSTED:
            self._costed, self._cost = time.monotonic(), work(last) / max(last["batch_steps"], 1)
        return self._cost

    def _restart(self) -> None:
        """Another session began."""
        self._session = self.lab.session
        self._drawn, self._before, self._costed = 0, self.lab.session.first.settings(), 0.0
        self.charts.restart()
        self.knobs.forget()
        self.rollout.restart()
        self.vine.forget()
        self.trust_region.restart()

    def _show_state(self) -> None:
        lab, page = self.lab, self.page
        count = len(lab.history)
        page.show_status(lab.state, f"iteration {count:,}" if count else "", self._numbers())
        page.enable(ALLOWED[lab.state] if lab.steerable else set())
        page.name_run("Continue" if lab.state in ("stopped", "error") or (lab.state == "ready" and count) else "Run")
        failure = lab.trainer.failure
        said = [*found_on_resuming(lab.session.events), *self._newly_lost(), *lab.session.warnings.values()]
        sentence = failure.sentence if failure else lab.session.trouble or " ".join(said)
        page.show_error(sentence, failure.trace if failure else "")
        page.show_folder(lab.session.path)

    def _newly_lost(self) -> list[str]:
        """The last loss of a worker, for a while."""
        lost = workers_lost(self.lab.session.events)
        if len(lost) > self._lost:
            self._told_until = time.monotonic() + LOSS_TOLD
        self._lost = len(lost)
        return lost[-1:] if time.monotonic() < self._told_until else []

    def _show_progress(self, last: dict[str, Any] | None) -> None:
        if not self.lab.steerable:  # another process has the phases
            missing = self.lab.no_rollout()
            self.page.show_card("rollout", not missing)
            self.page.show_progress(missing, None)
            return
        controls = self.lab.controls
        grown = cost(controls.in_use, controls.task) / max(last["batch_steps"], 1) if last else 1.0
        self.page.show_progress(*phase_of(controls, len(self.lab.history) + 1, last, grown, self.lab.state))

    def _numbers(self) -> str:
        history = self.lab.history
        if not history:
            return "press Run" if self.lab.state == "ready" else ""
        recent = history[-10:]
        rate = sum(row["batch_steps"] for row in recent) / max(sum(work(row) for row in recent), 1e-9)
        last = history[-1]
        numbers = [f"{short(last['sim_steps'])} steps", f"{rate:,.0f} / s", clock(self.lab.trainer.elapsed())]
        device = [device_name(self.lab.session.config.device)] if self.lab.steerable else []
        return " · ".join([*numbers, *remarks(last), *device])

    def _pump_failed(self, error: BaseException) -> None:
        """The display itself broke: say so where it can still be said."""
        self.page.show_error(f"the display stopped ({type(error).__name__}: {error}); training is not touched", "")

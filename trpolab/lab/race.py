"""A live race: two or three methods learn the same task side by side, and their returns are drawn as they come.

The method with the fewest simulator steps goes next, so that all have spent about as many at any moment.
"""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as w

from trpolab.lab.cells import claim
from trpolab.lab.knobs import in_words
from trpolab.lab.page import close_tree
from trpolab.lab.pictures.explorer import legend, panels, to_svg
from trpolab.lab.style import BLUE, CSS, GREEN, ORANGE
from trpolab.settings import ConfigError, whole_number
from trpolab.training.session import Session
from trpolab.updates import METHODS

LOOKS = ((BLUE, "-"), (ORANGE, "--"), (GREEN, ":"))
NOBODY = "nobody"
SECONDS_BETWEEN = 0.25  # pictures
NAME = "trpolab-race"


@dataclass
class RaceLane:
    """One method's run so far."""

    method: str
    session: Session
    took: float = 0.0  # seconds so far
    steps: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)

    @property
    def spent(self) -> int:
        """Simulator steps so far."""
        return self.session.progress.sim_steps

    def note(self, metrics: dict[str, Any]) -> None:
        """Add an iteration, if an episode ended in it."""
        self.took += metrics["seconds_total"]
        if metrics["return_mean"] is not None:
            self.steps.append(metrics["sim_steps"])
            self.seconds.append(self.took)
            self.returns.append(metrics["return_mean"])


class Race(w.VBox):
    """Menus for up to three methods, Start and Stop, and the curves.

    Each method gets `steps` simulator steps of `task`; `settings` are those of `trpolab.train`, shared by all. Running
    the same cell again closes the race that it made before.
    """

    def __init__(
        self,
        task: str | Callable[[], Any],
        methods: Sequence[str] = ("trpo", "natural_gradient", "cem"),
        steps: int = 60_000,
        seed: int = 0,
        **settings: Any,
    ):
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._stopping = threading.Event()
        if not 1 <= len(methods) <= len(LOOKS) or not set(methods) <= set(METHODS):
            raise ValueError(f"methods = {methods!r}: give one to {len(LOOKS)} of {', '.join(METHODS)}")
        self.task, self.steps, self.settings = task, whole_number("steps", steps, 1), settings
        seed = whole_number("seed", seed)
        self.runners: list[RaceLane] = []
        options = [(in_words(name), name) for name in METHODS] + [(NOBODY, NOBODY)]
        chosen = [*methods, NOBODY, NOBODY][: len(LOOKS)]
        self.lanes = [w.Dropdown(options=options, value=name, layout=w.Layout(width="170px")) for name in chosen]
        self.seed = w.BoundedIntText(value=seed, min=0, max=10**6, description="seed", layout=w.Layout(width="150px"))
        self.button = w.Button(description="Start", tooltip="train them side by side; a second press stops")
        self.button.on_click(lambda _: self.stop() if self.running else self.start())
        self.message, self.picture = w.HTML(), w.HTML()
        row = w.HBox([*self.lanes, self.seed, self.button], layout=w.Layout(flex_flow="row wrap"))
        super().__init__([w.HTML(CSS), row, self.message, self.picture])
        self.add_class("trpolab").add_class("trpolab-inside")
        claim("race")[0].append(self)

    @property
    def running(self) -> bool:
        """Whether a method still runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, *, block: bool = False) -> Race:
        """Start the chosen methods; with `block` the call returns when all are done, and raises what one did."""
        if self.running:
            return self
        chosen = dict.fromkeys(lane.value for lane in self.lanes if lane.value != NOBODY)
        try:
            self.runners = [RaceLane(name, self._session(name)) for name in chosen]
        except ConfigError as problem:
            self._tell(str(problem))
            if block:
                raise
            return self
        self._stopping.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
        self.button.description = "Stop"
        self._thread.start()
        if block:
            self._thread.join()
            if self._failure is not None:
                raise self._failure
        return self

    def stop(self) -> None:
        """Stop all methods after the iteration under way."""
        self._stopping.set()

    def close(self, keep_view: bool = True) -> None:
        """End the race; the picture is removed unless `keep_view`."""
        self.stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        if not keep_view:
            close_tree(self)

    def redraw(self) -> None:
        """Draw the curves so far."""
        figure, axes = panels("Return over simulator steps", "Return over seconds of its own")
        for runner, (color, dash) in zip(self.runners, LOOKS, strict=False):
            spent: list[Any] = [runner.steps, runner.seconds]
            for ax, x in zip(axes, spent, strict=True):
                ax.plot(x, runner.returns, color=color, linestyle=dash, linewidth=1.8, label=in_words(runner.method))
        axes[0].set(xlabel="simulator steps", xlim=(0, self.steps))
        axes[1].set(xlabel="seconds")
        legend(axes[0], "upper left")
        ends = [f"{in_words(r.method)} {r.returns[-1]:,.0f}" for r in self.runners if r.returns]
        self.picture.value = f"<div class='trpolab-picture'>{to_svg(figure, '; '.join(ends))}</div>"

    def _session(self, method: str) -> Session:
        given = {"iterations": 10**6, "checkpoint_every": 10**6, **self.settings}
        return Session(self.task, out=None, method=method, seed=int(self.seed.value), **given)

    def _run(self) -> None:
        loops = [runner.session.iterate() for runner in self.runners]
        drawn = 0.0
        try:
            while not self._stopping.is_set():
                place = min(range(len(loops)), key=lambda k: self.runners[k].spent)
                if self.runners[place].spent >= self.steps:
                    break
                self.runners[place].note(next(loops[place]).metrics)
                if time.monotonic() - drawn > SECONDS_BETWEEN:
                    self.redraw()
                    drawn = time.monotonic()
            self._tell("")
        except Exception as error:  # noqa: BLE001 - a thread's error has no cell to show it in: the widget says it
            self._failure = error
            self._tell(f"{type(error).__name__}: {error}")
        finally:
            for loop in loops:
                loop.close()
            self.redraw()
            self.button.description = "Start"

    def _tell(self, text: str) -> None:
        self.message.value = f"<div role='alert'>{html.escape(text)}</div>" if text else ""

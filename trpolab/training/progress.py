"""The progress of a run: a line with a bar that is redrawn in a terminal, a line every few seconds in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO


class ProgressBar:
    """A line with a bar; what is printed meanwhile, by `note` or otherwise, stands above the line.

    Nothing is redrawn in a file, a pipe or a terminal that cannot move its cursor. Threads may write in turn. A signal
    handler must not: it may have interrupted a write.
    """

    def __init__(
        self,
        stream: TextIO,
        text: str,
        first: float = 0.0,
        every: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        """`first`: the share that is done before; `every`: seconds between the lines of a log."""
        from rich.console import Console  # whoever trains unwatched loads none of it
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self._clock, self._every, self._first = clock, every, first
        self._started, self._written = clock(), -float("inf")
        self._console = Console(file=stream, force_jupyter=False)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            BarColumn(bar_width=None, finished_style="green"),
            console=self._console,
            auto_refresh=False,  # drawn when something has come of it, by no thread of its own
            disable=not (stream.isatty() and self._console.is_interactive),
        )
        self._task = self._bar.add_task(text, total=1)
        self._bar.update(self._task, completed=first)
        if not self._bar.disable:
            self._bar.start()
            self._console.show_cursor()  # a process that is killed could not bring it back

    def draw(self, share: float, text: str, last: bool = False) -> None:
        """So much is done; a log gets the line where some time has passed since the one before, or as the last one."""
        self._bar.update(self._task, completed=share, description=text, refresh=True)
        if self._bar.disable and (last or self._clock() - self._written >= self._every):
            self._written = self._clock()
            self.note(text)

    def left(self, share: float) -> str:
        """The time that the rest takes, if it goes on as before; "" where nothing tells."""
        done = share - self._first
        return f"{duration((self._clock() - self._started) / done * (1 - share))} left" if done > 0 else ""

    def note(self, text: str) -> None:
        """A line that stays."""
        self._console.out(text, highlight=False)

    def close(self) -> None:
        """Leave the line as it is."""
        if not self._bar.disable:
            self._bar.stop()


class ProgressLine(ProgressBar):
    """Shows the iterations of one run as they end."""

    def __init__(
        self,
        stream: TextIO,
        iterations: int | None,
        steps: int | None = None,
        *,
        done: int = 0,
        sim_steps: int = 0,
        **how: Any,
    ):
        """What the run is to do, and what is `done` with `sim_steps` behind; `how`: as for `ProgressBar`."""
        self._bounds, self._done, self._steps = (iterations, steps), done, sim_steps
        super().__init__(stream, self._where(), share_done(done, sim_steps, *self._bounds), **how)
        self._last, self._patience = self._started, self._every

    def show(self, metrics: Mapping[str, Any]) -> None:
        """An iteration has ended with these metrics."""
        now = self._clock()
        self._done += 1
        rate = (metrics["sim_steps"] - self._steps) / max(now - self._last, 1e-9)
        before = share_done(self._done - 1, self._steps, *self._bounds)
        share = share_done(self._done, metrics["sim_steps"], *self._bounds)
        self._steps, self._last, self._patience = metrics["sim_steps"], now, self._every
        line = (
            f"{self._where()}  return {number(metrics.get('return_mean'), '.1f')}  "
            f"KL {number(metrics.get('kl_mean'), '.4f')}  {rate:,.0f} steps/s  {self.left(share)}"
        )
        outcome = metrics.get("outcome") or "accepted"
        if not outcome.startswith("accepted"):
            line += f"  {outcome}"
        self.draw(share, line, last=2 * share - before > 1 + 1e-9)

    def wait(self) -> None:
        """The iteration under way takes long: say so, less and less often."""
        if (waited := self._clock() - self._last) >= self._patience:
            self._patience = 2 * waited
            self.note(f"{self._where(1)} has been under way for {duration(waited)}")

    def _where(self, more: int = 0) -> str:
        """How far the run is, in words."""
        iterations, steps = self._bounds
        if steps is not None:
            return f"iteration {self._done + more}  {self._steps:,}/{steps:,} steps"
        return f"iteration {self._done + more}/{iterations or 0}"


def progress_of(session: Any, stream: TextIO) -> ProgressLine:
    """The line of a session that is about to iterate."""
    done, config = session.progress, session.controls.requested
    line = ProgressLine(stream, config.iterations, config.steps, done=done.iteration, sim_steps=done.sim_steps)
    session.on_trouble(line.note)
    return line


def follow(session: Any, line: ProgressLine) -> None:
    """Iterate a session to its end, and show each iteration and what is worth a line of its own."""
    before: Mapping[str, Any] = {}
    told = len(session.events)
    for iteration in session.iterate():
        line.show(iteration.metrics)
        for remark in _remarks(iteration.metrics, before):
            line.note(f"iteration {iteration.metrics['iteration']}: {remark}")
        for event in session.events[told:]:
            if event["event"] == "warning":
                line.note(f"iteration {event['iteration']}: {event['message']}")
        before, told = iteration.metrics, len(session.events)


def _remarks(metrics: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[str]:
    """That an iteration was skipped, once, not again while it stays so; and what an evaluation found."""
    if str(metrics["outcome"]).startswith("skipped") and metrics["outcome"] != before.get("outcome"):
        yield f"{metrics['outcome']}: {metrics['message']}"
    if metrics.get("evaluation_mean") is not None:
        scores = f"{metrics['evaluation_mean']:.1f}, standard deviation {metrics['evaluation_std']:.1f}"
        alike = ", all of them the same one" if metrics.get("evaluation_alike") else ""
        yield f"evaluation {scores}, {metrics['evaluation_episodes']} episodes{alike}"


def share_done(iteration: int, sim_steps: int, iterations: int | None, steps: int | None) -> float:
    """How much of a run is done, by whichever ends it first: its iterations or its simulator steps."""
    shares = [done / most for done, most in ((iteration, iterations), (sim_steps, steps)) if most]
    return min(1.0, max(shares, default=0.0))


def is_watched(stream: TextIO | None) -> bool:
    """Whether a person sees what is written there: in a terminal, or below a notebook's cell."""
    return stream is not None and (stream.isatty() or type(stream).__module__.startswith("ipykernel"))


def number(value: float | None, form: str) -> str:
    """A metric in a line; what does not apply is a dash."""
    return "—" if value is None else format(value, form)


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

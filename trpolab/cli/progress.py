"""The progress of a run in a terminal (one line that is redrawn) or in a log (a line every few seconds)."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO


class ProgressLine:
    """Shows iterations as they end; `note` puts a line of its own above a progress line that is being redrawn.

    Threads may write in turn. A signal handler must not: it may have interrupted a write.
    """

    def __init__(
        self,
        stream: TextIO,
        total: int,
        *,
        done: int = 0,
        sim_steps: int = 0,
        every: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        """`total` iterations, `done` of them with `sim_steps` behind; `every`: seconds between the lines of a log."""
        self._stream, self._clock, self._every = stream, clock, every
        self._total, self._first, self._done, self._steps = total, done, done, sim_steps
        self._live = stream.isatty()
        self._started = self._last = clock()
        self._written = -float("inf")
        self._line = ""
        self._writing = threading.Lock()

    def show(self, metrics: Mapping[str, Any]) -> None:
        """An iteration has ended with these metrics."""
        with self._writing:
            self._show(metrics)

    def note(self, text: str) -> None:
        """A line that stays."""
        with self._writing:
            if self._live:
                self._stream.write("\r\x1b[K")
            print(text, file=self._stream, flush=True)
            if self._live and self._line:
                self._redraw(self._line)

    def close(self) -> None:
        """End the line that was redrawn."""
        with self._writing:
            if self._live and self._line:
                print(file=self._stream, flush=True)
            self._line = ""

    def _show(self, metrics: Mapping[str, Any]) -> None:
        now = self._clock()
        self._done += 1
        rate = (metrics["sim_steps"] - self._steps) / max(now - self._last, 1e-9)
        left = (now - self._started) / (self._done - self._first) * (self._total - self._done)
        self._steps, self._last = metrics["sim_steps"], now
        score = metrics.get("return_mean")  # null where no episode ended in this batch
        score = metrics.get("return_recent") if score is None else score
        line = (
            f"iteration {self._done}/{self._total}  return {number(score, '.1f')}  "
            f"KL {number(metrics.get('kl_mean'), '.4f')}  {rate:,.0f} steps/s  {duration(left)} left"
        )
        outcome = metrics.get("outcome") or "accepted"
        if not outcome.startswith("accepted"):
            line += f"  {outcome}"
        if self._live:
            self._redraw(line)
        elif now - self._written >= self._every or self._done >= self._total:
            self._written = now
            print(line, file=self._stream, flush=True)

    def _redraw(self, line: str) -> None:
        self._line = line
        width = shutil.get_terminal_size().columns - 1  # a full line would wrap, and the next one scroll
        self._stream.write(f"\r{line[:width]}\x1b[K")
        self._stream.flush()


def number(value: float | None, form: str) -> str:
    """A metric in a line; what does not apply is a dash."""
    return "-" if value is None else format(value, form)


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

"""Metrics rows in words and in units for people."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from trpolab.lab.knobs import in_words, symbol_of
from trpolab.training.config import settings
from trpolab.training.resume import OF_THE_WATCHER

UNMARKED = (*OF_THE_WATCHER, "checkpoint_every")  # changes that don't change what is learned
RESUMING = (
    *("taken_over", "checkpoint_passed_over", "metrics_damaged"),
    *("environment", "episodes_not_repeated", "episodes_cut", "device"),
)


class Mark(NamedTuple):
    """Knobs that were turned before an iteration: "δ 0.01 → 0.05"."""

    iteration: int
    text: str


def marks_of(rows: Iterable[dict[str, Any]], before: dict[str, Any]) -> list[Mark]:
    """The marks of these iterations; `before` are the settings in use before them, and is brought up to date."""
    known, marks = settings(), []
    for row in rows:
        turned = {name: value for name, value in row.get("changed", {}).items() if name not in UNMARKED}
        said = [
            f"{symbol_of(known[name])} {in_words(before.get(name))} → {in_words(value)}"
            for name, value in turned.items()
        ]
        if said:
            marks.append(Mark(row["iteration"], ", ".join(said)))
        before |= row.get("changed", {})
    return marks


def remarks(row: dict[str, Any]) -> list[str]:
    """What should be said of the last iteration."""
    found = []
    if not row["outcome"].startswith("accepted"):
        found.append(f"last step: {row['outcome'].replace('_', ' ')}")
    if row.get("log_std_clamped"):
        found.append(f"{row['log_std_clamped']} log σ at a bound")
    if row.get("episodes_unstable"):
        found.append(f"physics blew up {row['episodes_unstable']} times")
    return found


def found_on_resuming(events: list[dict[str, Any]]) -> list[str]:
    """What a run that was taken up again has to say of itself."""
    told = [event for event in events if event["event"] in RESUMING and event.get("message")]
    return [f"{event['event'].replace('_', ' ')}: {event['message']}." for event in told]


def workers_lost(events: list[dict[str, Any]]) -> list[str]:
    """Of each worker that was lost during the run, a line that fits on a laptop."""
    lost = [event for event in events if event["event"] == "worker_restarted"]
    return [
        f"iteration {event['iteration']:,}: a worker was lost and replaced, and the run goes on"
        f" ({textwrap.shorten(event['message'].partition(': ')[2], 60, placeholder=' …')})."
        for event in lost
    ]


def work(row: dict[str, Any]) -> float:
    """Seconds that an iteration took, without the wait to be watched."""
    return sum(row.get(name) or 0.0 for name in ("seconds_sampling", "seconds_update", "seconds_value"))


SHORT = 2.0  # seconds: nobody asks what an iteration does that is over sooner
HOLDS = {"pausing": "pauses after it", "stopping": "stops after it; Stop again: at once"}
PHASES = {"sampling": "playing episodes", "update": "updating the policy", "value": "fitting the value function"}


def phase_of(
    controls: Any, iteration: int, last: dict[str, Any] | None, grown: float, state: str = "running"
) -> tuple[str, float | None]:
    """What the iteration under way does and for how long, in words; how much of that is done, if that can be told.

    It is told from the `last` iteration, and `grown`, how many times its simulator steps this one has. In a `state`
    that ends with the iteration, that is said instead.
    """
    phase, took = controls.phase, time.perf_counter() - controls.phase_began
    if not phase:
        return "", None
    usual = grown * ((last or {}).get(f"seconds_{phase}") or 0.0)
    if max(took, grown * work(last or {})) < SHORT:
        return "", None
    if state in HOLDS:
        text = f"iteration {iteration:,}: {HOLDS[state]}"
    else:
        text = f"iteration {iteration:,}: {PHASES[phase]}, {took:.0f} s"
        text += "" if usual <= 0 else f" of about {usual:.1f} s" if usual < 10 else f" of about {usual:.0f} s"
    return text, took / usual if usual > 0 else None


def speed(row: dict[str, Any]) -> float | None:
    """Simulator steps per second of one iteration."""
    seconds = work(row)
    return row["batch_steps"] / seconds if seconds > 0 else None


def short(count: int) -> str:
    """1.9M, 24.5k, 980."""
    if count >= 1_000_000:
        return f"{count / 1_000_000:.1f}M"
    return f"{count / 1000:.1f}k" if count >= 10_000 else f"{count:,}"


def clock(seconds: float) -> str:
    """2 min 04 s."""
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"

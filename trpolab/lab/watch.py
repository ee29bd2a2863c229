"""A run that another process trains, in the page of a lab: `trpolab.watch(folder)`. It only reads."""

from __future__ import annotations

import html
import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ipywidgets as w

from trpolab.lab.cells import claim
from trpolab.lab.controls_panel import applies, idle
from trpolab.lab.kept_policies import InFolder
from trpolab.lab.knobs import in_words, label_of
from trpolab.lab.reading import UNMARKED
from trpolab.lab.shown import Shown
from trpolab.runs.follower import Follower, printable
from trpolab.runs.history import History
from trpolab.runs.reader import ALIVE, RunFolderError, functions_of_run, parent_of, read_status
from trpolab.settings import ConfigError, as_setting
from trpolab.simulators import Source, configured, find_task
from trpolab.simulators.base import CALLABLE, UnknownTask
from trpolab.training.checkpoint import recorded_config
from trpolab.training.config import Config, settings

PERIOD = 0.5  # seconds between two looks into the folder
TEXTS = ("method", "sampler", "outcome", "message")  # of a row of metrics; all else that is shown are numbers
NUMBERS = {"sim_steps": 0, "batch_steps": 0, "return_mean": None}  # where a row lacks them


@dataclass
class FollowedRun:
    """What a lab shows of its session, as a run folder tells it."""

    path: Path
    task: Any
    source: Source
    first: Config  # what it began with
    config: Config  # in use
    parent: dict[str, Any] | None
    named: bool  # whether its task is known here by its name
    functions: dict[str, str] = field(default_factory=dict)  # of a person, in the place of the library's
    history: History = field(default_factory=History)
    trouble: str = ""
    warnings: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def controls(self) -> Any:
        """What stands for the settings asked for."""
        return SimpleNamespace(requested=self.config, in_use=self.config, pending={}, functions=self.functions)


class Watch(Shown):
    """A live view of a run folder, read-only; its policies can be played.

    `task` is the callable of a run whose task was one: without it there are charts and no rollouts. Raises
    RunFolderError for a folder that is no run.
    """

    steerable = False

    def __init__(self, folder: Any, task: Source | None = None):
        super().__init__()
        mine, _ = claim(str(folder))
        self._follower = Follower(folder)
        self.session = self._new_session(task)
        policies = InFolder(self.session.path)
        self.trainer = SimpleNamespace(latest=None, vines=(), failure=None, policies=policies, elapsed=self._elapsed)
        self._seconds, self._next, self._state = 0.0, 0.0, ""
        self.settle()
        mine.append(self)

    @property
    def history(self) -> History:
        """One dict of metrics per iteration, as far as the run is."""
        return self.session.history

    @property
    def state(self) -> str:
        """watching, paused, stopped, finished, diverged, crashed, gone (the folder) or closed."""
        return "closed" if self._closed else self._state

    def no_rollout(self) -> str:
        """Why no policy of the run can be played; "" if one can."""
        if self.trainer.policies.iterations():
            return ""
        return f"no rollout: the run folder holds no policy{' yet' if self.state == 'watching' else ''}"

    def panel(self) -> SettingsList:
        """What stands in the place of the knobs."""
        return SettingsList(lambda: self.session)

    def settle(self) -> None:
        """Read what is new, unless that was done a moment ago."""
        if time.monotonic() < self._next:
            return
        try:
            status = read_status(self.session.path)  # before the rows, so that the last ones are not missed
            rows = list(self._follower.new())
        except (RunFolderError, OSError) as error:
            self._state, self.session.trouble = "gone", f"{error}; what is shown is what it held before"
            return
        finally:
            self._next = time.monotonic() + PERIOD
        for row in map(plain, rows):
            self._take(row)
        told = status.state in ALIVE or status.state == "finished"
        self.session.trouble = "" if told else printable(status)
        self._state = {"created": "watching", "running": "watching"}.get(status.state, status.state)

    def _take(self, row: dict[str, Any]) -> None:
        """Add a row; one of an iteration that was there before begins the history anew, up to it."""
        run = self.session
        if run.history and row["iteration"] <= run.history[-1]["iteration"]:
            run = self.session = FollowedRun(
                run.path, run.task, run.source, run.first, run.config, run.parent, run.named, run.functions,
                History(run.history),
            )  # fmt: skip
            run.history.keep_until(row["iteration"] - 1)
        run.history.append(row)
        self._seconds += row.get("seconds_total") or 0.0
        try:
            run.config = run.config.replace(**row["changed"])
        except ConfigError:  # of another version
            row["changed"] = {}

    def _elapsed(self) -> float:
        """Seconds that the run has taken, as it tells."""
        return self._seconds

    def _new_session(self, task: Source | None) -> FollowedRun:
        about = self._follower.about
        config = recorded_config(about, about["settings"])
        made_of = about.get("environment")
        known = task is not None or not (isinstance(made_of, dict) and CALLABLE in made_of)
        try:
            source = configured(about["task"] if task is None else task, config)
            found: Any = find_task(source) if known else None
        except UnknownTask:
            source, found = about["task"], None
        found = found or SimpleNamespace(name=printable(about["task"]))
        named = not isinstance(found, SimpleNamespace) and task is None
        told = parent_of(about), named, functions_of_run(about)
        return FollowedRun(self._follower.folder, found, source, config, config, *told)

    def __repr__(self) -> str:
        return f"Watch({self.session.task.name}: {self.state}, iteration {len(self.history)}, {self.session.path})"


def watch(folder: Any, task: Source | None = None) -> Watch:
    """Follow a run that a terminal or another kernel trains: see `Watch`."""
    return Watch(folder, task)


class SettingsList:
    """The settings in use, and since when; it has the methods of `ControlsPanel` that a view calls."""

    def __init__(self, run: Any):
        self._run = run
        self._since: dict[str, int] = {}
        self._text = w.HTML()
        title = w.HTML("Settings in use").add_class("trpolab-heading")
        self.widget = w.VBox([w.VBox([title, self._text]).add_class("trpolab-card")]).add_class("trpolab-controls")

    def refresh(self, seconds_per_step: float | None = None) -> None:
        """Show the settings of the last iteration that differ from the usual ones, and those that were turned."""
        config, usual, known = self._run().config, Config(), settings()
        read = [name for name, about in known.items() if name not in UNMARKED and applies(config, about)]
        read = [name for name in read if not idle(config, known[name])]
        names = [name for name in read if config.get(name) != usual.get(name) or name in self._since]
        lines = []
        for name in ("delta", *(name for name in names if name not in ("delta", "task"))):
            since = f" since {self._since[name]:,}" if name in self._since else ""
            said = html.escape(printable(in_words(config.get(name)) + since))
            lines.append(f"<div><span>{html.escape(label_of(known[name]))}</span><b>{said}</b></div>")
        self._text.value = f"<div class='trpolab-fixed'>{''.join(lines)}</div>"

    def applied(self, names: Iterable[str], iteration: int) -> None:
        """These settings were in use for the first time in this iteration."""
        self._since |= dict.fromkeys(names, iteration)

    def forget(self) -> None:
        """Another history begins."""
        self._since.clear()


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row of metrics whose numbers are numbers, texts printable, and settings known here."""
    known, changed = settings(), row.get("changed")
    found = {name: value for name, value in row.items() if value is None or isinstance(value, int | float)}
    given = {name: as_setting(value) for name, value in changed.items()} if isinstance(changed, dict) else {}
    return {
        **NUMBERS,
        **found,
        **{name: printable(row.get(name) or "") for name in TEXTS},
        "changed": {name: value for name, value in given.items() if name in known and isinstance(value, Hashable)},
    }

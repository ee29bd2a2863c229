"""The controls panel: knobs of the settings registry, grouped by the parts of the paper.

A callback may run on the main thread or on a subshell's. It calls `Controls.replace` and nothing else; the trainer
reads the request at the next iteration boundary.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from typing import Any

import ipywidgets as w

from trpolab.lab.knobs import Knob, in_words, label_of
from trpolab.registry import Registry
from trpolab.sampling.sampler import SAMPLERS
from trpolab.settings import ConfigError, Setting
from trpolab.simulators.base import Task
from trpolab.training.config import Config, check, cost, settings
from trpolab.updates.method import METHODS

FIXED = ("hidden", "activation", "normalize_observations", "seed")
FIXED_REASON = "fixed for this run; give it to Lab(...) and run the cell again"
TRUST_REGION = ("delta", "line_search", "shrink", "max_tries", "cg_iterations", "damping", "fisher_fraction")
ESTIMATE = ("gamma", "advantage", "lam")
SEARCHES = "a search over θ judges candidates by the plain sum of their rewards"
BRANCHES = "the vine estimates Q̂ from its branches"
NO_BRANCHES = "only a vine's branches draw their first action from q: choose the scheme vine"
FIRST = ("method", "delta", "sampler", "proposal", "steps_per_iteration")  # in this order, seen without opening a group


def groups() -> dict[str, tuple[str, ...]]:
    """The knobs by the title of their card; of methods and samplers, what has choices or a range to be shown."""
    known = settings()

    def of(kinds: Registry[Any]) -> tuple[str, ...]:
        listed = [(name, about) for name, about in known.items() if about.part in kinds.parts() and about.live]
        return tuple(name for name, about in listed if about.shown or about.choices or about.kind is bool)

    of_samplers = [name for name in of(SAMPLERS) if name not in ESTIMATE]
    return {
        "Method": ("method", *of(METHODS)),
        "Trust region": TRUST_REGION,
        "Sampler": ("sampler", *sorted(of_samplers, key=lambda name: "." in name)),  # those of flat names first
        "Estimate": ESTIMATE,
        "Watching": ("seconds_per_iteration",),
    }


class ControlsPanel:
    """The left column. `controls()` gives the Controls in charge now: after a reset there is another one."""

    def __init__(self, controls: Callable[[], Any]):
        self._controls = controls
        self._seen: dict[str, Any] = {}
        self._applied: dict[str, int | None] = {}
        self._told: tuple[Config, Config] | None = None  # asked for and in use, as the hints say
        self._enabled_for: Config | None = None
        config = controls().requested
        known = settings()
        self._groups = groups()
        self.knobs = {n: Knob(known[n], config.get(n), self._ask) for names in self._groups.values() for n in names}
        self.cost = w.HTML().add_class("trpolab-cost")
        self.error = w.HTML().add_class("trpolab-problem")
        self._folds = {title: Fold(title) for title in self._groups}
        self._cards = {title: self._card(title, names) for title, names in self._groups.items()}
        self.widget = w.VBox([self.error, *self._cards.values(), _fixed(config)]).add_class("trpolab-controls")
        self._enable(config)

    def refresh(self, seconds_per_step: float | None = None) -> None:
        """Show what is requested and what is in use; called by the refresh thread."""
        controls = self._controls()
        requested, in_use = controls.requested, controls.in_use
        self._show_cost(requested, seconds_per_step)
        if self._told is not None and self._told[0] is requested and self._told[1] is in_use:
            return
        self._told, pending = (requested, in_use), controls.pending
        for name, knob in self.knobs.items():
            asked = requested.get(name)
            if self._seen.setdefault(name, asked) != asked:
                self._seen[name] = asked
                knob.show(asked)
            if name in pending:
                self._applied[name] = None
                knob.tell(_both(pending[name]), pending=True)
            elif name in self._applied:
                since = self._applied[name]
                when = "" if since is None else f" since iteration {since:,}"
                knob.tell(f"in use {in_words(in_use.get(name))}{when}")
        self._enable(requested)

    def applied(self, names: Iterable[str], iteration: int) -> None:
        """These settings were in use for the first time in this iteration."""
        if new := {name: iteration for name in names if name in self.knobs}:
            self._applied |= new
            self._told = None

    def forget(self) -> None:
        """A new run begins: nothing has been applied to it yet."""
        self._applied.clear()
        self._told = None
        for knob in self.knobs.values():
            knob.tell("")

    def _ask(self, name: str, value: Any) -> None:
        """Request a changed setting, or show what is wrong with it and set the knob back."""
        controls = self._controls()
        before = controls.requested.get(name)
        if self.knobs[name].stands_at(before):
            return
        try:
            controls.replace(**{name: value})
        except ConfigError as problem:
            self.complain(str(problem))
            self.knobs[name].show(before)
            return
        if name in controls.pending:
            self._applied[name] = None
            self.knobs[name].tell(_both(controls.pending[name]), pending=True)
        self.complain("")
        self._enable(controls.requested)

    def complain(self, text: str) -> None:
        """Show a sentence above the knobs, or remove it."""
        self.error.value = f"<div role='alert'>{html.escape(text)}</div>" if text else ""

    def _enable(self, config: Config) -> None:
        """Enable knobs and choices, and show the rows, that apply under the config asked for."""
        if config is self._enabled_for:
            return
        self._enabled_for = config
        for name, knob in self.knobs.items():
            reason = idle(config, knob.about)
            knob.allow(not reason, reason)
            knob.row.layout.display = None if applies(config, knob.about) else "none"
            if knob.about.choices is not None and not reason:
                knob.refuse(refusals(config, self._controls().task, name))
        for title, names in self._groups.items():
            shown = [name for name in names if applies(config, self.knobs[name].about)]
            self._cards[title].layout.display = None if shown else "none"
            self._folds[title].show(not set(shown) <= set(FIRST))

    def _card(self, title: str, names: tuple[str, ...]) -> w.VBox:
        """A group: the knobs used most, then those that a click on its summary brings."""
        rows = {name: self.knobs[name].row for name in names}
        fold = self._folds[title]
        fold.rows.children = [row for name, row in rows.items() if name not in FIRST]
        first = [rows[name] for name in FIRST if name in rows]
        cost = [self.cost] if title == "Sampler" else []
        if not first:
            return _boxed("", [fold.summary, fold.rows])
        fold.name("more")
        return _boxed(title, [*first, *cost, fold.summary, fold.rows])

    def _show_cost(self, config: Config, seconds_per_step: float | None) -> None:
        steps = cost(config, self._controls().task)
        bound = METHODS[config.method].searches or SAMPLERS[config.sampler].ends_early
        most = "at most " if bound else ""
        about = f", about {seconds_per_step * steps:.2g} s" if seconds_per_step else ""
        self.cost.value = f"{most}{steps:,} simulator steps{about}"


def applies(config: Config, about: Setting) -> bool:
    """Whether a setting is read under this method and sampler; its row is shown only then."""
    method = METHODS[config.method]
    if about.part in METHODS.parts() or about.name in TRUST_REGION:
        return about.part == method.part or about.name in method.reads
    if about.name == "proposal":  # used so much that it keeps its place
        return not method.searches
    if about.part in SAMPLERS.parts() and about.name not in ESTIMATE:
        return about.part == SAMPLERS[config.sampler].part and not method.searches
    return True


def idle(config: Config, about: Setting) -> str:
    """Why a setting has no effect with the other settings as they are; "" if it has one."""
    if about.name in ESTIMATE and METHODS[config.method].searches:
        return SEARCHES
    if about.name in ESTIMATE and about.part and about.part != SAMPLERS[config.sampler].part:
        return BRANCHES
    if about.name == "proposal" and about.part != SAMPLERS[config.sampler].part:
        return NO_BRANCHES
    if about.needs is not None and config.get(about.needs[0]) not in about.needs[1]:
        return about.needs[2]
    return ""


def refusals(config: Config, task: Task, name: str) -> dict[Any, str]:
    """Choices of a setting that can't run on this task with everything else as it stands, each with the reason."""
    found = {}
    for choice in settings()[name].choices or ():
        try:
            check(config.replace(**{name: choice}), task)
        except ConfigError as problem:
            found[choice] = str(problem)
    return found


def _both(change: tuple[Any, Any]) -> str:
    return f"next {in_words(change[0])}, in use {in_words(change[1])}"


class Fold:
    """A line that opens and closes the rows after it. The browser does so by itself (`lab.css`), in each view."""

    def __init__(self, name: str):
        self.summary = w.HTML().add_class("trpolab-summary")
        self.rows = w.VBox().add_class("trpolab-folded")
        self.name(name)

    def name(self, text: str) -> None:
        """What the line says."""
        self.summary.value = f"<details><summary>{html.escape(text)}</summary></details>"

    def show(self, shown: bool) -> None:
        """Show the line and, where it is open, its rows; or neither."""
        self.summary.layout.display = self.rows.layout.display = None if shown else "none"


def _boxed(title: str, children: list[Any]) -> w.VBox:
    heading = [w.HTML(html.escape(title)).add_class("trpolab-heading")] if title else []
    return w.VBox([*heading, *children]).add_class("trpolab-card")


def _fixed(config: Config) -> w.VBox:
    """What can't be turned while the run goes on."""
    said = [(label_of(settings()[name]), in_words(config.get(name))) for name in FIXED]
    lines = "".join(f"<div><span>{html.escape(name)}</span><b>{html.escape(value)}</b></div>" for name, value in said)
    fold = Fold("Fixed for this run")
    fold.rows.children = [w.HTML(f"<div class='trpolab-fixed' title='{FIXED_REASON}'>{lines}</div>")]
    return _boxed("", [fold.summary, fold.rows])

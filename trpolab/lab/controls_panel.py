"""The controls panel: knobs of the settings registry, grouped as a reader of the paper looks for them.

A callback may run on the main thread or on a subshell's. It calls `Controls.replace` and nothing else; the trainer
reads the request at the next iteration boundary.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import ipywidgets as w

from trpolab.lab.knobs import Knob, in_words, label_of
from trpolab.settings import ConfigError
from trpolab.simulators.base import Task
from trpolab.training.config import Config, check, cost, settings
from trpolab.updates.method import METHODS

GROUPS = (
    (
        "Method",
        ("method", "natural_gradient.step", "kl_penalty.coefficient", "kl_penalty.penalty", "policy_gradient.rule",
         "policy_gradient.radius", "policy_gradient.step", "rwr.temperature", "cem.population", "cem.elite", "cem.std",
         "cem.noise", "cem.noise_iterations", "cma_es.sigma", "cma_es.covariance", "reps.population", "reps.epsilon",
         "reps.std"),
    ),
    (
        "Trust region",
        ("delta", "line_search", "shrink", "max_tries", "cg_iterations", "damping", "fisher_fraction"),
    ),
    (
        "Sampler",
        ("sampler", "steps_per_iteration", "path.whole", "proposal", "vine.widening", "vine.trunks",
         "vine.trunk_length", "vine.states", "vine.choose", "vine.actions", "vine.rollout_length", "vine.tail_value",
         "vine.common_random_numbers"),
    ),
    ("Estimate", ("gamma", "advantage", "lam")),
    ("Watching", ("seconds_per_iteration",)),
)  # fmt: skip
FIXED = ("hidden", "activation", "normalize_observations", "seed")
FIXED_REASON = "fixed for this run; give it to Lab(...) and run the cell again"


@dataclass(frozen=True)
class Need:
    """A knob that means nothing unless another one stands at one of certain values."""

    other: str
    values: tuple[Any, ...]
    reason: str


SEARCHING = Need("line_search", (True,), "the line search is off")
WIDENING = Need("proposal", ("widened",), "only the widened q uses it")
DRAWING = Need("proposal", ("policy", "widened", "uniform"), "every action is tried once")
WALKING = Need("sampler", ("single-path",), "the vine estimates Q̂ from its branches")
LEARNING = Need(
    "method",
    tuple(name for name, kind in METHODS.items() if not kind.searches),
    "a search over θ judges candidates by the plain sum of their rewards",
)
NEEDS = {
    "shrink": (SEARCHING,),
    "max_tries": (SEARCHING,),
    "gamma": (LEARNING,),
    "advantage": (LEARNING, WALKING),
    "vine.widening": (WIDENING,),
    "vine.actions": (DRAWING,),
    "lam": (LEARNING, WALKING, Need("advantage", ("gae",), "only GAE uses λ")),
    "kl_penalty.penalty": (Need("kl_penalty.coefficient", ("fixed", "adaptive"), "C is the theory's"),),
    "policy_gradient.radius": (Need("policy_gradient.rule", ("ball",), "the step is fixed"),),
    "policy_gradient.step": (Need("policy_gradient.rule", ("step",), "the step goes to the edge of the ball"),),
}
# Rows of one method or sampler make room for those of another.
OF_METHODS = {name for kind in METHODS.values() for name in kind.names}
ROWS_OF = {
    "single-path": ("steps_per_iteration", "path.whole"),
    "vine": ("proposal", "vine.widening", "vine.trunks", "vine.trunk_length", "vine.states", "vine.choose",
             "vine.actions", "vine.rollout_length", "vine.tail_value", "vine.common_random_numbers"),
}  # fmt: skip


class ControlsPanel:
    """The left column. `controls()` gives the Controls in charge now: after a reset there is another one."""

    def __init__(self, controls: Callable[[], Any]):
        self._controls = controls
        self._seen: dict[str, Any] = {}
        self._applied: dict[str, int | None] = {}
        self._enabled_for: Config | None = None
        config = controls().requested
        known = settings()
        shown = [(title, [n for n in names if _offered(n)]) for title, names in GROUPS]
        self.knobs = {n: Knob(known[n], config.get(n), self._ask) for _, names in shown for n in names}
        self.cost = w.HTML("")
        self.cost.add_class("trpolab-cost")
        self.error = w.HTML("")
        self.error.add_class("trpolab-problem")
        self._cards = {title: self._card(title, names) for title, names in shown}
        self.widget = w.VBox([self.error, *self._cards.values(), self._fixed(config)])
        self.widget.add_class("trpolab-controls")
        for name, knob in self.knobs.items():
            if not known[name].live:
                knob.allow(False, FIXED_REASON)
        self._enable(config)

    def refresh(self, seconds_per_step: float | None = None) -> None:
        """Show what is requested and what is in use; called by the pump."""
        controls = self._controls()
        requested, in_use, pending = controls.requested, controls.in_use, controls.pending
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
        self._show_cost(requested, seconds_per_step)

    def applied(self, names: Iterable[str], iteration: int) -> None:
        """These settings were in use for the first time in this iteration."""
        self._applied |= {name: iteration for name in names if name in self.knobs}

    def forget(self) -> None:
        """A new run begins: nothing has been applied to it yet."""
        self._applied.clear()
        for knob in self.knobs.values():
            knob.tell("")

    def _ask(self, name: str, value: Any) -> None:
        """A knob was turned: request it, or say what is wrong and turn it back."""
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
        self.complain("")
        self._enable(controls.requested)
        if name in controls.pending:
            self._applied[name] = None
            self.knobs[name].tell(_both(controls.pending[name]), pending=True)

    def complain(self, text: str) -> None:
        """Show a sentence above the knobs, or take it away."""
        self.error.value = f"<div role='alert'>{html.escape(text)}</div>" if text else ""

    def _enable(self, config: Config) -> None:
        """What can be turned, what can be chosen, and which rows there are, under the config asked for."""
        if config is self._enabled_for:
            return
        self._enabled_for = config
        for name, needs in NEEDS.items():
            missing = next((need for need in needs if config.get(need.other) not in need.values), None)
            self.knobs[name].allow(missing is None, missing.reason if missing else "")
        for name, knob in self.knobs.items():
            knob.row.layout.display = None if applies(config, name) else "none"
        for title, names in GROUPS:
            some = any(applies(config, name) for name in names if name in self.knobs)
            self._cards[title].layout.display = None if some else "none"
        for name, knob in self.knobs.items():
            if settings()[name].choices is not None and not knob.widget.disabled:
                knob.refuse(refusals(config, self._controls().task, name))

    def _show_cost(self, config: Config, seconds_per_step: float | None) -> None:
        steps = cost(config, self._controls().task)
        most = "at most " if config.sampler == "vine" or METHODS[config.method].searches else ""
        about = f", about {seconds_per_step * steps:.2g} s" if seconds_per_step else ""
        text = f"{most}{steps:,} simulator steps an iteration{about}"
        if self.cost.value != text:
            self.cost.value = text

    def _card(self, title: str, names: list[str]) -> w.VBox:
        rows = [self.knobs[name].row for name in names]
        if title == "Sampler":
            rows.append(self.cost)
        return _boxed(title, rows)

    def _fixed(self, config: Config) -> w.VBox:
        known = settings()
        lines = "".join(
            f"<div><span>{html.escape(label_of(known[name]))}</span><b>{html.escape(in_words(config.get(name)))}</b></div>"
            for name in FIXED
        )
        reason = html.escape(FIXED_REASON, quote=True)
        return _boxed("Fixed for this run", [w.HTML(f"<div class='trpolab-fixed' title='{reason}'>{lines}</div>")])


def applies(config: Config, name: str) -> bool:
    """Whether a setting is read under this method and sampler; its row is shown only then."""
    method = METHODS[config.method]
    if name in OF_METHODS:
        return name in method.names
    return not any(
        name in names and (config.sampler != sampler or method.searches) for sampler, names in ROWS_OF.items()
    )


def refusals(config: Config, task: Task, name: str) -> dict[Any, str]:
    """Choices of a setting that can't run on this task with everything else as it stands, each with the reason."""
    found = {}
    for choice in settings()[name].choices or ():
        try:
            check(config.replace(**{name: choice}), task)
        except ConfigError as problem:
            found[choice] = str(problem)
    return found


def _offered(name: str) -> bool:
    """Whether there is anything to choose: a list of one choice is no knob yet."""
    about = settings().get(name)
    return about is not None and (about.choices is None or len(about.choices) > 1)


def _both(change: tuple[Any, Any]) -> str:
    return f"next {in_words(change[0])}, in use {in_words(change[1])}"


def _boxed(title: str, children: list[Any]) -> w.VBox:
    heading = w.HTML(html.escape(title))
    heading.add_class("trpolab-heading")
    card = w.VBox([heading, *children])
    card.add_class("trpolab-card")
    return card

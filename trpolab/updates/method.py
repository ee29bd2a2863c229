"""What an update method says of itself, what it is handed, and the registry of all methods."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from trpolab.numerics.device import exact_convolutions
from trpolab.numerics.threads import SERIAL, ThreadTeam
from trpolab.own import LIBRARY, OwnFunctions
from trpolab.policies import Learner
from trpolab.registry import REQUIRED, Entry, Registry
from trpolab.sampling.batch import Batch
from trpolab.sampling.population import Population
from trpolab.updates.config import TrustRegion
from trpolab.updates.diagnostics import Diagnostics, Refusal

Step = tuple[Learner, Diagnostics]


@dataclass(frozen=True, eq=False)
class Context:
    """What a method may read besides the learner, the data and its own settings."""

    trust: TrustRegion  # the settings that methods share
    gamma: float
    generator: np.random.Generator
    device: str = "cpu"  # where the update runs: auto, cpu or cuda
    features: Any = None  # [M, F] network inputs at the batch's constraint states, if they are known already
    threads: ThreadTeam = SERIAL
    own: OwnFunctions = LIBRARY  # functions of a person in the place of ours
    notes: dict[str, Any] = field(default_factory=dict)  # what was measured on the way, by names of `Diagnostics`

    def note(self, **measured: Any) -> None:
        """Keep what was measured for the diagnostics. Of several values of a name the first is kept."""
        for name, value in measured.items():
            self.notes.setdefault(name, value)


@dataclass(frozen=True)
class PlannedRun:
    """What is known of a run before it begins."""

    task: str
    sampler: str  # the name of its entry
    network: str  # the same
    side_by_side: bool  # whether the network evaluates many candidates together
    parameters: int  # D, the size of θ
    gamma: float


@dataclass(frozen=True, kw_only=True)
class MethodKind(Entry):
    """An update method: how it steps, which settings it reads, and what it can be combined with.

    step(learner, batch or population, settings, context) -> (Learner, Diagnostics), as `take` makes them.
    reads: the shared settings that it reads, by public name, in the order in which the lab shows them.
    samplers, networks: names of those that it can be combined with; None: all.
    bounded: the metric that δ bounds, if the method reads δ.
    problems(settings, plan) -> why they can't be run, a sentence each.

    A method that searches over θ learns from the returns of candidates, not from a batch:
    propose(learner, settings, context) -> candidates [P, D] float64,
    population(settings, D) -> P, and episodes(settings) -> how many episodes judge a candidate.

    `settings` is the dataclass of its own settings as they stand, None if it has none.
    """

    functions: ClassVar[dict[str, str]] = {
        "step": "learner, batch, settings, context",
        "problems": "settings, plan",
        "population": "settings, size",
        "episodes": "settings",
    }
    optional: ClassVar[dict[str, str]] = {"propose": "learner, settings, context"}

    step: Callable[..., Step] = REQUIRED
    reads: tuple[str, ...] = ()
    samplers: tuple[str, ...] | None = None
    networks: tuple[str, ...] | None = None
    bounded: str = "kl_mean"
    problems: Callable[[Any, PlannedRun], list[str]] = lambda settings, plan: []
    propose: Callable[..., np.ndarray] | None = None
    population: Callable[[Any, int], int] = lambda settings, size: settings.population
    episodes: Callable[[Any], int] = lambda settings: settings.episodes

    @property
    def searches(self) -> bool:
        """Whether it learns from the returns of candidate parameters, not from states and actions."""
        return self.propose is not None

    @property
    def bounds_kl(self) -> bool:
        """Whether it reads δ."""
        return "delta" in self.reads

    @property
    def names(self) -> tuple[str, ...]:
        """Public names of all settings that it reads: its own, then the shared ones."""
        return (*self.own, *self.reads)

    def refusals(self, settings: Any, plan: PlannedRun) -> list[str]:
        """Why it can't be run as planned, each reason a sentence that quotes the values."""
        if self.searches and not plan.side_by_side:
            return [
                f"method = {self.name!r}: {plan.task} is seen as pixels, and candidates with convolutions are not "
                "evaluated side by side; use a method that learns from states and actions, as 'trpo'"
            ]
        found = []
        if self.networks is not None and plan.network not in self.networks:
            use = f"use policy.network = {' or '.join(map(repr, self.networks))}"
            found.append(f"method = {self.name!r} can't update policy.network = {plan.network!r}; {use}")
        if self.samplers is not None and plan.sampler not in self.samplers:
            judges = "judges candidates by whole episodes and " if self.searches else ""
            use = f"use sampler = {' or '.join(map(repr, self.samplers))}"
            found.append(f"method = {self.name!r} {judges}has no use for sampler = {plan.sampler!r}; {use}")
        return found + self.problems(settings, plan)


METHODS = Registry("method", MethodKind)


def step(
    learner: Learner, data: Batch | Population, method: MethodKind, settings: Any, context: Context,
    threads: int | None = None,
) -> Step:  # fmt: skip
    """The next learner by a method, and what was measured. Nothing handed in is written to.

    `threads`: of the run (`Network.team`); their number changes no result. A method that searches over θ wants a
    population, and the generator that drew its candidates; all others want a batch. Raises TypeError for the wrong one
    of the two.
    """
    wanted = Population if method.searches else Batch
    if not isinstance(data, wanted):
        raise TypeError(f"method = {method.name!r} learns from a {wanted.__name__}, not a {type(data).__name__}")
    learner = own_state(learner, method)
    with exact_convolutions(), ThreadTeam(learner.policy.network.team(threads)) as workers:
        context = dataclasses.replace(context, threads=workers, notes={})
        try:
            result = method.step(learner, data, settings, context)
            if not (isinstance(result, tuple) and [*map(type, result)] == [Learner, Diagnostics]):
                names = [type(one).__name__ for one in (result if isinstance(result, tuple) else (result,))]
                what = f"method = {method.name!r}: its step returned {', '.join(names)}"
                raise TypeError(f"{what}, not (Learner, Diagnostics), as `take` makes them")
            stepped, found = result
        except Refusal as refusal:
            stepped = learner if refusal.state is None else learner.replace(state=refusal.state)
            found = Diagnostics(refusal.outcome, refusal.message, **context.notes)
    for name in set(stepped.state) - set(own_state(stepped, method).state):
        raise ValueError(f"method = {method.name!r} keeps {name!r} in the state: a name begins with '{method.name}.'")
    return stepped, found.on_cpu()


def propose(learner: Learner, method: MethodKind, settings: Any, context: Context) -> np.ndarray:
    """Candidates [P, D] float64 that the method wants to see played; a pure function of what is handed in."""
    if method.propose is None:
        raise TypeError(f"method = {method.name!r} learns from batches and proposes no candidates")
    return method.propose(own_state(learner, method), settings, context)


def own_state(learner: Learner, method: MethodKind) -> Learner:
    """The learner without what other methods left in its state: a method switched to starts from the policy alone."""
    own: dict[str, Any] = {name: array for name, array in learner.state.items() if name.startswith(f"{method.name}.")}
    return learner if len(own) == len(learner.state) else learner.replace(state=own)

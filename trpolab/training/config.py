"""The configuration of a run: a tree of frozen dataclasses, read once at the start of an iteration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np

from trpolab.numerics.device import device_problems
from trpolab.own import LIBRARY, OWN, OwnFunctions, unfit
from trpolab.policies.config import PolicyConfig, ValueConfig
from trpolab.policies.frames import looks_like_pictures, not_bytes
from trpolab.policies.kinds import AUTO, DISTRIBUTIONS, NETWORKS, network_kind
from trpolab.policies.policy import shapes_for
from trpolab.policies.serialization import size_problems
from trpolab.registry import Entry, Registry
from trpolab.sampling.memory import memory_problems
from trpolab.sampling.sampler import SAMPLERS
from trpolab.sampling.single_path import SinglePathSampler as SinglePathSampler  # registers it
from trpolab.sampling.vine.sampler import VineSampler as VineSampler  # registers it
from trpolab.sampling.workers.execution import Execution, execution_problems, spread
from trpolab.settings import ConfigError, Part, Setting, as_setting, registry, setting, unknown_setting
from trpolab.simulators import SIMULATORS, configured, find_task
from trpolab.simulators.base import Task
from trpolab.updates import METHODS, Context, MethodKind, PlannedRun
from trpolab.updates.config import TrustRegion


@dataclass(frozen=True)
class Config:
    """Everything a run depends on besides the code: `resolve` makes one from a task, a preset and settings."""

    task: str = setting("", "what is to be learned", live=False)
    preset: str = setting("modern", "where unnamed settings come from", choices=("modern", "paper"), live=False)
    method: str = setting("trpo", "the update", choices=lambda: tuple(METHODS), source="Section 8.1")
    sampler: str = setting(
        "single-path", "how states and actions are sampled", choices=lambda: tuple(SAMPLERS), source="Section 5"
    )
    gamma: float = setting(0.995, "discount", symbol="γ", low=0, open_low=True, high=1, shown=(0.9, 0.9999))
    state_weighting: str = setting(
        "equal",
        "weight of a state in the surrogate: equal (ours, in both presets), or γ^t (the paper's ρ)",
        choices=("equal", "discounted"),
    )
    iterations: int = setting(100, "iterations of the run", low=1, shown=(1, 1000), scale="log")
    steps: int | None = setting(
        None, "most simulator steps of the run, branches and candidates counted (none: the iterations decide)", low=1
    )
    seed: int = setting(0, "root of every random stream", low=0, live=False)
    slots: int | None = setting(None, "simulator slots (none: chosen by rule)", low=1, high=4096, live=False)
    threads: int | None = setting(None, "threads (none: the cores this process may use)", low=1, high=1024, live=False)
    device: str = setting("cpu", "where the update runs (auto: on a GPU, if any)", choices=("auto", "cpu", "cuda"))
    checkpoint_every: int = setting(10, "iterations between checkpoints and kept policies", low=1)
    evaluate_every: int = setting(0, "iterations between evaluations (0: never)", low=0)
    evaluate_episodes: int = setting(10, "episodes of an evaluation", low=1)
    evaluate_deterministic: bool = setting(True, "evaluate with the distribution's mode instead of sampled actions")
    seconds_per_iteration: float = setting(0.0, "least time an iteration takes, to be watched", low=0, shown=(0, 2))
    own: OwnFunctions = field(default=LIBRARY, hash=False)  # functions of a person in the place of ours
    parts: Mapping[str, Any] = field(default_factory=dict, hash=False)  # settings by part, where not the defaults

    def __getattr__(self, name: str) -> Any:
        """The settings of a part: `config.path`, `config.trust`, or that of a kind from outside the package."""
        given = vars(self).get("parts", {})
        if name not in given and (name.startswith("__") or name not in (known := part_types())):
            raise AttributeError(f"a Config has no {name!r}")
        return given[name] if name in given else known[name]()

    def replace(self, **changes: Any) -> Config:
        """A copy with settings changed by public name, e.g. `replace(delta=0.02, **{"path.whole": True})`.

        Of a part (`sampler=SinglePath(lam=0.9)`) only what it was given changes. Raises ConfigError listing all faults.
        """
        known, parts, problems, config = settings(), part_types(), [], self
        for name, value in changes.items():
            registries: dict[str, Registry[Any]] = {"sampler": SAMPLERS, "method": METHODS}
            kinds = registries[name].values() if name in registries else ()
            given = next((kind for kind in kinds if type(value) is kind.settings), None)
            if given is not None:
                config = config._with_part(given.part, value)._with((name,), given.name)
            elif name in parts and isinstance(value, parts[name]):
                config = config._with_part(name, value)
            elif name in OWN and (callable(value) or name not in known):
                problems += unfit(name, value)
                config = dataclasses.replace(config, own=dataclasses.replace(config.own, **{name: value}))
            elif name not in known:
                problems.append(unknown_setting(name, known))
            elif (value := as_setting(value)) is not None and (problem := known[name].problem(value)):
                problems.append(problem)
            elif value is None and known[name].problem(None) is not None:
                problems.append(f"{name} = None: must be {known[name].allowed()}")
            else:
                config = config._with(known[name].path, value)
        if problems:
            raise ConfigError(problems)
        return config

    @property
    def sampler_settings(self) -> Any:
        """The settings of the sampler that is named; None if it has none."""
        kind = SAMPLERS[self.sampler]
        return getattr(self, kind.part) if kind.settings is not None else None

    def of_method(self) -> tuple[MethodKind, Any]:
        """The update method and its own settings; None if it has none."""
        kind = METHODS[self.method]
        return kind, getattr(self, kind.part) if kind.settings is not None else None

    def context(self, generator: np.random.Generator, features: Any = None, share: float = 0.0) -> Context:
        """What the method may read besides, for one update that draws from `generator`; `share` of the run is done."""
        return Context(self.trust.at(share), self.gamma, generator, self.device, features, own=self.own)

    def settings(self) -> dict[str, Any]:
        """Every setting by its public name: what run.json and a metrics line record."""
        return {name: attrgetter(".".join(about.path))(self) for name, about in settings().items()}

    def get(self, name: str) -> Any:
        """One setting by its public name. Raises KeyError for an unknown one."""
        return attrgetter(".".join(settings()[name].path))(self)

    def _with_part(self, name: str, part: Any) -> Config:
        """A copy with what a part was given; with all of a dataclass from outside, which does not know what it was."""
        names = part.given if isinstance(part, Part) else {entry.name for entry in dataclasses.fields(part)}
        given = {field: as_setting(getattr(part, field)) for field in names}
        return self._with((name,), dataclasses.replace(getattr(self, name), **given))

    def _with(self, path: tuple[str, ...], value: Any) -> Config:
        """A copy with one value in another place: (field,), (part,) or (part, field)."""
        if len(path) == 2:
            value = dataclasses.replace(getattr(self, path[0]), **{path[1]: value})
        if (kind := part_types().get(path[0])) is not None:
            others = {name: part for name, part in self.parts.items() if name != path[0]}
            return dataclasses.replace(self, parts=others if value == kind() else {**others, path[0]: value})
        return dataclasses.replace(self, **{path[0]: value})


UNBOUNDED = 10**6  # iterations, where `steps` are given and no iterations


def with_budget(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are given; where there are `steps` and no `iterations`, the steps alone end the run."""
    return {**({"iterations": UNBOUNDED} if given.get("steps") is not None else {}), **given}


KINDS: tuple[Registry[Any], ...] = (SAMPLERS, METHODS, SIMULATORS, NETWORKS, DISTRIBUTIONS)


def part_types() -> dict[str, type]:
    """The dataclass of every part of a `Config`: what several kinds share, and what each entry brings along."""
    first = {**SAMPLERS.parts(), "trust": TrustRegion, **METHODS.parts(), "policy": PolicyConfig, "value": ValueConfig}
    return {**first, **NETWORKS.parts(), **DISTRIBUTIONS.parts(), **SIMULATORS.parts(), "execution": Execution}


# What the paper states, over the modern defaults; steps and network sizes come with the task (Table 2).
PAPER = {
    "delta": 0.01,
    "gamma": 0.99,
    "advantage": "monte_carlo",
    "path.standardize": False,
    "path.whole": True,
    "vine.tail_value": False,
    "steps_per_iteration": 50_000,
    "damping": 0.0,
    "fisher_fraction": 0.1,
    "normalize_observations": False,
    "hidden": (50,),
    "policy.scale_actions": False,
    "policy.output_scale": 0.1,
}


def settings() -> dict[str, Setting]:
    """Every setting of `Config` by public name, those of registered kinds included."""
    return _settings(tuple(entry for kinds in KINDS for entry in kinds.values()))


@cache
def _settings(registered: tuple[Entry, ...]) -> dict[str, Setting]:
    return registry(Config, part_types())


def resolve(task: Task, preset: str = "modern", overrides: Mapping[str, Any] | None = None) -> Config:
    """The config of a run: the preset, then what suits the task, then the overrides.

    What is given counts, by its name or in a part (`sampler=Vine(states=625)`); what a part was not given is left to
    the preset and the task. Raises ConfigError listing all that is wrong, the combination included.
    """
    preset = (overrides := with_budget(overrides or {})).pop("preset", preset)
    if preset not in ("modern", "paper"):
        raise ConfigError([f"preset = {preset!r}: must be one of modern, paper"])
    suited = {**PAPER, **task.paper_defaults} if preset == "paper" else task.defaults
    config = Config(task=task.name, preset=preset).replace(**suited)
    problems: list[str] = []
    for name, value in overrides.items():
        try:
            config = config.replace(**{name: value})
        except ConfigError as error:
            problems += error.problems
    if config.policy.network == AUTO and looks_like_pictures(task.observation_space):
        problems.append(not_bytes(task.spaces[0]))
    if "normalize_observations" not in overrides:
        config = _without_normaliser(config, task)
    problems += _unread(config, task) + combination_problems(config, task)
    if problems:
        raise ConfigError(problems)
    return config


def _without_normaliser(config: Config, task: Task) -> Config:
    """The config as it is, but for pictures, which are not normalised."""
    try:
        pixels = sees_pixels(config, task)
    except ValueError:  # told among the combinations
        return config
    return config.replace(normalize_observations=False) if pixels else config


def _unread(config: Config, task: Task) -> list[str]:
    """What is given to no effect: settings of other kinds of tasks, and a person's functions that nothing calls."""
    (method, _), sampler = config.of_method(), SAMPLERS[config.sampler]
    read = (*method.names, *(() if method.searches else sampler.own))
    others = [kind for kind in SIMULATORS.values() if kind.settings is not None and kind.name != task.kind]
    changed = [(kind, name) for kind in others for name in kind.own if config.get(name) != settings()[name].default]
    told = [f"{name}: only {kind.label} tasks read it, and {task.name} is none" for kind, name in changed]
    return told + config.own.uncalled(read, config.get)


def check(config: Config, task: Task) -> None:
    """Raise ConfigError that lists every setting out of bounds and every combination that cannot run on the task."""
    problems = [said for name, about in settings().items() if (said := about.problem(config.get(name))) is not None]
    problems += combination_problems(config, task)
    if problems:
        raise ConfigError(problems)


def task_under(config: Config, task: Task) -> Task:
    """The task as these settings show it. Raises ValueError where they don't go together."""
    kind = SIMULATORS.get(task.kind)
    return task if kind is None or kind.configured is None else find_task(configured(task.name, config))


def combination_problems(config: Config, task: Task) -> list[str]:
    """What cannot go together, each a sentence that quotes the values."""
    (method, own), sampler = config.of_method(), SAMPLERS[config.sampler]
    try:
        task = task_under(config, task)
        plan = plan_of(config, task)
    except ValueError as error:
        return [str(error)]
    problems = method.refusals(own, plan)
    if config.steps is not None and not varies(config) and (least := cost(config, task)) > config.steps:
        problems.append(f"steps = {config.steps}: one iteration takes {least:,} simulator steps")
    if not method.searches:
        if sampler.needs_restore and not task.can_restore:
            why = f"{task.name} can't be restored exactly ({task.restore_reason})"
            problems.append(f"sampler = {sampler.name!r}: {why}")
        problems += sampler.problems(config.sampler_settings, spread(task, config.execution))
        pixels = sees_pixels(config, task)
        if pixels and config.policy.normalize_observations:
            problems.append("normalize_observations = True: pixels go in as 0 to 1 and are not normalised; use false")
        if task.sees_pixels and not pixels:
            problems.append(f"policy.network = {config.policy.network!r}: {task.name} needs one that sees pixels")
        if sampler.keeps is not None:
            problems += memory_problems(task, *sampler.keeps(config.sampler_settings, task), config.threads, pixels)
    problems += size_problems(plan.parameters, config.policy.hidden, task.observation_space.shape)
    return problems + device_problems(config.device) + execution_problems(config.execution)


def sees_pixels(config: Config, task: Task) -> bool:
    """Whether the policy's network sees the task's observations as pictures. Raises ValueError where none fits."""
    return network_kind(task.observation_space, config.policy.network).network.sees_pixels


def plan_of(config: Config, task: Task) -> PlannedRun:
    """What a method may ask about a run before it begins. Raises ValueError where no policy fits the task."""
    name = network_kind(task.observation_space, config.policy.network).name
    network, distribution = shapes_for(task.observation_space, task.action_space, config.policy, config.parts)
    size = network.size + distribution.own_parameters
    return PlannedRun(task.name, config.sampler, name, network.side_by_side, size, config.gamma)


def varies(config: Config) -> bool:
    """Whether iterations take more or fewer simulator steps as the policy learns."""
    return config.of_method()[0].searches or SAMPLERS[config.sampler].ends_early


def cost(config: Config, task: Task) -> int:
    """Simulator steps that one iteration takes with these settings; the most of them where episodes may end early.

    Whole paths may go beyond what was asked by the rest of the paths under way.
    """
    method, own = config.of_method()
    if not method.searches:
        return SAMPLERS[config.sampler].cost(config.sampler_settings, task, config.slots or 1)
    longest = min(config.path.horizon, task.time_limit or config.path.horizon)
    return method.population(own, plan_of(config, task).parameters) * method.episodes(own) * longest

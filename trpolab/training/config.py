"""The configuration of a run: a tree of frozen dataclasses, read once at the start of an iteration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from trpolab.policies.config import PolicyConfig, ValueConfig
from trpolab.policies.kinds import network_kind
from trpolab.policies.policy import policy_size, shapes_for
from trpolab.sampling.config import SinglePath, Vine
from trpolab.sampling.memory import memory_problem
from trpolab.sampling.vine.budget import vine_cost, vine_problems
from trpolab.settings import ConfigError, Setting, registry, setting, unknown_setting
from trpolab.simulators import SIMULATORS, Atari, configured, find_task
from trpolab.simulators.base import Task
from trpolab.updates.config import TrustRegion
from trpolab.updates.method import METHODS, Context, MethodKind, Plan
from trpolab.updates.methods.cem import CrossEntropy
from trpolab.updates.methods.cma_es import Covariance
from trpolab.updates.methods.kl_penalty import KLPenalty
from trpolab.updates.methods.natural_gradient import NaturalGradient
from trpolab.updates.methods.policy_gradient import PolicyGradient
from trpolab.updates.methods.reps import RelativeEntropy
from trpolab.updates.methods.rwr import RewardWeighted


@dataclass(frozen=True)
class Config:
    """Everything a run depends on besides the code: `resolve` makes one from a task, a preset and settings."""

    task: str = setting("", "what is to be learned", live=False)
    preset: str = setting("modern", "where unnamed settings come from", choices=("modern", "paper"), live=False)
    method: str = setting("trpo", "the update", choices=tuple(METHODS), source="Section 8.1")
    sampler: str = setting(
        "single-path", "how states and actions are sampled", choices=("single-path", "vine"), source="Section 5"
    )
    gamma: float = setting(0.995, "discount", symbol="γ", low=0, open_low=True, high=1, shown=(0.9, 0.9999))
    state_weighting: str = setting(
        "equal",
        "weight of a state in the surrogate: equal (ours), or γ^t (the paper's ρ)",
        choices=("equal", "discounted"),
    )
    iterations: int = setting(100, "iterations of the run", low=1, shown=(1, 1000), scale="log")
    seed: int = setting(0, "root of every random stream", low=0, live=False)
    slots: int | None = setting(None, "simulator slots (none: chosen by rule)", low=1, high=4096, live=False)
    threads: int | None = setting(None, "threads (none: the cores this process may use)", low=1, high=1024, live=False)
    device: str = setting("cpu", "where the update runs", choices=("auto", "cpu", "cuda"), live=False)
    checkpoint_every: int = setting(10, "iterations between checkpoints and kept policies", low=1)
    evaluate_every: int = setting(0, "iterations between evaluations (0: never)", low=0)
    evaluate_episodes: int = setting(10, "episodes of an evaluation", low=1)
    evaluate_deterministic: bool = setting(True, "evaluate with the distribution's mode instead of sampled actions")
    seconds_per_iteration: float = setting(0.0, "least time an iteration takes, to be watched", low=0, shown=(0, 2))
    path: SinglePath = dataclasses.field(default_factory=SinglePath)
    vine: Vine = dataclasses.field(default_factory=Vine)
    trust: TrustRegion = dataclasses.field(default_factory=TrustRegion)
    natural_gradient: NaturalGradient = dataclasses.field(default_factory=NaturalGradient)
    kl_penalty: KLPenalty = dataclasses.field(default_factory=KLPenalty)
    policy_gradient: PolicyGradient = dataclasses.field(default_factory=PolicyGradient)
    rwr: RewardWeighted = dataclasses.field(default_factory=RewardWeighted)
    cem: CrossEntropy = dataclasses.field(default_factory=CrossEntropy)
    cma_es: Covariance = dataclasses.field(default_factory=Covariance)
    reps: RelativeEntropy = dataclasses.field(default_factory=RelativeEntropy)
    policy: PolicyConfig = dataclasses.field(default_factory=PolicyConfig)
    value: ValueConfig = dataclasses.field(default_factory=ValueConfig)
    atari: Atari = dataclasses.field(default_factory=Atari)

    def replace(self, **changes: Any) -> Config:
        """A copy with settings changed by public name, e.g. `replace(delta=0.02, **{"path.whole": True})`.

        A part may be given whole: `replace(sampler=SinglePath(lam=0.9))`, `replace(trust=TrustRegion())`.
        Raises ConfigError that lists every unknown name and every value out of bounds.
        """
        known, problems, config = settings(), [], self
        for name, value in changes.items():
            if name == "sampler" and isinstance(value, SinglePath | Vine):
                part, chosen = ("path", "single-path") if isinstance(value, SinglePath) else ("vine", "vine")
                config = _set(_set(config, (part,), value), ("sampler",), chosen)
            elif name in PARTS and isinstance(value, PARTS[name]):
                config = _set(config, (name,), value)
            elif name not in known:
                problems.append(unknown_setting(name, known))
            elif (value := tuple(value) if isinstance(value, list) else value) is not None and (
                problem := known[name].problem(value)
            ):
                problems.append(problem)
            elif value is None and known[name].problem(None) is not None:
                problems.append(f"{name} = None: must be {known[name].allowed()}")
            else:
                config = _set(config, known[name].path, value)
        if problems:
            raise ConfigError(problems)
        return config

    def settings(self) -> dict[str, Any]:
        """Every setting by its public name: what run.json and a metrics line record."""
        return {name: self.get(name) for name in settings()}

    def get(self, name: str) -> Any:
        """One setting by its public name. Raises KeyError for an unknown one."""
        value: Any = self
        for step in settings()[name].path:
            value = getattr(value, step)
        return value

    def of_method(self) -> tuple[MethodKind, Any]:
        """The update method and its own settings; None if it has none."""
        kind = METHODS[self.method]
        return kind, getattr(self, kind.part) if kind.settings is not None else None

    def context(self, generator: np.random.Generator, features: Any = None) -> Context:
        """What the method may read besides, for one update that draws from `generator`."""
        return Context(self.trust, self.gamma, generator, self.device, features)


PARTS = {
    "path": SinglePath,
    "vine": Vine,
    "trust": TrustRegion,
    "natural_gradient": NaturalGradient,
    "kl_penalty": KLPenalty,
    "policy_gradient": PolicyGradient,
    "rwr": RewardWeighted,
    "cem": CrossEntropy,
    "cma_es": Covariance,
    "reps": RelativeEntropy,
    "policy": PolicyConfig,
    "value": ValueConfig,
    "atari": Atari,
}

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
    "policy.output_scale": 0.1,
}


@cache
def settings() -> dict[str, Setting]:
    """Every setting of `Config` by public name."""
    return registry(Config)


def resolve(task: Task, preset: str = "modern", overrides: Mapping[str, Any] | None = None) -> Config:
    """The config of a run: the preset, then what suits the task, then the overrides.

    Of a part given whole (`sampler=Vine(states=625)`), what stands at its default is left to the preset and the task;
    a setting given by its name always counts. Raises ConfigError listing all that is wrong, the combination included.
    """
    overrides = dict(overrides or {})
    preset = overrides.pop("preset", preset)
    if preset not in ("modern", "paper"):
        raise ConfigError([f"preset = {preset!r}: must be one of modern, paper"])
    suited = {**PAPER, **task.paper_defaults} if preset == "paper" else task.defaults
    config = Config(task=task.name, preset=preset).replace(**suited)
    problems: list[str] = []
    for name, value in overrides.items():
        try:
            config = config.replace(**{name: _with_suited(config, value)})
        except ConfigError as error:
            problems += error.problems
    problems += combination_problems(config, task)
    if problems:
        raise ConfigError(problems)
    return config


def _with_suited(config: Config, value: Any) -> Any:
    """A part of the config given whole, with what stands at its default taken from the config; others unchanged."""
    for name, kind in PARTS.items():
        if isinstance(value, kind):
            given = {entry.name: getattr(value, entry.name) for entry in dataclasses.fields(kind)}
            changed = {key: found for key, found in given.items() if found != getattr(kind(), key)}
            return dataclasses.replace(getattr(config, name), **changed)
    return value


def check(config: Config, task: Task) -> None:
    """Raise ConfigError that lists every setting out of bounds and every combination that cannot run on the task."""
    problems = [
        problem for name, about in settings().items() if (problem := about.problem(config.get(name))) is not None
    ]
    problems += combination_problems(config, task)
    if problems:
        raise ConfigError(problems)


def task_under(config: Config, task: Task) -> Task:
    """The task as these settings show it. Raises ValueError where they don't go together."""
    kind = SIMULATORS.get(task.kind)
    return task if kind is None or kind.configured is None else find_task(configured(task.name, config))


def combination_problems(config: Config, task: Task) -> list[str]:
    """What cannot go together, each a sentence that quotes the values."""
    path, problems = config.path, list[str]()
    try:
        task = task_under(config, task)
    except ValueError as error:
        return [str(error)]
    kind, own = config.of_method()
    name = network_kind(task.observation_space, config.policy.network).name
    network, distribution = shapes_for(task.observation_space, task.action_space, config.policy)
    size = network.size + distribution.own_parameters
    plan = Plan(task.name, config.sampler, name, network.side_by_side, size, config.gamma)
    if kind.searches:
        return [*kind.refusals(own, plan), *_device_problems(config)]
    if task.sees_pixels:
        problems += pixel_problems(config, task)
    if task.runs_in_processes:
        problems += process_problems(config, task)
    if config.sampler == "single-path" and path.whole:
        longest = min(path.horizon, task.time_limit or path.horizon)
        if path.steps_per_iteration < longest:
            problems.append(
                f"steps_per_iteration = {path.steps_per_iteration}: whole paths were asked and one may take {longest} "
                f"steps; give at least {longest}, a shorter path.horizon, or path.whole = false"
            )
    if config.sampler == "single-path" and not path.whole and path.advantage != "gae":
        problems.append(
            f"advantage = {path.advantage!r}: discounted sums need whole paths (path.whole = true); "
            "episodes that go on across iterations need advantage = 'gae'"
        )
    if config.sampler == "vine":
        problems += vine_problems(config.vine, task)
    return [*problems, *kind.refusals(own, plan), *_device_problems(config)]


def _device_problems(config: Config) -> list[str]:
    if config.device == "cuda" and not torch.cuda.is_available():
        return ["device = 'cuda': torch finds no CUDA device here; use 'cpu' or 'auto'"]
    return []


def process_problems(config: Config, task: Task) -> list[str]:
    """The same for tasks that run in worker processes, where episodes that go on are restored in every iteration."""
    if config.sampler != "single-path" or config.path.whole or task.can_restore:
        return []
    return [
        f"path.whole = false: episodes that go on across iterations must be restored exactly, and {task.name} can't be "
        f"({task.restore_reason}); play whole episodes (path.whole = true, advantage = 'monte_carlo' or 'centred')"
    ]


def pixel_problems(config: Config, task: Task) -> list[str]:
    """The same for games that are seen as pixels."""
    problems = []
    if config.policy.normalize_observations:
        problems.append("normalize_observations = True: pixels go in as 0 to 1 and are not normalised; use false")
    kept, named = cost(config, task), f"steps_per_iteration = {config.path.steps_per_iteration:,}"
    if config.sampler == "vine":  # of branches only the states that they start from are kept, each a whole stack
        vine, stack = config.vine, (task.observation_space.shape or (1,))[0]
        kept = vine.trunks * vine.trunk_length + vine.states * stack
        named = (
            f"vine.trunks = {vine.trunks:,}, vine.trunk_length = {vine.trunk_length:,}, vine.states = {vine.states:,}"
        )
    if problem := memory_problem(task, kept, config.threads, named):
        problems.append(problem)
    return problems


def cost(config: Config, task: Task) -> int:
    """Simulator steps that one iteration takes with these settings; the most of them where episodes may end early.

    Whole paths may go beyond what was asked by the rest of the paths under way.
    """
    kind, own = config.of_method()
    if kind.searches:
        longest = min(config.path.horizon, task.time_limit or config.path.horizon)
        size = policy_size(task.observation_space, task.action_space, config.policy)
        return kind.population(own, size) * kind.episodes(own) * longest
    if config.sampler == "vine":
        return vine_cost(config.vine, task)
    steps, slots = config.path.steps_per_iteration, config.slots or 1
    return steps if config.path.whole else -(-steps // slots) * slots


def _set(config: Any, path: tuple[str, ...], value: Any) -> Any:
    head, *rest = path
    inner = _set(getattr(config, head), tuple(rest), value) if rest else value
    return dataclasses.replace(config, **{head: inner})

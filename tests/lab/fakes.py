"""A session that learns nothing, fast and predictably: the contract that the lab relies on, without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from trpolab.policies import make_policy
from trpolab.sampling.streams import Purpose, Streams
from trpolab.simulators import find_task
from trpolab.training.config import resolve
from trpolab.training.controls import Controls
from trpolab.training.state import Progress


@dataclass
class FakeSession:
    """Iterates as `Session` does, with invented metrics; `fail_at` raises before that iteration."""

    task_name: str = "CartPole-v1"
    settings: dict[str, Any] = field(default_factory=dict)
    fail_at: int | None = None
    message: str = "boom"
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.task = find_task(self.task_name)
        settings = {"delta": 0.02, "cg_iterations": 10, **self.settings}  # whatever suits the task now
        config = resolve(self.task, overrides=settings)
        self.controls = Controls(config, self.task)
        self.history: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.progress = Progress(None)
        self.state = "created"
        self.path = None
        self.source, self.trouble, self.warnings = self.task_name, "", {}
        self.named, self.first = True, config
        rng = Streams(config.seed).generator(0, Purpose.INITIALISATION)
        policy = make_policy(self.task.observation_space, self.task.action_space, config.policy, rng)
        self.learner = SimpleNamespace(policy=policy.replace(normalizer=None))

    @property
    def config(self) -> Any:
        return self.controls.in_use

    def iterate(self) -> Iterator[Any]:
        self.controls.rearm()
        before = self.controls.in_use
        self.state = "running"
        while self.progress.iteration < self.controls.requested.iterations and self.controls.wait_for_turn():
            config, index = self.controls.take(), self.progress.iteration + 1
            if index == self.fail_at:
                raise ArithmeticError(self.message)
            self.controls.wait(self.seconds)
            changed = {name: value for name, value in config.settings().items() if value != before.get(name)}
            self.history.append(metrics(index, config.get("delta")) | ({"changed": changed} if changed else {}))
            before, self.progress.iteration = config, index
            self.learner = SimpleNamespace(policy=self.learner.policy.replace())
            norms = tuple(10.0**-k for k in range(config.get("cg_iterations") + 1))
            diagnostics = SimpleNamespace(cg=SimpleNamespace(residual_norms=norms))
            yield SimpleNamespace(index=index, config=config, diagnostics=diagnostics, learner=self.learner, batch=None)
        self.state = "finished" if self.progress.iteration >= self.controls.requested.iterations else "stopped"


def metrics(index: int, delta: float) -> dict[str, Any]:
    """A row as the loop writes it."""
    wobble = float(np.sin(index * 1.7))
    return {
        "iteration": index,
        "sim_steps": 2048 * index,
        "batch_steps": 2048,
        "episodes": 5,
        "return_mean": 3000 / (1 + math.exp(-(index - 40) / 10)) + 80 * wobble,
        "return_std": 1.0,
        "kl_mean": delta * (0.9 + 0.05 * wobble),
        "kl_max": delta * (3 + 2 * wobble),
        "delta": delta,
        "expected_gain": 0.1 + 0.02 * wobble,
        "surrogate_gain": 0.08 + 0.02 * wobble,
        "line_search_trials": 1 + (index % 7 == 0),
        "step_fraction": 0.7 if index % 7 == 0 else 1.0,
        "entropy": 4 - index / 50,
        "explained_variance": 1 - math.exp(-index / 20),
        "outcome": "accepted",
        "seconds_sampling": 0.05,
        "seconds_update": 0.02,
        "seconds_value": 0.01,
        "seconds_total": 0.08,
    }

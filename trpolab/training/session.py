"""A run from start to end: the loop, its controls, its folder; iterate it, or let `train` do so."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from trpolab.machine import usable_cores
from trpolab.policies import Learner, Policy
from trpolab.sampling.crew import Interrupted
from trpolab.sampling.evaluate import evaluate
from trpolab.sampling.streams import Streams
from trpolab.simulators import find_task
from trpolab.simulators.base import Task, UnknownTask
from trpolab.training import checkpoint
from trpolab.training.config import Config, resolve
from trpolab.training.controls import Controls
from trpolab.training.loop import Diverged, Iteration, Progress, iterate, start_learner
from trpolab.training.run_folder import RunFolder
from trpolab.training.samplers import Samplers

STEPS_PER_SLOT = 32  # a slot's share of an iteration that the library aims at
SLOTS = (16, 64)  # fewest and most slots that it picks
# Matrices of this size gain little from a second thread, and threads that spin at barriers lose much as soon as
# anything else (a browser, the simulators' own threads) wants a core.
TORCH_THREADS = 1


class Session:
    """One run of one task.

    `history` holds one dict of metrics per iteration, `events` what else happened; both only grow. The run folder is
    made when the first iteration starts; `out=None` keeps everything in memory. `resume` names a run folder whose last
    checkpoint is gone on from: its settings are used, and only `iterations` and other live settings may be given.
    """

    def __init__(
        self,
        task: str | Callable[[], Any] | None = None,
        *,
        out: str | Path | None = "runs",
        resume: str | Path | None = None,
        label: str = "",
        **settings: Any,
    ):
        self._saved = checkpoint.read(resume, task if isinstance(task, str) else None) if resume is not None else None
        if self._saved is not None:
            task = task or self._saved.task
        if task is None:
            raise ValueError("task: give a task's name, or a run folder to resume")
        self.source = task
        self.task: Task = self._find(task)
        self.out, self.label = out, label
        config = self._saved.config.replace(**settings) if self._saved else resolve(self.task, overrides=settings)
        self.controls = Controls(with_chosen_resources(config, self.task), self.task)
        self.history: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.folder: RunFolder | None = None
        self.streams = Streams(config.seed)
        self.progress = (
            self._saved.progress
            if self._saved
            else Progress(start_learner(self.task, self.controls.requested, self.streams))
        )
        self.state = "created"

    def _find(self, source: str | Callable[[], Any]) -> Task:
        """What is known of the task; a resumed run's policy must fit it."""
        if self._saved is None:
            return find_task(source)
        folder, policy = str(self._saved.folder), self._saved.progress.learner.policy
        try:
            task = find_task(source)
        except UnknownTask as error:
            raise checkpoint.CheckpointError(
                f"{folder!r} is a run of {self._saved.task}, which isn't known here. If it was a Python callable, "
                "its run is resumed from Python: Session(make_env, resume=folder)"
            ) from error
        if misfit := policy.misfit(task.observation_space, task.action_space):
            raise checkpoint.CheckpointError(f"{folder!r} holds a policy that does not fit {task.name}: {misfit}")
        return task

    @property
    def config(self) -> Config:
        """The config of the iteration under way, or of the last one."""
        return self.controls.in_use

    @property
    def learner(self) -> Learner:
        """The learner after the last whole iteration."""
        return self.progress.learner

    @property
    def policy(self) -> Policy:
        """The policy after the last whole iteration."""
        return self.progress.learner.policy

    @property
    def path(self) -> Path | None:
        """The run folder, once it exists."""
        return self.folder.path if self.folder else None

    def run(self) -> Session:
        """Iterate to the end."""
        for _ in self.iterate():
            continue
        return self

    def iterate(self) -> Generator[Iteration, None, None]:
        """The loop, with its folder kept: yields each iteration after its metrics are on disk.

        Called again after a stop, it goes on where it ended. Errors are recorded (`status.json`, `events.jsonl`) and
        raised.
        """
        self.controls.rearm()
        config = self.controls.requested
        self._open_folder(config)
        threads = config.threads or usable_cores()
        torch_threads, state, message = torch.get_num_threads(), "crashed", ""
        whole = False  # whether simulators and learner stand between two iterations, so that a checkpoint can be made
        samplers = Samplers(self.source, self.task, config.slots or SLOTS[0], threads, self.streams)
        try:
            torch.set_num_threads(TORCH_THREADS)
            with threadpool_limits(1, "blas"):
                if self._saved is not None:
                    self._saved.resume_episodes(samplers)
                    self._saved = None
                before = self.controls.in_use if self.progress.iteration else config
                self._tell("running")
                for iteration in iterate(self.controls, self.streams, self.progress, samplers):
                    self._record(iteration, before, samplers)
                    before = iteration.config
                    yield iteration
            state = "finished" if self.progress.iteration >= self.controls.requested.iterations else "stopped"
            whole = not self.controls.aborting()
        except GeneratorExit:
            state, whole = "stopped", True
        except Diverged as error:
            state, message = "diverged", str(error)
            raise
        except BaseException as error:
            message = f"{type(error).__name__}: {error}"
            raise
        finally:
            torch.set_num_threads(torch_threads)
            self._finish(state, message, samplers if whole else None)
            samplers.close()

    def _open_folder(self, config: Config) -> None:
        if self.folder is not None:
            self.folder = RunFolder(self.folder.path, self.folder.segment + 1)
        elif self._saved is not None:
            self.folder = RunFolder(self._saved.folder, self._saved.segment + 1)
            self._event("resumed", iteration=self.progress.iteration)
        elif self.out is not None:
            self.folder = RunFolder.create(self.out, self.task.name, config.settings(), self.label)

    def _record(self, iteration: Iteration, before: Config, samplers: Samplers) -> None:
        config, metrics, index = iteration.config, iteration.metrics, iteration.index
        changed = {name: value for name, value in config.settings().items() if value != before.get(name)}
        if changed:
            self._event("settings_applied", iteration=index, settings=changed)
            metrics["changed"] = changed
        if config.evaluate_every and index % config.evaluate_every == 0:
            metrics.update(self._evaluation(config))
        if not metrics["outcome"].startswith("accepted"):
            self._event(metrics["outcome"], iteration=index, message=metrics["message"])
        if metrics["episodes_unstable"]:
            self._event("sim_unstable", iteration=index, episodes=metrics["episodes_unstable"])
        self.history.append(metrics)
        if self.folder is None:
            return
        self.folder.metrics(metrics)
        if index % config.checkpoint_every == 0:
            self._keep(config, samplers)
        self.state = "paused" if self.controls.paused else "running"
        self.folder.status(self.state, index)

    def _evaluation(self, config: Config) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            found = evaluate(
                self.policy,
                self.source,
                config.evaluate_episodes,
                config.seed,
                config.evaluate_deterministic,
                config.threads or 1,
                interrupt=self.controls.aborting,
            )
        except Interrupted:
            return {"evaluation_mean": None}
        except ArithmeticError as error:  # NaN, or physics that blew up: the training goes on
            self._event("evaluation_failed", iteration=self.progress.iteration, message=str(error))
            return {"evaluation_mean": None}
        return {
            "evaluation_mean": found.mean,
            "evaluation_std": found.std,
            "evaluation_episodes": len(found.returns),
            "seconds_evaluation": time.perf_counter() - began,
        }

    def _keep(self, config: Config, samplers: Samplers | None) -> None:
        assert self.folder is not None
        recent = self.progress.recent_returns
        score = sum(recent) / len(recent) if recent else None
        self.folder.keep_policy(self.policy, self.progress.iteration, score, self.task.name)
        if samplers is not None:
            checkpoint.write(self.folder, self.task, config, self.progress, samplers)

    def _finish(self, state: str, message: str, samplers: Samplers | None) -> None:
        self.state = state
        if message:
            self._event(state, iteration=self.progress.iteration, message=message)
        if self.folder is None:
            return
        if self.progress.iteration:
            self._keep(self.controls.in_use, samplers)
        self.folder.status(state, self.progress.iteration, message)
        self.folder.close()

    def _tell(self, state: str) -> None:
        self.state = state
        if self.folder is not None:
            self.folder.status(state, self.progress.iteration)

    def _event(self, kind: str, **about: Any) -> None:
        self.events.append(self.folder.event(kind, **about) if self.folder else {"event": kind, **about})


def train(task: str | Callable[[], Any], *, out: str | Path | None = "runs", **settings: Any) -> Session:
    """Train on a task to the end and return the finished session (`.policy`, `.history`, `.path`).

    Settings go by their public names (`delta=0.01, preset="paper", sampler=SinglePath(...)`). Raises ConfigError
    listing all that is wrong with them, and UnknownTask, before anything is written.
    """
    return Session(task, out=out, **settings).run()


def with_chosen_resources(config: Config, task: Task) -> Config:
    """Slots and threads filled in where the config leaves them open.

    Slots follow from the settings alone, never from the machine: one per 32 steps of an iteration, as a power of two
    between 16 and 64. They are part of what a seed means, and recorded.
    """
    slots = config.slots
    if slots is None:
        slots = SLOTS[0]
        while slots < SLOTS[1] and slots * 2 * STEPS_PER_SLOT <= config.path.steps_per_iteration:
            slots *= 2
    return replace(config, slots=slots, threads=config.threads or usable_cores())

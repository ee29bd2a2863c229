"""A run from start to end: the loop, its controls, its folder; iterate it, or let `train` do so."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from trpolab.machine import usable_cores
from trpolab.numerics.threads import few_threads
from trpolab.policies import Learner, Policy
from trpolab.runs.history import History
from trpolab.sampling.errors import Interrupted
from trpolab.sampling.evaluate import play_episodes
from trpolab.sampling.streams import Streams
from trpolab.sampling.workers.ray_pool import executor_of
from trpolab.settings import ConfigError
from trpolab.simulators import Source, configured, find_task
from trpolab.simulators.base import CALLABLE, Task, UnknownTask
from trpolab.simulators.registry import remembered
from trpolab.training import checkpoint
from trpolab.training.config import Config, resolve
from trpolab.training.controls import Controls
from trpolab.training.judge import Judge
from trpolab.training.loop import Diverged, Iteration, iterate, start_learner
from trpolab.training.progress import follow, is_watched, progress_of
from trpolab.training.recorder import RunRecorder
from trpolab.training.resume import checked, config_of, history_of, task_of, turned_later, warnings_of
from trpolab.training.samplers import SLOTS, Samplers, with_chosen_resources
from trpolab.training.state import Progress, TrainState

# MLPs. Matrices of this size gain little from a second thread, and threads that spin at barriers lose much as soon as
# anything else (a browser, the simulators' own threads) wants a core.
TORCH_THREADS = 1


class Session:
    """One run of one task.

    `history` holds one dict of metrics per iteration, `events` what else happened. The run folder is made when the
    first iteration starts; `out=None` keeps everything in memory. `resume` names a run folder that is gone on with,
    bit for bit, from its last checkpoint: its settings are used, and only `iterations` and other live settings may be
    given. With `at`, a new run begins from the checkpoint of that iteration, with the settings that it used, and names
    the old one as its parent. `schedule` turns live settings on the way: `{30: {"delta": 0.005}}` from iteration 30 on.
    `changed_environment` allows environments that are made of something else than the run's were. `name`: its folder's.
    """

    def __init__(
        self,
        task: Source | None = None,
        *,
        out: str | Path | None = "runs",
        resume: str | Path | None = None,
        at: int | None = None,
        schedule: Mapping[int, Mapping[str, Any]] | None = None,
        label: str = "",
        name: str = "",
        changed_environment: bool = False,
        **settings: Any,
    ):
        if at is not None and resume is None:
            raise ConfigError([f"at = {at!r}: goes with resume, the run folder to go back in"])
        saved = checkpoint.read(resume, task if isinstance(task, str) else None, at) if resume is not None else None
        source = saved.task if task is None and saved is not None else task
        if source is None:
            raise UnknownTask("task: give a task's name, or a run folder to resume")
        found: list[tuple[str, str]] = []
        if saved is None:
            task_as_named = find_task(source)
            config = resolve(task_as_named, overrides=settings)
            self.source = configured(source, config)
            self.task: Task = task_as_named if self.source is source else find_task(self.source)
        else:
            self.source = configured(source, saved.config)
            self.task, said = task_of(saved, self.source, changed_environment)
            unlike = self.task.seed_problem if saved.iteration else ""
            found = [("environment", said), ("episodes_not_repeated", unlike)]
            config = config_of(saved, settings, at is not None)
        made_of = self.task.fingerprint  # nothing, where it is a task of ours
        self.named = isinstance(source, str) or (bool(made_of) and CALLABLE not in made_of)  # by its name alone
        self.source = remembered(self.source, self.task)
        self._watched = remembered(self.source, self.task, self._raise_if_stopping)
        self.controls = Controls(with_chosen_resources(config), self.task)
        self.streams = Streams(config.seed)
        self.state = "created"
        self.history, said = (History(), "") if saved is None else history_of(saved)
        self._schedule = turned_later(saved, settings) if saved is not None and at is None else {}
        config = self.controls.requested
        self.first = config if saved is None else saved.first  # what iteration 1 began with
        self.parent = None if saved is None else saved.parent  # the run and the iteration that it was rewound to
        start = saved.train_state if saved is not None else None
        self._train_state = start or TrainState(config, Progress(start_learner(self.task, config, self.streams)))
        policy = self.policy.acting_in(*self.task.spaces)  # a file of an older version does not hold them
        self.progress.learner = replace(self.learner, policy=policy)
        self.warnings: dict[str, str] = {}  # what is wrong now, by kind, each a sentence with advice
        self._told = set() if saved is None or at is not None else warnings_of(saved)
        longest = 2 * (self.task.time_limit or 0) * (config.slots or 1)  # first episodes may be cut, and report nothing
        self._judge = Judge(self.policy.distribution, longest, self.history)
        self._new_schedule = checked(schedule, config, self.task, self.progress.iteration) if schedule else {}
        for iteration, changes in self._new_schedule.items():
            self._schedule[iteration] = {**self._schedule.get(iteration, {}), **changes}
        about = (label, name, saved, None) if at is None else (label, name, None, self.parent)
        self._recorder = RunRecorder(self.task, self.controls, out, *about)
        self._recorder.found = [(kind, message) for kind, message in (*found, ("metrics_damaged", said)) if message]
        self.events = self._recorder.events  # what happened besides iterations; it only grows

    def __repr__(self) -> str:
        progress, where = self.progress, f", {self.path}" if self.path else ""
        score = "" if progress.score is None else f", return {progress.score:,.1f}"
        return f"Session({self.task.name}: {self.state}, {progress.told(self.controls.requested)}{score}{where})"

    @property
    def config(self) -> Config:
        """The config of the iteration under way, or of the last one."""
        return self.controls.in_use

    @property
    def progress(self) -> Progress:
        """How far the run is: after the last whole iteration."""
        return self._train_state.progress

    @property
    def learner(self) -> Learner:
        """The learner after the last whole iteration."""
        return self.progress.learner

    @property
    def policy(self) -> Policy:
        """The policy after the last whole iteration."""
        return self.learner.policy

    @property
    def path(self) -> Path | None:
        """The run folder, once it exists."""
        return self._recorder.path

    @property
    def trouble(self) -> str:
        """Why the run waits, or what for: its folder, or a replay of its episodes; "" while it doesn't."""
        return self._recorder.trouble

    def on_trouble(self, tell: Callable[[str], None]) -> None:
        """Call `tell`, in the training thread, with each new sentence of `trouble`, and of what a resumption found."""
        self._recorder.tell = tell

    def run(self) -> Session:
        """Iterate to the end."""
        for _ in self.iterate():
            continue
        return self

    def iterate(self) -> Generator[Iteration, None, None]:
        """The loop, with its folder kept: yields each iteration after its metrics are on disk.

        Called again after a stop, it goes on where it ended, with the iteration that would have come next. While the
        folder can't be written (a full disk), it waits. Errors are recorded (`status.json`, `events.jsonl`) and raised.
        """
        self.controls.rearm()
        config, progress = self.controls.requested, self.progress.copy()
        self._recorder.open(self.first if self.parent else config, progress.iteration)
        self.history.keep_until(progress.iteration)
        state, message = "stopped", ""
        threads = config.threads or usable_cores()
        executor = executor_of(config.execution, self._recorder.wait_for)
        source = self._watched if executor is None else self.source  # what travels holds no session
        samplers = Samplers(source, self.task, config.slots or SLOTS[0], threads, self.streams, executor)
        try:
            self._recorder.take_over(self.history, self._train_state)
            if self._new_schedule:
                self._recorder.event("scheduled", schedule=self._new_schedule)
                self._new_schedule = {}
            of_torch = threads if self.policy.network.parallel else TORCH_THREADS
            self._tell("running")
            with few_threads(of_torch):
                why = self._restore_episodes(samplers)
            if why:
                self._recorder.announce("episodes_cut", why, iteration=progress.iteration)
            before = replace(self._train_state.config, iterations=config.iterations, steps=config.steps)
            self._turn_knobs_again()
            loop = iterate(self.controls, self.streams, progress, samplers)
            while True:
                with few_threads(of_torch):  # not while others have their turn
                    if (iteration := next(loop, None)) is None:
                        break
                    self._record(iteration, before, progress, samplers)
                before = iteration.config
                yield iteration
                self._turn_knobs_again()
            if self.progress.over(self.controls.requested):
                state = "finished"
        except Interrupted:  # told to stop while episodes were replayed, or the folder could not be written
            return
        except Diverged as error:
            state, message = "diverged", f"{error}; {self._recorder.last_good()}"
            raise Diverged(message) from error
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            message = f"{type(error).__name__}: {error}"
            raise
        finally:
            self.state = state
            self._recorder.finish(state, message, self._train_state)
            samplers.close()

    def _raise_if_stopping(self) -> None:
        """While environments are made, nothing of an iteration is there: a stop gives it up."""
        if self.controls.stopping:
            raise Interrupted

    def _restore_episodes(self, samplers: Samplers) -> str:
        """Go on with the episodes under way; returns why they begin anew instead. A stop gives it up: Interrupted."""
        tell, stopping = partial(self._recorder.replays, self.progress.iteration), lambda: self.controls.stopping
        episodes = replace(self._train_state.episodes, tell=tell, interrupt=stopping)
        try:
            return samplers.restore(episodes, self._train_state.config)
        finally:
            self._recorder.trouble = ""

    def _record(self, iteration: Iteration, before: Config, progress: Progress, samplers: Samplers) -> None:
        """Put a whole iteration on record; from here on it counts. Raises Interrupted if that was given up."""
        config, metrics, index, recorder = iteration.config, iteration.metrics, iteration.index, self._recorder
        changed = {name: value for name, value in config.settings().items() if value != before.get(name)}
        if changed:
            recorder.event("settings_applied", iteration=index, settings=changed)
            metrics["changed"] = changed
        recorder.update_runs_on(config.device, index)
        if config.evaluate_every and index % config.evaluate_every == 0:
            metrics.update(self._evaluation(config, iteration))
        again = len(self.history) > 0 and self.history[-1]["outcome"] == metrics["outcome"]
        if not metrics["outcome"].startswith("accepted") and not again:  # one event for several in a row
            recorder.event(metrics["outcome"], iteration=index, message=metrics["message"])
        for event in samplers.take_events():
            recorder.event(event.pop("event"), iteration=index, **event)
        self.warnings = self._judge.see(metrics)
        for kind in self.warnings.keys() - self._told:  # once a run
            self._told.add(kind)
            recorder.event("warning", iteration=index, about=kind, message=self.warnings[kind])
        if metrics["episodes_unstable"]:
            recorder.event("sim_unstable", iteration=index, episodes=metrics["episodes_unstable"])
        recorder.metrics(metrics)
        self.history.append(metrics)
        self._train_state = TrainState(config, progress.copy(), samplers.running(), recorder.device)
        recorder.policy(self._train_state)
        if index % config.checkpoint_every == 0 and not progress.nonfinite_in_a_row:
            recorder.checkpoint(self._train_state)
        self._tell("paused" if self.controls.paused else "running")

    def _evaluation(self, config: Config, iteration: Iteration) -> dict[str, Any]:
        began = time.perf_counter()
        how = (config.evaluate_episodes, config.seed, config.evaluate_deterministic, config.threads or 1)
        try:
            found = play_episodes(iteration.learner.policy, self._watched, *how, interrupt=self.controls.aborting)
        except Interrupted:
            return {"evaluation_mean": None}
        except ArithmeticError as error:  # NaN, or physics that blew up: the training goes on
            self._recorder.event("evaluation_failed", iteration=iteration.index, message=str(error))
            return {"evaluation_mean": None}
        return {
            "evaluation_mean": found.mean,
            "evaluation_std": found.std,
            "evaluation_episodes": len(found.returns),
            **({"evaluation_alike": True} if found.alike else {}),
            "seconds_evaluation": time.perf_counter() - began,
        }

    def _turn_knobs_again(self) -> None:
        """Turn what the schedule has for the next iteration: also what changed where iterations are done again."""
        index = self.progress.iteration + 1
        try:
            self.controls.replace(**self._schedule.pop(index, {}))
        except ConfigError as error:  # they don't go with what was given when the run was taken up
            self._recorder.event("settings_refused", iteration=index, message=str(error))
        self._recorder.update_runs_on(self.controls.requested.device, index)

    def _tell(self, state: str) -> None:
        self.state = state
        self._recorder.status(state, self.progress.iteration)


def train(task: Source, *, out: str | Path | None = "runs", progress: bool | None = None, **settings: Any) -> Session:
    """Train on a task to the end and return the finished session (`.policy`, `.history`, `.path`).

    Settings go by their public names (`delta=0.01, preset="paper", sampler=SinglePath(...)`). `progress` shows each
    iteration, as `trpolab train` does; None: in a terminal and in a notebook. Raises ConfigError listing all that is
    wrong with the settings, and UnknownTask, before anything is written.
    """
    session = Session(task, out=out, **settings)
    if not (is_watched(sys.stdout) if progress is None else progress):
        return session.run()
    line = progress_of(session, sys.stdout)
    try:
        follow(session, line)
    finally:
        line.close()
    return session

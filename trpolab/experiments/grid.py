"""Grids: many trials in one folder, a few at a time, each in a process of its own.

What has finished is skipped, what was begun goes on, and what another process runs is left to it: the same command,
started again or twice, ends with the same scores. A trial that crashes costs only itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from trpolab.experiments.jobs import Jobs, LocalJob, RayJob
from trpolab.experiments.results import Curve
from trpolab.experiments.trial import Ended, TrialResult, TrialSpec, outcome_of
from trpolab.machine import installed_versions, usable_cores
from trpolab.runs.follower import Follower
from trpolab.runs.reader import RunFolderError, RunFolderUnwritable, read_run
from trpolab.sampling.workers.execution import LOCAL, Execution, execution_problems
from trpolab.settings import ConfigError, PlainError, whole_number
from trpolab.simulators import find_task
from trpolab.training.config import Config, cost, resolve
from trpolab.training.progress import ProgressBar, share_done
from trpolab.training.registration import modules_of

POLL = 0.5  # seconds between two looks at the trials
LOGS = "logs"  # what trials print, and their tracebacks, a file for each
AT_LAST = 5.0  # seconds that trials have to end, after a second Ctrl-C


@dataclass(frozen=True)
class Planned:
    """A trial that can be run."""

    trial: TrialSpec
    config: Config
    weight: float  # simulator steps that it takes, about


def planned(trials: Sequence[TrialSpec]) -> list[Planned]:
    """The trials with their configs. Raises ConfigError that lists everything wrong with any of them, each once."""
    told: dict[str, list[str]] = {}  # by problem: where it is met
    found: list[Planned] = []
    known: dict[str, Any] = {}
    for trial in trials:
        where = f"{trial.task}, {trial.label}"
        try:
            task = known.get(trial.task) or known.setdefault(trial.task, find_task(trial.task))
            json.dumps(trial.given)
            config = resolve(task, overrides=trial.given)
        except (PlainError, TypeError) as error:
            for problem in error.problems if isinstance(error, ConfigError) else [str(error)]:
                told.setdefault(problem, []).append(where)
            continue
        if "__main__" in modules_of(config):
            told.setdefault("what is registered in a notebook or a script can't be run by others: use a module", [])
        found.append(Planned(trial, config, float(config.steps or config.iterations * cost(config, task))))
    twice = [name for name, count in Counter(trial.name for trial in trials).items() if count > 1]
    problems = [f"{name}: is there twice" for name in twice]
    everywhere = len({f"{trial.task}, {trial.label}" for trial in trials})
    for problem, places in told.items():
        named = list(dict.fromkeys(places))
        problems.append(problem if len(named) in (0, everywhere) else f"{'; '.join(named)}: {problem}")
    if problems:
        raise ConfigError(problems)
    return found


class Grid:
    """Trials, the folder where they lie, and how far they are. Raises ConfigError for trials that can't be run.

    `then` tells which trials follow when these are over, by what came of them; `expected` are like those, so that all
    is checked before anything runs, and the time left is known. `stream` is where the progress is shown. `executor`
    is where trials run, as the setting of that name has it: on Ray, a worker each, in a folder that all machines share.
    `kept` are curves of runs that finished elsewhere: they stand for trials of the same settings that have no folder in
    `out`, whatever version or defaults they were run with.
    """

    def __init__(
        self,
        trials: Sequence[TrialSpec],
        out: Path,
        jobs: int | None = None,
        stream: TextIO | None = None,
        expected: Sequence[TrialSpec] = (),
        then: Callable[[list[TrialResult]], Sequence[TrialSpec]] | None = None,
        executor: str = LOCAL,
        kept: Iterable[Curve] = (),
    ):
        self.jobs = usable_cores() if jobs is None else whole_number("jobs", jobs, 1)
        if problems := execution_problems(Execution(executor=str(executor))):
            raise ConfigError(problems)
        self._is_here, self._jobs = executor == LOCAL, Jobs(executor, self.jobs, self._say)
        self.plans = {plan.trial.name: plan for plan in planned(trials)}
        self.out = out
        self.failed: dict[str, str] = {}  # trials that crashed now, and how
        self._later, self._then = [plan.weight for plan in planned(expected)], then
        self._kept = {curve.asked: curve for curve in kept if not math.isnan(curve.final)}
        self._stream = stream
        self._running: dict[str, LocalJob | RayJob] = {}
        self._followers: dict[str, Follower] = {}
        self._shares = dict.fromkeys(self.plans, 0.0)

    def outcomes(self) -> list[TrialResult]:
        """What has come of each trial; those that crashed now are called so."""
        found = [self._outcome(plan.trial) for plan in self.plans.values()]
        return [
            dataclasses.replace(one, state="crashed", message=why)
            if not one.over and (why := self.failed.get(one.trial.name) or one.message) and one.state != "running"
            else one
            for one in found
        ]  # fmt: skip

    def run(self) -> list[TrialResult]:
        """Run what is left. Ctrl-C ends it after the iterations under way, a second one at once; KeyboardInterrupt."""
        try:
            (self.out / LOGS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderUnwritable(f"{str(self.out)!r} can't hold the runs: {error.strerror}") from error
        with open(os.devnull, "w") as nowhere, contextlib.closing(self._jobs):
            stream = self._stream or nowhere
            if self._is_here and self.jobs > usable_cores():
                slower = "each run goes slower, and none ends otherwise"
                print(f"jobs = {self.jobs}: more than the {usable_cores()} cores here; {slower}", file=stream)
            self._run_all(stream)
            if self._then is not None:
                more = planned(self._then(self.outcomes()))
                self._later, self._then = [], None
                self.plans |= {plan.trial.name: plan for plan in more}
                self._shares = {**dict.fromkeys(self.plans, 0.0), **self._shares}
                self._run_all(stream)
            runs = [path for path in self.out.iterdir() if (path / "run.json").exists()]
            if others := sum(path.name not in self.plans for path in runs):
                print(f"{others} runs in {self.out} are of other grids: they are kept", file=stream)
        return self.outcomes()

    def _outcome(self, trial: TrialSpec) -> TrialResult:
        """What has come of a trial so far, here or where its curve was kept."""
        found = outcome_of(trial, self.out)
        curve = None if found.folder.exists() else self._kept.get(trial.asked)
        if curve is None:
            return found
        return dataclasses.replace(found, state="finished", score=curve.final, length=curve.length, kept=curve)

    def _say(self, sentence: str) -> None:
        if sentence and self._stream is not None:
            print(sentence, file=self._stream, flush=True)

    def _run_all(self, stream: TextIO) -> None:
        waiting = [name for name, plan in self.plans.items() if not self._is_over(plan.trial)]
        for name in waiting:
            self._progress(name)  # what was done before is no progress of this call
        bar = ProgressBar(stream, self._line(), self._share())
        if len(waiting) < len(self.plans):
            bar.note(f"{len(self.plans) - len(waiting)} of {len(self.plans)} trials are finished already")
        if kept := sum(self._outcome(plan.trial).kept is not None for plan in self.plans.values()):
            bar.note(f"{kept} of them are not in {self.out}: their kept curves stand for them")
        for remark in (*self._older(), *self._unreadable()):
            bar.note(remark)
        try:
            self._work(waiting, bar)
        except KeyboardInterrupt:
            bar.note("stopping after these iterations (Ctrl-C again: at once); the same command goes on from there")
            self._end()
            raise
        finally:
            self._kill()
            bar.close()

    def _work(self, waiting: list[str], bar: ProgressBar) -> None:
        """Start, look and collect until nothing is left."""
        told = False
        while waiting or self._running:
            elsewhere = self._start(waiting)
            if elsewhere and not self._running and not told:
                told = True
                bar.note(f"{elsewhere} trials are run by another process: waiting for them")
            time.sleep(POLL)
            for name, job in list(self._running.items()):
                if (code := job.poll()) is not None:
                    job.stop()
                    del self._running[name]
                    self._collect(name, code, waiting, bar)
            for name in self._running:
                self._shares[name] = self._progress(name)
            share = self._share()
            bar.draw(share, f"{self._line()}  {bar.left(share)}".rstrip(), last=not waiting and not self._running)

    def _start(self, waiting: list[str]) -> int:
        """Start as many as there is room for; those that have ended elsewhere are dropped. How many run elsewhere?"""
        elsewhere = 0
        for name in list(waiting):
            if len(self._running) >= self.jobs:
                break
            trial = self.plans[name].trial
            if self._is_over(trial):
                waiting.remove(name)
            elif self._outcome(trial).state == "running":
                elsewhere += 1
                self._shares[name] = self._progress(name)
            else:
                waiting.remove(name)
                self._running[name] = self._job(self.plans[name])
        return elsewhere

    def _job(self, plan: Planned) -> LocalJob | RayJob:
        given, out = dataclasses.asdict(plan.trial), str(self.out.absolute())
        asked = {"trial": given, "out": out, "modules": modules_of(plan.config)}
        return self._jobs.start(asked, self._log(plan.trial.name), plan.trial.given["threads"] or usable_cores())

    def _collect(self, name: str, code: int, waiting: list[str], bar: ProgressBar) -> None:
        """A trial's job has ended, with this exit code."""
        trial, log = self.plans[name].trial, self._log(name)
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
        now = self._outcome(trial)
        if code == Ended.ELSEWHERE or now.state == "running":
            waiting.append(name)
        elif code != Ended.FINISHED and not now.over:
            last = next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {code}")
            self.failed[name] = f"killed by signal {-code}" if code < 0 else last
            bar.note(f"crashed: {trial.task}, {trial.label}, seed {trial.seed}: {self.failed[name]} ({log})")
        elif now.state == "diverged":
            bar.note(f"diverged: {trial.task}, {trial.label}, seed {trial.seed}: {now.message}")
        if name not in waiting:
            self._shares[name] = 1.0
        if not any(lines):
            log.unlink(missing_ok=True)

    def _is_over(self, trial: TrialSpec) -> bool:
        over = self._outcome(trial).over
        self._shares[trial.name] = 1.0 if over else self._shares[trial.name]
        return over

    def _progress(self, name: str) -> float:
        """How much of a trial that is under way is done."""
        with contextlib.suppress(RunFolderError, OSError):
            if name not in self._followers:
                self._followers[name] = Follower(self.out / name)
            for row in self._followers[name].new():
                config, steps = self.plans[name].config, row.get("sim_steps") or 0
                self._shares[name] = share_done(row["iteration"], steps, config.iterations, config.steps)
        return self._shares[name]

    def _share(self) -> float:
        done = sum(plan.weight * self._shares[name] for name, plan in self.plans.items())
        return done / sum([*self._later, *(plan.weight for plan in self.plans.values())])

    def _line(self) -> str:
        done = sum(share == 1.0 and name not in self._running for name, share in self._shares.items())
        crashed = f", {len(self.failed)} crashed" if self.failed else ""
        return f"{done}/{len(self.plans) + len(self._later)} trials, {len(self._running)} running{crashed}"

    def _older(self) -> Iterator[str]:
        """Runs of other versions, or of other defaults, are kept."""
        now, found = installed_versions(), Counter[str]()
        for name, plan in self.plans.items():
            with contextlib.suppress(RunFolderError):
                about = read_run(self.out / name)
                versions, given = about.get("versions"), about["settings"]
                then: Mapping[str, Any] = versions if isinstance(versions, dict) else {}
                mine = json.loads(json.dumps(plan.config.settings()))
                other = [f"{what} {then[what]}" for what in then if then[what] != now.get(what)]
                same = [what for what in mine if mine[what] is None or mine[what] == given.get(what, mine[what])]
                other += [f"{what} = {given[what]}" for what in mine if what not in same]
                found.update([", ".join(other)] if other else [])
        for what, count in found.items():
            yield f"{count} runs in {self.out} are of other versions or defaults ({what}): they are kept"

    def _unreadable(self) -> Iterator[str]:
        for one in self.outcomes():
            if one.state == "unreadable":
                yield f"{one.folder}: {one.message}; it is kept, and counts as crashed"

    def _log(self, name: str) -> Path:
        return self.out / LOGS / f"{name}.txt"

    def _end(self) -> None:
        """Let trials stop after their iterations; their input's end tells them."""
        with contextlib.suppress(KeyboardInterrupt):
            for job in self._running.values():
                job.stop()
            for job in self._running.values():
                job.wait()

    def _kill(self) -> None:
        for job in self._running.values():
            job.kill()
            job.wait(AT_LAST)

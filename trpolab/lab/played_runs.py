"""What a player plays: policies of a run folder, of a file, or in memory, and their task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trpolab.experiments.results import kept_results
from trpolab.lab.kept_policies import Kept, Single, kept_in
from trpolab.lab.pictures.captions import caption
from trpolab.lab.pictures.poster import draw_poster
from trpolab.lab.pictures.rollout import record
from trpolab.machine import user_path
from trpolab.policies import Policy, read_policy
from trpolab.runs.reader import read_run
from trpolab.runs.writer import plain_name
from trpolab.sampling.streams import Streams
from trpolab.settings import PlainError
from trpolab.simulators import Source, UnknownTask, configured, find_task, make
from trpolab.simulators.registry import drawn
from trpolab.training.checkpoint import recorded_config
from trpolab.training.config import resolve
from trpolab.training.loop import start_learner


@dataclass(frozen=True)
class PlayedRun:
    """Policies of one run, and the task that they play."""

    name: str
    source: Source
    kept: Kept


def played_run(what: Policy | str | Path, task: Source | None = None) -> PlayedRun:
    """What can be played of a run folder, a policy file, a policy, or a task by its name.

    Of a task that is the policy that came with this installation, else an untrained one. Raises RunFolderError for a
    folder that is no run, PolicyFileError, UnknownTask, and PlainError where a policy's task is not told.
    """
    if isinstance(what, Policy):
        if task is None:
            raise PlainError("task: give the task that the policy plays, such as task='Hopper-v5'")
        return PlayedRun("policy", task, Single(what))
    path = user_path(what)
    if path.is_file():
        policy, about = read_policy(path)
        source = task if task is not None else about.get("task")
        if not source:
            raise PlainError(f"task: {str(what)!r} does not tell its own; give it, such as task='Hopper-v5'")
        at = about.get("iteration")
        return PlayedRun(path.stem, source, Single(policy, at if isinstance(at, int) else 0))
    if isinstance(what, str) and not path.exists():
        return _of_task(what, task)
    about = read_run(path)
    config = recorded_config(about, about["settings"])
    return PlayedRun(path.name, configured(task if task is not None else about["task"], config), kept_in(path))


def picture_of(
    what: str, task: str | None, iteration: int | None, seed: int | None, max_steps: int | None
) -> tuple[bytes, str]:
    """An animated PNG for the terminal, and a line about it. `what` and the errors are those of `played_run`."""
    run = played_run(what, task)
    at = run.kept.iterations()[-1] if iteration is None else iteration
    if at not in run.kept.iterations():
        raise PlainError(f"--iteration {at}: {run.name} keeps those of {_listed(run.kept.iterations())}")
    simulator = make(drawn(run.source), 1)
    try:
        rollout = record(run.kept.policy(at), simulator, seed=0 if seed is None else seed, max_steps=max_steps)
    finally:
        simulator.close()
    note = f" ({rollout.note})" if rollout.note else ""
    return draw_poster(rollout), f"iteration {at} · {caption(rollout)}{note}"


def _of_task(name: str, task: Source | None) -> PlayedRun:
    """The policy of the task of this name, which plays it, or another `task`."""
    try:
        about = find_task(name)
    except UnknownTask as error:
        raise UnknownTask(f"{name!r} is no folder and no file here, and {error}") from None
    shipped = kept_results() / "policies" / f"{plain_name(about.name)}.safetensors"
    if shipped.exists():
        return played_run(shipped, task)
    config = resolve(about)
    source = configured(name if task is None else task, config)
    return PlayedRun(name, source, Single(start_learner(about, config, Streams(config.seed)).policy))


def _listed(iterations: list[int]) -> str:
    if len(iterations) <= 8:
        return ", ".join(map(str, iterations))
    return f"{len(iterations)} iterations from {iterations[0]} to {iterations[-1]}"

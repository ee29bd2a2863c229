"""`trpolab train TASK`: one run, or several seeds one after another."""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import threading
import tomllib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

from trpolab.cli.exits import Exit, refuse
from trpolab.machine import user_path
from trpolab.numerics.device import device_name
from trpolab.settings import ConfigError, PlainError, flatten, parse_value
from trpolab.simulators import Source, find_task
from trpolab.simulators.registry import remembered
from trpolab.training.config import Config, resolve, settings
from trpolab.training.loop import Diverged
from trpolab.training.progress import ProgressLine, follow, number, progress_of
from trpolab.training.session import Session

# Options that are settings under their own name; the rest of the settings is reached by --set.
FLAGS = (
    *("method", "sampler", "proposal", "preset", "device", "delta"),
    *("steps", "iterations", "steps_per_iteration", "seed", "executor", "workers", "allow_version_mismatch"),
)
LARGEST_CONFIG = 2**20  # bytes
MOST_SEEDS = 10_000
LOOK_EVERY = 1.0  # seconds between two looks at whether there is something to say


def train(args: argparse.Namespace) -> int:
    """Train as the parsed command line says; prints the run folder, or those of all seeds, last."""
    task, each = make_plan(args)
    resumed: dict[str, Any] = {"changed_environment": True} if args.changed_environment else {}
    resumed |= {} if args.at is None else {"at": parse_value(args.at)}
    try:
        sessions = [Session(task, out=args.out, resume=args.resume, **resumed, **settings) for settings in each]
    except OSError as error:
        return refuse([str(error)])
    ends: list[Exit] = []
    for session in sessions:
        ends.append(run(session))
        if ends[-1] is Exit.INTERRUPTED:
            break
    if args.seeds is not None:
        summarize(list(zip(sessions, ends, strict=False)))
    for session in sessions:
        if session.path is not None:  # None: not begun, or ended before its folder was made
            print(session.path, flush=True)
    worst_first = (Exit.INTERRUPTED, Exit.CRASHED, Exit.BAD_INPUT, Exit.DIVERGED)
    return next((code for code in worst_first if code in ends), Exit.FINISHED)


def make_plan(args: argparse.Namespace) -> tuple[Source | None, list[dict[str, Any]]]:
    """The task (None: that of the run that is resumed), and the settings of each run.

    Settings by precedence: an option, then --set, then the file, then the preset. Raises ConfigError that lists
    everything wrong with the command line, the file and the settings together.
    """
    problems: list[str] = []
    pairs, schedule = _from_pairs(args.set, problems)
    chosen = {**_from_file(args.config, problems), **pairs}
    chosen |= {name: parse_value(text) for name in FLAGS if (text := getattr(args, name)) is not None}
    named = chosen.pop("task", None)
    if args.task is not None and "task" in (pair.partition("=")[0].strip() for pair in args.set):
        problems.append(f"task: {args.task} and --set task={named}: give one of them")
    name = args.task or named
    seeds = _seeds(args, problems)
    task = None
    if name is not None:
        try:
            task = find_task(str(name))
        except PlainError as error:
            problems.append(str(error))
    elif args.resume is None:
        problems.append("no task: give one, as in `trpolab train CartPole-v1`")
    try:
        if task is None or args.resume is not None:  # what depends on neither task nor run can be told all the same
            Config().replace(**chosen)
        else:
            resolve(task, overrides=chosen)
    except ConfigError as error:
        problems += error.problems
    if args.resume is not None:
        problems += _resume_problems(chosen, seeds)
    elif args.changed_environment:
        problems.append("--changed-environment: goes with --resume")
    out = user_path(args.out)
    blocked = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if blocked.is_file():
        problems.append(f"--out {args.out}: {blocked} is a file")
    if problems:
        raise ConfigError(problems)
    chosen |= {"schedule": schedule} if schedule else {}
    each = [chosen] if seeds is None else [{**chosen, "seed": seed} for seed in seeds]
    if task is None or args.resume is not None:
        return None if name is None else str(name), each
    return remembered(str(name), task), each


def run(session: Session) -> Exit:
    """Run a session to its end, showing progress. The first Ctrl-C ends it after the iteration under way."""
    config, before = session.config, session.progress
    how = f"{config.method}, {config.sampler}, seed {config.seed}"
    print(f"{config.task}: {how}, update on {device_name(config.device)}", flush=True)
    if session.task.python:
        print(f"making {config.slots} environments, which step in turn", flush=True)
    if before.over(config):
        print(f"{before.told(config)} are done; more with --iterations N or --steps N", flush=True)
    elif before.iteration:
        print(f"going on after iteration {before.iteration}", flush=True)
    progress = progress_of(session, sys.stdout)
    try:
        with _interrupts(session, progress):
            follow(session, progress)
        ended = Exit.INTERRUPTED if session.state == "stopped" else Exit.FINISHED
    except KeyboardInterrupt:
        ended = Exit.INTERRUPTED
    except PlainError as error:  # ours, wherever it was raised: the run folder, a vine that can't go on
        progress.close()
        ended = refuse(error)
    except Diverged as error:
        progress.note(f"diverged: {error}")
        ended = Exit.DIVERGED
    except Exception:  # noqa: BLE001 - whatever a task raises: its traceback is shown, then where the run lies
        progress.close()
        traceback.print_exc()
        ended = Exit.CRASHED
    progress.close()
    return ended


def summarize(ended: list[tuple[Session, Exit]]) -> None:
    """A table of the seeds, and their mean."""
    print(f"\n{'seed':>6}  {'last 100':>10}  {'steps':>12}  ended")
    scores = []
    for session, how in ended:
        score = session.history[-1]["return_recent"] if session.history else None
        shown, steps = number(score, ",.1f"), session.progress.sim_steps
        print(f"{session.config.seed:>6}  {shown:>10}  {steps:>12,}  {how.name.lower()}")
        if score is not None:
            scores.append(score)
    if len(scores) > 1:
        spread = statistics.stdev(scores)
        print(f"{'mean':>6}  {statistics.mean(scores):>10,.1f}  standard deviation {spread:,.1f}, {len(scores)} seeds")
    print("last 100: mean return of a run's last 100 training episodes\n")


@contextmanager
def _interrupts(session: Session, progress: ProgressLine) -> Iterator[None]:
    """Ctrl-C once: stop after this iteration; twice: give the iteration up; a third time: at once.

    The handler may have interrupted a write to the terminal, so another thread says what it has to say.
    """
    pressed = 0
    to_tell: SimpleQueue[str | None] = SimpleQueue()  # its `put` may be called by a handler

    def tell() -> None:
        while True:
            try:
                text = to_tell.get(timeout=LOOK_EVERY)
            except Empty:
                progress.wait()
                continue
            if text is None:
                return
            progress.note(text)

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed += 1
        if pressed == 1:
            where = f"; the run lies in {session.path}" if session.path else ""
            to_tell.put(f"stopping after this iteration (Ctrl-C again gives it up){where}")
        if pressed > 2:
            raise KeyboardInterrupt
        session.controls.stop()

    teller = threading.Thread(target=tell, name="trpolab-teller", daemon=True)
    teller.start()
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        to_tell.put(None)
        teller.join()


def _resume_problems(chosen: dict[str, Any], seeds: tuple[int, ...] | None) -> list[str]:
    known = settings()
    fixed = [name for name in chosen if name in known and known[name].kept]
    problems = [f"{name} = {chosen[name]!r}: a run that is resumed keeps its own" for name in fixed]
    return [*problems, "--seeds: a resumed run keeps its seed"] if seeds else problems


def _from_file(name: str | None, problems: list[str]) -> dict[str, Any]:
    if name is None:
        return {}
    try:
        path = user_path(name)
        if (size := path.stat().st_size) > LARGEST_CONFIG:
            problems.append(f"--config {name}: has {size} bytes; a file of settings has at most {LARGEST_CONFIG}")
            return {}
        return flatten(tomllib.loads(path.read_text(encoding="utf-8")), settings())
    except OSError as error:
        problems.append(f"--config {name}: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"--config {name}: not a TOML file: {error}")
    except RecursionError:
        problems.append(f"--config {name}: not a file of settings: it is nested too deep")
    return {}


def _from_pairs(pairs: list[str], problems: list[str]) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """The settings that are given by --set, and those that are to be turned later, by iteration."""
    found: dict[str, Any] = {}
    schedule: dict[int, dict[str, Any]] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        iteration, later, name = name.strip().rpartition(":")
        if not equals or not name or (later and not iteration.isdecimal()):
            problems.append(f"--set {pair!r}: must be KEY=VALUE, or N:KEY=VALUE from iteration N on")
        else:
            chosen = schedule.setdefault(int(iteration), {}) if later else found
            chosen[name] = parse_value(text.strip())
    return found, schedule


def _seeds(args: argparse.Namespace, problems: list[str]) -> tuple[int, ...] | None:
    if args.seeds is None:
        return None
    if args.seed is not None:
        problems.append(f"--seed {args.seed} and --seeds {args.seeds}: give one of them")
    count = parse_value(args.seeds)
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST_SEEDS:
        problems.append(f"--seeds {args.seeds}: must be a whole number from 1 to {MOST_SEEDS:,}")
        return None
    return tuple(range(count))

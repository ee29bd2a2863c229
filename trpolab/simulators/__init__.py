"""Simulators: slots that reset, step, snapshot and restore. `make` builds one by the name of its task."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import gymnasium

from trpolab.simulators import cartpole, finite_simulator
from trpolab.simulators.atari import games as atari_games
from trpolab.simulators.atari.games import AtariGame
from trpolab.simulators.base import (
    Scene,
    Simulator,
    Snapshot,
    SnapshotUnsupported,
    Task,
    Transition,
    UnknownTask,
    UnsupportedSpace,
)
from trpolab.simulators.config import Atari
from trpolab.simulators.finite_mdp import FiniteMDP
from trpolab.simulators.gym_adapter import adapter as gymnasium_adapter

__all__ = [
    "Atari",
    "AtariGame",
    "FiniteMDP",
    "Scene",
    "Simulator",
    "Snapshot",
    "SnapshotUnsupported",
    "Source",
    "Task",
    "Transition",
    "UnknownTask",
    "UnsupportedSpace",
    "configured",
    "find_task",
    "make",
    "task_names",
]

Source = str | FiniteMDP | AtariGame | Callable[[], gymnasium.Env]  # what a task may be given as

MUJOCO_TASKS = (
    "paper/Swimmer",
    "paper/Hopper",
    "paper/Walker",
    "Swimmer-v5",
    "Hopper-v5",
    "Walker2d-v5",
    "HalfCheetah-v5",
    "InvertedPendulum-v5",
    "InvertedDoublePendulum-v5",
    "Reacher-v5",
    "Ant-v5",
    "Humanoid-v5",
)


def task_names() -> tuple[str, ...]:
    """The tasks built in; of Atari the paper's seven games, where ale-py is installed.

    Any other Gymnasium id or Atari game, and a callable that returns an environment, work too.
    """
    games = atari_games.task_names() if atari_games.installed() else ()
    return (*cartpole.TASKS, *finite_simulator.TASKS, *MUJOCO_TASKS, *games)


def configured(task: Source, atari: Atari) -> Source:
    """What `find_task` and `make` take for a task under these settings."""
    name = task.name if isinstance(task, AtariGame) else task
    return AtariGame(name, atari) if isinstance(name, str) and name.startswith(atari_games.PREFIX) else task


def find_task(task: Source) -> Task:
    """What is known of a task: a name from `task_names`, a Gymnasium id, a finite MDP, or a callable that returns an
    environment.

    Of an id or a callable an environment is made and tried out. Raises UnknownTask with the nearest names,
    UnsupportedSpace for observations or actions that no policy here can take, and ImportError with the line that
    installs it where a task needs an optional package.
    """
    if (game := _game(task)) is not None:
        return atari_games.describe(game)
    if (mdp := _finite(task)) is not None:
        return finite_simulator.describe(mdp)
    if not isinstance(task, str):
        if not callable(task):
            raise UnknownTask(
                f"a task is a name or a callable that returns a gymnasium.Env, not {type(task).__name__}; for an "
                "environment that takes no arguments give its class, else `lambda: ...`"
            )
        return gymnasium_adapter.describe(task)
    if task in cartpole.TASKS:
        return cartpole.describe(task)
    if task in MUJOCO_TASKS:
        from trpolab.simulators.mujoco import catalogue as mujoco_catalogue
        from trpolab.simulators.mujoco import mujoco_simulator as mujoco_batch

        return mujoco_batch.describe(mujoco_catalogue.mujoco_task(task))
    return gymnasium_adapter.describe(_factory(task), task)


def make(task: Source, slots: int, threads: int = 1) -> Simulator:
    """A simulator of `slots` slots; physics in C++ runs on `threads` threads. Raises as `find_task` does."""
    if slots < 1 or threads < 1:
        raise ValueError(f"slots = {slots}, threads = {threads}: both must be at least 1")
    if (game := _game(task)) is not None:
        find_task(game)
        from trpolab.simulators.atari.atari_simulator import AtariSimulator

        return AtariSimulator(game, slots)
    if (mdp := _finite(task)) is not None:
        return finite_simulator.FiniteSimulator(mdp, slots)
    if isinstance(task, str) and task in cartpole.TASKS:
        return cartpole.make_cartpole(task, slots)
    if isinstance(task, str) and task in MUJOCO_TASKS:
        from trpolab.simulators.mujoco import catalogue as mujoco_catalogue
        from trpolab.simulators.mujoco import mujoco_simulator as mujoco_batch

        return mujoco_batch.MujocoSimulator(mujoco_catalogue.mujoco_task(task), slots, threads)
    factory = _factory(task) if isinstance(task, str) else task
    return gymnasium_adapter.GymnasiumSimulator(find_task(task), factory, slots)  # type: ignore[arg-type]


def _game(task: Source) -> AtariGame | None:
    """The Atari game that was given or named."""
    if isinstance(task, str) and task.startswith(atari_games.PREFIX):
        return AtariGame(task)
    return task if isinstance(task, AtariGame) else None


def _finite(task: Source) -> FiniteMDP | None:
    """The finite MDP that was given or named. Raises UnknownTask for a finite/ name that names none."""
    if isinstance(task, FiniteMDP):
        return task
    if not isinstance(task, str) or not task.startswith("finite/"):
        return None
    if not finite_simulator.is_name(task):
        raise UnknownTask(f"unknown task {task!r}; {_nearest(task)} (finite MDPs: {finite_simulator.PATTERNS})")
    try:
        return finite_simulator.finite_mdp(task)
    except ValueError as error:
        raise UnknownTask(f"{task}: {error}") from None


def _factory(name: str) -> Callable[[], gymnasium.Env]:
    """Makes environments of a Gymnasium id. Raises UnknownTask where Gymnasium cannot."""
    if name not in gymnasium.registry and ":" not in name and "-v" not in name:
        # Gymnasium would take the newest version, and pass by the built-in task of that name.
        raise UnknownTask(f"unknown task {name!r}; {_nearest(name)}")

    if "mujoco" in str(getattr(gymnasium.registry.get(name), "entry_point", "")):
        from trpolab.simulators.mujoco.model import silence_log_file

        silence_log_file()

    def factory() -> gymnasium.Env:
        try:
            return gymnasium.make(name, disable_env_checker=True)
        except gymnasium.error.UnregisteredEnv:
            raise UnknownTask(f"unknown task {name!r}; {_nearest(name)}") from None
        except (gymnasium.error.Error, ImportError) as failure:
            raise UnknownTask(f"Gymnasium cannot make {name!r}: {' '.join(str(failure).split())}") from failure

    return factory


def _nearest(name: str) -> str:
    """The names closest to `name`, in words: built-in ones and the newest versions of Gymnasium's."""
    latest: dict[tuple[str | None, str], int] = {}
    specs = [spec for spec in gymnasium.registry.values() if "ale_py" not in str(spec.entry_point)]
    for spec in specs:
        family = (spec.namespace, spec.name)
        latest[family] = max(spec.version or 0, latest.get(family, 0))
    newest = [spec.id for spec in specs if spec.version == latest[spec.namespace, spec.name]]
    known = {known.lower(): known for known in (*newest, *task_names())}
    close = [known[match] for match in difflib.get_close_matches(name.lower(), known, n=4, cutoff=0.5)]
    return f"nearest: {', '.join(close)}" if close else f"known: {', '.join(task_names())}, and every Gymnasium id"

"""Any Gymnasium environment, by its id or from a callable; of an id that `trpolab` has registered, our own task."""

from __future__ import annotations

import contextlib
import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium

from trpolab.simulators.base import Simulator, Task, UnknownTask
from trpolab.simulators.gym_adapter import adapter
from trpolab.simulators.gym_adapter.pictures import drawing
from trpolab.simulators.registry import SimulatorKind, find_task, nearest_tasks
from trpolab.simulators.registry import make as make_simulator


@dataclass(frozen=True)
class TriedOut:
    """A source whose environments were tried out: what was found holds wherever a run uses it."""

    source: Any
    about: Task = field(compare=False)
    watch: Callable[[], None] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Drawing:
    """A source whose environments draw themselves, where they can."""

    source: Any


def remember(source: Any, about: Task, watch: Callable[[], None] | None = None) -> Any:
    """The source with what is known of it; one that is our own task as it is."""
    inside = source.source if isinstance(source, TriedOut) else source
    return source if _task_of_ours(inside) is not None else TriedOut(inside, about, watch)


def draws(source: Any) -> Any:
    """The source of the same environments that draw themselves; our own tasks do so as they are."""
    return source if _task_of_ours(source) is not None else Drawing(source)


def factory_of(source: Any) -> Callable[..., gymnasium.Env]:
    """What makes the environments of a source. Raises UnknownTask for one that makes none."""
    if isinstance(source, Drawing):
        return drawing(factory_of(source.source))
    if isinstance(source, TriedOut):
        return factory_of(source.source)
    if isinstance(source, str):
        return _by_id(source)
    if not callable(source):
        raise UnknownTask(
            f"a task is a name or a callable that makes a new gymnasium.Env at each call, not {type(source).__name__}; "
            "for an environment that takes no arguments give its class, else `lambda: MyEnv(...)`"
        )
    return source


def describe(source: Any) -> Task:
    """The task of the source's environments. Raises UnknownTask and UnsupportedSpace."""
    if isinstance(source, Drawing):
        return describe(source.source)
    if isinstance(source, TriedOut):
        return source.about
    if (ours := _task_of_ours(source)) is not None:
        return find_task(ours)
    return adapter.describe(factory_of(source), source if isinstance(source, str) else None)


def make(source: Any, slots: int, threads: int) -> Simulator:
    """A simulator whose slots are environments of the source."""
    if (ours := _task_of_ours(source)) is not None:
        return make_simulator(ours, slots, threads)
    watch = source.watch if isinstance(source, TriedOut) else None
    return adapter.GymnasiumSimulator(describe(source), factory_of(source), slots, watch)


def _task_of_ours(source: Any) -> Any:
    """Our task behind an id as `trpolab/Swimmer-v0`, or None: its simulator is faster than its environments."""
    spec = gymnasium.registry.get(source) if isinstance(source, str) else None
    return spec.kwargs["task"] if spec is not None and spec.entry_point == "trpolab:as_gymnasium" else None


def _by_id(name: str) -> Callable[..., gymnasium.Env]:
    """Makes environments of a Gymnasium id, or of `module:attribute`. Raises UnknownTask where that cannot be done."""
    _, colon, own = name.partition(":")
    if not colon and name not in gymnasium.registry:
        ask_packages(name)
    if name not in gymnasium.registry and not colon and "-v" not in name:
        # Gymnasium would take the newest version, and pass by the built-in task of that name.
        own = "; a class or a function of your own is named by its module, as my_envs:MyEnv"
        raise UnknownTask(f"unknown task {name!r}; {nearest_tasks(name)}{own}")

    if "mujoco" in str(getattr(gymnasium.registry.get(name), "entry_point", "")):
        from trpolab.simulators.mujoco.model import silence_log_file

        silence_log_file()

    def factory(render_mode: str | None = None) -> gymnasium.Env:
        options: Any = {} if render_mode is None else {"render_mode": render_mode}
        holder = _module(name) if colon else None
        made = getattr(holder, own, None)
        if made is not None and own not in gymnasium.registry:
            return drawing(factory_of(made))() if render_mode else factory_of(made)()
        try:
            return gymnasium.make(name, disable_env_checker=True, **options)
        except gymnasium.error.UnregisteredEnv as failure:
            if holder is not None:
                raise UnknownTask(_not_in(holder, own, failure)) from None
            brought = f"If a package brings it, name that, too: PACKAGE:{own or name}"
            raise UnknownTask(f"unknown task {name!r}; {nearest_tasks(name)}. {failure} {brought}") from None
        except (gymnasium.error.Error, ImportError) as failure:
            raise UnknownTask(f"Gymnasium cannot make {name!r}: {' '.join(str(failure).split())}") from failure

    factory.__name__ = own or name
    return factory


def _module(name: str) -> ModuleType:
    """The module of `module:attribute`. Raises UnknownTask where it can't be imported."""
    module = name.partition(":")[0]
    try:
        return importlib.import_module(module)
    except Exception as failure:
        why = f"{type(failure).__name__}: {' '.join(str(failure).split())}"
        file = f"; of {module} give {name.replace(module, Path(module).stem)}, in its folder" if ".py" in module else ""
        raise UnknownTask(f"{name!r}: the module {module!r} cannot be imported: {why}{file}") from failure


def _not_in(module: ModuleType, own: str, failure: Exception) -> str:
    """What is said of a name that a module neither holds nor registers with Gymnasium."""
    held = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    ids = [spec.id for spec in gymnasium.registry.values() if str(spec.entry_point).startswith(f"{module.__name__}")]
    close = difflib.get_close_matches(own, [*held, *ids], n=4, cutoff=0.5)
    nearest = f"; nearest: {', '.join(close)}" if close else ""
    return f"the module {module.__name__!r} has no {own!r}, and registers no such id{nearest}. {failure}"


def ask_packages(name: str) -> None:
    """Let installed packages register their environments until the id is known.

    These are the packages with an entry point in the group `gymnasium.envs`, which Gymnasium itself no longer reads.
    """
    for entry in entry_points(group="gymnasium.envs"):
        with contextlib.suppress(Exception):  # whatever is wrong with some package
            register = entry.load()  # many register when they are imported
            if name in gymnasium.registry:
                return
            register()


KIND = SimulatorKind(
    name="gymnasium",
    label="Gymnasium",
    doc="any environment of Gymnasium's, by id or from a callable",
    takes=lambda source: True,  # asked last
    describe=describe,
    make=make,
    remember=remember,
    draws=draws,
)

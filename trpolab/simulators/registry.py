"""Kinds of simulators: which tasks each one plays, how it describes them, and how it makes a simulator of one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import gymnasium

from trpolab.registry import REQUIRED, Entry, RegistrationError, Registry
from trpolab.settings import whole_number
from trpolab.simulators.base import Simulator, Task

# What a task may be given as: a name, a callable that returns a gymnasium.Env, or whatever else a kind takes.
Source = Hashable


@dataclass(frozen=True, kw_only=True)
class SimulatorKind(Entry):
    """One kind of simulators.

    A worker process that makes a simulator imports `make` from its module.
    """

    functions: ClassVar[dict[str, str]] = {
        "make": "source, slots, threads",
        "describe": "source",
        "takes": "source",
        "names": "",
        "remember": "source, about, watch",
        "draws": "source",
    }
    optional: ClassVar[dict[str, str]] = {"configured": "source, settings"}

    takes: Callable[[Any], bool] = REQUIRED  # True if this kind plays the task given as this source
    describe: Callable[[Any], Task] = REQUIRED  # what is known of it, before a simulator is made
    make: Callable[[Any, int, int], Simulator] = REQUIRED  # (source, slots, most threads to use)
    names: Callable[[], tuple[str, ...]] = tuple  # the tasks to list
    configured: Callable[[Any, Any], Source] | None = None  # the source under the given `settings`
    # The source with what `describe` found out; what it is given besides is called before an environment is made.
    remember: Callable[[Any, Task, Callable[[], None] | None], Source] = lambda source, about, watch: source
    draws: Callable[[Any], Source] = lambda source: source  # the same task, one that draws itself where it has a choice


class Simulators(Registry[SimulatorKind]):
    """The kinds of simulators by name."""

    def of(self, source: Source) -> SimulatorKind:
        """The kind that plays a task. Kinds added later are asked first; Gymnasium's, the first one, takes anything."""
        return next(kind for kind in reversed(list(self.values())) if _takes(kind, source))

    def _problems(self, entry: SimulatorKind) -> Iterator[str]:
        yield from super()._problems(entry)
        if (entry.settings is None) != (entry.configured is None):
            yield "settings and configured go together: give both or none"
        for kind in self.values():
            taken = (name for name in kind.names() if kind.name != entry.name and _takes(entry, name))
            yield from (f"it takes {name!r}, which is a task of {kind.name!r}" for name in taken)


def _takes(kind: SimulatorKind, source: Any) -> bool:
    """Whether a kind says True. A comparison such as `name.__eq__` answers NotImplemented, which is no Yes."""
    try:
        return kind.takes(source) is True
    except Exception as error:  # whatever a function from outside raises
        told = f"its `takes`, which is asked about every task, raised {type(error).__name__} for {source!r}: {error}"
        raise RegistrationError(f"simulator {kind.name!r}: {told}") from error


SIMULATORS = Simulators("simulator", SimulatorKind)


def task_names() -> tuple[str, ...]:
    """The tasks that the kinds list; of Atari the paper's seven games, where ale-py is installed.

    Any other Gymnasium id or Atari game, and a callable that returns an environment, work too.
    """
    return tuple(name for kind in SIMULATORS.values() for name in kind.names())


def nearest_tasks(name: str) -> str:
    """The names closest to `name`, in words: listed ones and the newest versions of Gymnasium's."""
    latest: dict[tuple[str | None, str], int] = {}
    others = ("ale_py", "trpolab")  # their tasks have names of ours
    specs = [spec for spec in gymnasium.registry.values() if not str(spec.entry_point).startswith(others)]
    for spec in specs:
        family = (spec.namespace, spec.name)
        latest[family] = max(spec.version or 0, latest.get(family, 0))
    newest = [spec.id for spec in specs if spec.version == latest[spec.namespace, spec.name]]
    known = {known.lower(): known for known in (*newest, *task_names())}
    close = [known[match] for match in difflib.get_close_matches(name.lower(), known, n=4, cutoff=0.5)]
    return f"nearest: {', '.join(close)}" if close else f"known: {', '.join(task_names())}, and every Gymnasium id"


def configured(task: Source, config: Any) -> Source:
    """What `find_task` and `make` take for a task under a config, which holds the kind's settings as its part."""
    kind = SIMULATORS.of(task)
    return task if kind.configured is None else kind.configured(task, getattr(config, kind.part))


def remembered(task: Source, about: Task, watch: Callable[[], None] | None = None) -> Source:
    """The task with what was found out about it, for `find_task` and `make`: they then do not try it out again.

    `watch` is called before each environment is made where that may be slow; what it raises ends the making.
    """
    return SIMULATORS.of(task).remember(task, about, watch)


def drawn(task: Source) -> Source:
    """What `make` takes for simulators of the task that are to be looked at."""
    return SIMULATORS.of(task).draws(task)


def find_task(task: Source) -> Task:
    """What is known of a task: a name from `task_names`, a Gymnasium id, a finite MDP, or a callable that returns an
    environment.

    Of an id or a callable an environment is made and tried out. Raises UnknownTask with the nearest names,
    UnsupportedSpace for observations or actions that no policy here can take, and ImportError with the line that
    installs it where a task needs an optional package. RegistrationError: worker processes can't import its kind.
    """
    kind = SIMULATORS.of(task)
    about = kind.answer("describe", kind.describe(task), Task)
    about = replace(about, kind=about.kind or kind.name)
    if about.runs_in_processes and (kind.module == "__main__" or "<" in getattr(kind.make, "__qualname__", "")):
        raise RegistrationError(
            f"simulator {kind.name!r}: {about.name} runs in worker processes, which import `make`; define it at the "
            "top of a module, not in a notebook, a script or a function"
        )
    return about


def make(task: Source, slots: int = 1, threads: int = 1) -> Simulator:
    """A simulator of `slots` slots; physics in C++ runs on `threads` threads. Raises as `find_task` does."""
    slots, threads = whole_number("slots", slots, 1), whole_number("threads", threads, 1)
    kind = SIMULATORS.of(task)
    made = kind.make(task, slots, threads)
    return kind.answer("make", made, Simulator, fits=callable(getattr(made, "step", None)))

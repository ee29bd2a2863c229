"""Marking a folder of notebooks: each runs in a process of its own, with limits, and nothing that it says is trusted.

The process runs the notebook's cells, those left out that need not run, and then the checks. It tells the answers that
the functions gave, as JSON of a bounded size; its outputs go nowhere. Whether the answers are right is found here,
where nothing of the notebook ran.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import resource
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config as Traits

from trpolab.machine import usable_cores
from trpolab.settings import PlainError
from trpolab.workshop.attempt import Attempt, Retold, TimeUp
from trpolab.workshop.builder import LEFT_OUT, SOLUTIONS
from trpolab.workshop.checks import YES, FunctionCheck, Judgement
from trpolab.workshop.source import Exercise, exercises
from trpolab.workshop.strays import Strays

CELL_SECONDS, SECONDS = 10.0, 60.0  # that a cell may take, and a notebook in all
MEMORY, FILES = 4 * 2**30, 64 * 2**20  # bytes that it may use, and write to a file
LARGEST = 20 * 2**20  # bytes of a notebook
ANSWER = 2 * 2**20  # bytes of an answer
SAID = 300  # characters of what is said of one function
NUMBER = re.compile(r"^EXERCISE = (\d+)", re.MULTILINE)
MACHINERY = re.compile(r"workshop[./\\]|import workshop|[\"']workshop|solutions\b")  # no exercise needs it
LIMITS = {"RLIMIT_DATA": MEMORY, "RLIMIT_FSIZE": FILES, "RLIMIT_CPU": int(2 * SECONDS), "RLIMIT_CORE": 0}


@dataclass
class Marked:
    """What is known of one notebook. `checks` say of each function "yes", or what is wrong."""

    notebook: str
    exercise: int | None = None
    checks: dict[str, str] = field(default_factory=dict)
    fault: str = ""  # why it could not be marked, or what else went wrong

    @property
    def passed(self) -> bool:
        """Whether it passes all its checks."""
        return bool(self.checks) and all(said == YES for said in self.checks.values())

    def record(self) -> dict[str, Any]:
        """For a grader, as JSON."""
        return {**asdict(self), "passed": self.passed}


def mark(folder: Path, seconds: float = SECONDS, cell_seconds: float = CELL_SECONDS) -> Iterator[Marked]:
    """Mark the notebooks of a folder and of the folders in it, in the order of their names. Raises PlainError.

    A notebook may take so many seconds in all, and each of its cells `cell_seconds`.
    """
    if not folder.is_dir():
        raise PlainError(f"{str(folder)!r} is not a folder")
    left_out = {".ipynb_checkpoints", SOLUTIONS}
    found = [path for path in sorted(folder.rglob("*.ipynb")) if left_out.isdisjoint(path.relative_to(folder).parts)]
    if not found:
        raise PlainError(f"{str(folder)!r} holds no notebook")
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    with ThreadPoolExecutor(usable_cores()) as workers:
        names = [str(path.relative_to(folder)) for path in found]
        yield from workers.map(partial(_marked, processes, Strays(), seconds, cell_seconds), found, names)


def _marked(processes: Any, strays: Strays, seconds: float, cell_seconds: float, path: Path, name: str) -> Marked:
    """One notebook, by a process that is ended when its time is up."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return Marked(name, fault=f"not a file of at most {LARGEST // 2**20} MiB")
    except OSError as error:
        return Marked(name, fault=f"it can't be read: {error.strerror}")
    with tempfile.TemporaryDirectory(prefix="trpolab-marking-", ignore_cleanup_errors=True) as scratch:
        try:
            process, here = _start(processes, strays, str(path.absolute()), scratch, cell_seconds)
        except (OSError, EOFError) as error:
            return Marked(name, fault=f"its process did not start: {type(error).__name__}")
        try:
            return _answer(here, name, seconds)
        finally:
            for kill in (lambda: os.killpg(process.pid, signal.SIGKILL), process.kill):
                with contextlib.suppress(OSError):
                    kill()
            process.join(5)
            strays.end(process.pid)
            here.close()


def _start(processes: Any, strays: Strays, *about: Any, again: bool = True) -> tuple[Any, Connection]:
    """A process that works, and the end of the pipe on which it answers. A notebook may kill what starts processes."""
    here, there = processes.Pipe(duplex=False)
    process = processes.Process(target=_work, args=(*about, there), daemon=True)
    try:
        strays.start(process)
    except (OSError, EOFError):
        here.close()
        if not again:
            raise
        return _start(processes, strays, *about, again=False)
    finally:
        there.close()
    return process, here


def _answer(connection: Connection, name: str, seconds: float) -> Marked:
    """What its answers are worth. First of all the process says which exercise it is, then what it is at."""
    end, at, marked = time.monotonic() + seconds, "beginning", Marked(name)
    while (left := end - time.monotonic()) > 0 and connection.poll(left):
        try:
            said = json.loads(connection.recv_bytes(ANSWER))
            if marked.exercise is None:  # nothing of the notebook has run
                marked.exercise, marked.fault = said["exercise"], said["fault"]
                if marked.exercise is None:
                    return marked
            elif "at" in said:
                at = str(said["at"])[:SAID]
            else:
                marked.checks = _judged(marked.exercise, said["functions"])
                marked.fault = "; ".join(filter(None, [str(said["fault"])[:SAID], marked.fault]))[:SAID]
                return marked
        except EOFError:
            return Marked(name, fault=f"its process ended: {at}")
        except (OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RuntimeError):
            return Marked(name, fault=f"its process said what makes no sense: {at}")
    return Marked(name, fault=f"it was still running after {seconds:g} seconds: {at}")


def _judged(number: int, told: dict[str, Any]) -> dict[str, str]:
    """Of each function of an exercise "yes", or what is wrong, by what a process told of it."""
    (exercise,) = (one for one in exercises() if one.number == number)
    checks = {}
    for name in exercise.functions:
        fault, answers = str(told[name]["fault"]), list(told[name]["answers"])
        checks[name] = (fault or _first_fault(FunctionCheck(exercise, name).judged(Retold(answers))))[:SAID]
    return checks


def _work(path: str, scratch: str, cell_seconds: float, connection: Connection) -> None:
    """In the process: run the cells, then the checks, and tell."""
    os.setsid()
    os.closerange(3, connection.fileno())
    os.closerange(connection.fileno() + 1, 4096)  # what else is open belongs to the process that starts processes
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    for name, limit in LIMITS.items():
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(getattr(resource, name), (limit, limit))
    os.environ["TRPOLAB_FAST"] = "1"
    os.chdir(scratch)

    def tell(**said: Any) -> None:
        connection.send_bytes(json.dumps(said).encode())

    try:
        exercise, cells = _read(Path(path))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, MemoryError) as error:
        tell(exercise=None, fault=f"it is no notebook of the workshop: {type(error).__name__}: {error}"[:SAID])
        return
    judges = {name: FunctionCheck(exercise, name) for name in exercise.functions}
    for name in judges:
        exercise.checks(name)  # loaded before anything of the notebook runs
    own = [block.text for block in exercise.blocks]
    curious = [place for place, source in cells if source not in own and MACHINERY.search(source)]
    tell(
        exercise=exercise.number, fault=f"look at cell {curious[0]}: it uses the workshop's own code" if curious else ""
    )
    names, faults = _run(cells, cell_seconds, lambda place: tell(at=f"in cell {place}"))
    functions = {}
    for name, judge in judges.items():
        tell(at=f"in the check of {name}")
        attempt = Attempt(names.get(name, print), exercise.functions[name])
        fault = (
            judge.unfit([names[name]])
            if name in names
            else f"there is no {name}: its cell is missing, or did not run to its end"
        )
        if not fault:
            judge.judged(attempt)
        functions[name] = {"fault": fault[:SAID], "answers": attempt.told}
    tell(functions=functions, fault=faults[0] if faults else "")


def _read(path: Path) -> tuple[Exercise, list[tuple[int, str]]]:
    """The exercise of a notebook, and its cells of code that have to run, by their places. Raises any error."""
    content = json.loads(path.read_text(encoding="utf-8"))
    cells = []
    for place, cell in enumerate(content["cells"], 1):
        if cell["cell_type"] == "code" and not set(LEFT_OUT) & set(cell.get("metadata", {}).get("tags", [])):
            cells.append((place, "".join(cell["source"])))
    numbers = [int(number) for _, source in cells for number in NUMBER.findall(source)]
    for exercise in exercises():
        if exercise.number in numbers[:1] or (not numbers and exercise.name in path.stem):
            return exercise, cells
    raise ValueError("no cell says EXERCISE = and the number of one")


def _run(cells: list[tuple[int, str]], seconds: float, begin: Any) -> tuple[dict[str, Any], list[str]]:
    """Run cells one after another, whatever becomes of each; the names that they leave, and what went wrong."""

    def ring(number: int, frame: Any) -> None:
        raise TimeUp

    signal.signal(signal.SIGALRM, ring)
    shell, faults = InteractiveShell.instance(config=Traits({"HistoryManager": {"enabled": False}})), []
    for place, source in cells:
        begin(place)
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again and again, for those who catch everything
            ran = shell.run_cell(source, store_history=False, silent=True)
            error = ran.error_in_exec or ran.error_before_exec
        except BaseException as raised:  # noqa: BLE001  whatever it is, the next cell has its turn
            error = raised
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if isinstance(error, TimeUp):
            faults.append(f"cell {place} was stopped after {seconds:g} seconds")
        elif error is not None and not isinstance(error, NotImplementedError):
            faults.append(f"cell {place}: {type(error).__name__}: {str(error)[:SAID]}")
    return dict(shell.user_ns), faults


def _first_fault(judgement: Judgement) -> str:
    """ "yes", or the first thing that is wrong."""
    wrong = [f"{what}: {said}" for what, said in judgement.properties if said != YES]
    return (wrong or [judgement.fault])[0] if not judgement else YES

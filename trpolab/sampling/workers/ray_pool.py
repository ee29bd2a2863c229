"""Work units on Ray: actors that keep a bench, as worker processes on this machine do. `ray` is loaded here alone."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import platform
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import psutil

from trpolab.extras import explained
from trpolab.machine import installed_versions, processor, usable_cores
from trpolab.sampling.errors import Interrupted, WorkerLost
from trpolab.sampling.workers.execution import ADDRESS, LOCAL, Execution
from trpolab.sampling.workers.processes import DEADLINE, GRACE, ONE_THREAD, POLL, Bench, portable
from trpolab.settings import PlainError

QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
OF_A_WORKER: dict[str, Any] = {"max_concurrency": 2, "num_cpus": 1, "runtime_env": {"env_vars": ONE_THREAD}}
STARTS = 3  # of a Ray of our own, each of which has half a minute
ANSWER = 8.0  # seconds that an address has to answer
PATIENT = 2.0  # seconds of waiting for workers that need no word
TOKEN = (
    "what answers has another token, or is no Ray: give the cluster's head, its workers and this program the same "
    "RAY_AUTH_TOKEN (32 or more characters), with RAY_AUTH_MODE=token"
)


class ExecutorError(PlainError):
    """Workers that can't be had, in a sentence."""


def executor_of(given: Execution, tell: Callable[[str], None]) -> RayPool | None:
    """The workers that these settings name; None for this machine's own. `tell` as for `RayPool`."""
    return None if given.executor == LOCAL else RayPool(given, tell)


def about_this_process() -> dict[str, str]:
    """What the bits of a result depend on besides its arguments: versions, and the processor."""
    return {**installed_versions(), "Python": platform.python_version(), "processor": processor()}


class RayPool:
    """Workers on Ray, an actor each, which are started when first used. Not to be used from two threads at a time.

    Arguments that all units share go out once. A unit whose worker is lost with its process or its machine is run again
    by another; so is one that takes over `deadline` seconds. `tell` hears what is awaited, and "" once it is there.
    """

    def __init__(
        self, given: Execution, tell: Callable[[str], None] = lambda sentence: None, deadline: float = DEADLINE
    ):
        self.given, self.tell, self.deadline = given, tell, deadline
        self.events: list[dict[str, Any]] = []  # workers that were replaced; whoever reads empties it
        self.sent = self.received = 0  # bytes
        self._ray: Any = None  # the module, once connected
        self._owns = self._started = False  # the connection, which ends with this pool; the Ray at its other end
        self._actors: list[Any] = []
        self._coming: dict[Any, Any] = {}  # actors that are starting, by the answer that tells of them
        self._had_all = False  # as many as were asked for
        self._calls = self._count = 0  # of actors; 0: not known yet
        self._closed = False

    def map(
        self, unit: Callable[..., Any], rows: Sequence[tuple[Any, ...]], interrupt: Callable[[], bool] = lambda: False
    ) -> list[Any]:
        """[unit(bench, *row, interrupt=...) for each row], as `ProcessPool.map` has it.

        Raises ExecutorError where no workers can be had, or some that would give other bits.
        """
        if self._closed:
            raise RuntimeError("this pool of workers is closed")
        self.connect()
        ray, self._calls = self._ray, self._calls + 1
        columns = list(zip(*rows, strict=True))
        alike = {place for place, column in enumerate(columns) if all(one is column[0] for one in column)}
        shared = ray.put(self._packed((unit, {place: columns[place][0] for place in alike})))
        own = [self._packed({place: part for place, part in enumerate(row) if place not in alike}) for row in rows]
        results: list[Any] = [None] * len(rows)
        waiting, losses, busy = deque(range(len(rows))), [0] * len(rows), dict[Any, tuple[Any, int, float]]()
        try:
            while waiting or busy:
                self._await_workers(interrupt)
                working = [actor for actor, _, _ in busy.values()]
                for actor in [actor for actor in self._actors if actor not in working][: len(waiting)]:
                    index = waiting.popleft()
                    answer = actor.run.remote(self._calls, index, shared, own[index])
                    busy[answer] = actor, index, time.monotonic() + self.deadline
                answered, _ = ray.wait(list(busy), timeout=POLL)
                late = [answer for answer, (_, _, deadline) in busy.items() if time.monotonic() > deadline]
                for answer in dict.fromkeys((*answered, *late)):
                    actor, index, _ = busy[answer]
                    try:
                        packed = ray.get(answer, timeout=0)
                    except ray.exceptions.RayError as error:
                        del busy[answer]
                        waiting.appendleft(index)
                        self._replace(actor, [other for other, _, _ in busy.values()], index, losses, error)
                        continue
                    del busy[answer]
                    self.received += len(packed)
                    raised, results[index] = ray.cloudpickle.loads(packed)
                    if raised is not None:
                        raise raised
                if interrupt():
                    raise Interrupted
        except BaseException:
            self._give_up(busy)
            raise
        return results

    def connect(self) -> None:
        """Find a Ray or start one. Raises ExecutorError."""
        if self._ray is not None and self._ray.is_initialized():
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing calls home
        with explained(f"executor = {self.given.executor!r}"):
            ray: Any = importlib.import_module("ray")
        self._ray = ray
        if not ray.is_initialized():
            found = ADDRESS.fullmatch(self.given.executor)
            self.tell("waiting for Ray to start" if found is None else f"waiting for Ray at {self.given.executor}")
            try:
                if found is None:
                    self._start_one()
                else:
                    socket.create_connection((found["host"], int(found["port"])), ANSWER).close()
                    ray.init(address=self.given.executor, **QUIET)
            except Exception as error:
                words = " ".join(str(error).split())
                refused = type(error) is ConnectionError or "auth" in words.lower()  # a closed port has a subclass
                why = TOKEN if refused else f"{type(error).__name__}: {words[:200]}"
                raise ExecutorError(f"executor = {self.given.executor!r}: no Ray answers there ({why})") from error
            finally:
                self.tell("")
            self._owns = True

    def close(self) -> None:
        """End every worker, and a Ray that was started for them. Never raises, and may be called again."""
        self._closed = True
        with contextlib.suppress(Exception):
            self._drop([*self._actors, *self._coming.values()])
        if self._owns:
            self._owns = False
            with contextlib.suppress(Exception):
                self._ray.shutdown()
            if self._started:
                _end_what_is_left(self._ray)

    def _start_one(self) -> None:
        """A Ray of our own. On a busy machine it gives its parts too little time: then once more."""
        ray, cores = self._ray, self.given.workers or usable_cores()
        for left in reversed(range(STARTS)):
            try:
                ray.init(address="local", num_cpus=cores, include_dashboard=False, **QUIET)
                self._started = True
                return
            except Exception as error:
                ray.shutdown()
                _end_what_is_left(self._ray)
                if not left or "timed out" not in str(error):
                    raise

    def _await_workers(self, interrupt: Callable[[], bool]) -> None:
        """Ask for workers that are missing, and wait: for all of them once, later for one. Raises ExecutorError."""
        ray, count = self._ray, self._count or self.given.workers
        count = self._count = count or max(1, int(ray.cluster_resources().get("CPU", 1)))
        for _ in range(count - len(self._actors) - len(self._coming)):
            actor = ray.remote(**OF_A_WORKER)(RayWorker).remote()
            self._coming[actor.about.remote()] = actor
        needed, began, told = 1 if self._had_all else count, time.monotonic(), ""
        while self._coming:
            asked, patience = list(self._coming), POLL if len(self._actors) < needed else 0
            for answer in ray.wait(asked, num_returns=len(asked), timeout=patience)[0]:
                self._welcome(answer)
            if len(self._actors) >= needed:
                break
            if interrupt():
                self._drop([*self._coming.values(), *(() if self._had_all else self._actors)])
                raise Interrupted
            free = ray.available_resources().get("CPU", 0)
            wanted = f"waiting for {len(self._coming)} of {count} workers; the cluster has {free:g} cores free"
            if time.monotonic() - began > PATIENT and wanted != told:
                self.tell(told := wanted)
        self._had_all = True
        if told:
            self.tell("")

    def _welcome(self, answer: Any) -> None:
        """Take on a worker that has started, unless it differs from this program. Raises ExecutorError."""
        actor = self._coming.pop(answer)
        try:
            other = self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            if self._had_all and self._actors:
                return  # its machine is lost, perhaps; another one is asked for
            raise ExecutorError(f"executor = {self.given.executor!r}: a worker does not start: {error}") from error
        mine = about_this_process()
        unlike = [f"{name} {other.get(name)} there, {mine.get(name)} here"
                  for name in sorted({*mine, *other}) if mine.get(name) != other.get(name)]  # fmt: skip
        if unlike and not self.given.allow_version_mismatch:
            self._drop([actor, *self._coming.values()])
            raise ExecutorError(
                f"executor = {self.given.executor!r}: a worker is not like this program ({'; '.join(unlike)}): the "
                "run's numbers would depend on who samples. allow_version_mismatch = true runs all the same"
            )
        if unlike:
            self.events.append({"event": "worker_differs", "message": f"a worker differs: {'; '.join(unlike)}"})
        self._actors.append(actor)

    def _replace(self, actor: Any, busy: list[Any], index: int, losses: list[int], error: Exception) -> None:
        """Part with a worker that is lost or late, and with idle ones that went with it. Raises WorkerLost."""
        self._drop([actor])
        asked = {other.about.remote(): other for other in self._actors if other not in busy}
        if asked:
            self._ray.wait(list(asked), num_returns=len(asked), timeout=GRACE)
        for answer, other in asked.items():
            try:
                self._ray.get(answer, timeout=0)
            except self._ray.exceptions.RayError:
                self._drop([other])
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        losses[index] += 1
        if losses[index] > 1:
            raise WorkerLost(f"two workers were lost on the same work unit ({index}): {why}")
        self.events.append({"event": "worker_restarted", "unit": index, "message": f"a worker was lost: {why}"})

    def _drop(self, actors: Iterable[Any]) -> None:
        for actor in actors:
            self._actors = [other for other in self._actors if other is not actor]
            self._coming = {answer: other for answer, other in self._coming.items() if other is not actor}
            with contextlib.suppress(Exception):
                self._ray.kill(actor)

    def _give_up(self, busy: dict[Any, tuple[Any, int, float]]) -> None:
        """Tell busy workers to stop; one that does not within the grace is ended."""
        with contextlib.suppress(Exception):
            for actor, _, _ in busy.values():
                actor.give_up.remote(self._calls)
            _, still = self._ray.wait(list(busy), num_returns=max(1, len(busy)), timeout=GRACE)
            self._drop(busy[answer][0] for answer in still)

    def _packed(self, what: Any) -> bytes:
        packed: bytes = self._ray.cloudpickle.dumps(what)
        self.sent += len(packed)
        return packed


def _end_what_is_left(ray: Any) -> None:
    """End parts of a Ray of our own that outlive it: one that failed to start forgets those that it had started."""
    left = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(word.startswith((os.path.dirname(ray.__file__), "ray::")) for word in child.cmdline()):
                left.append(child)
    for child in left:
        with contextlib.suppress(psutil.Error):
            child.kill()
    psutil.wait_procs(left, timeout=GRACE)


class RayWorker:
    """What runs in an actor: one unit at a time, and beside it `give_up`."""

    def __init__(self) -> None:
        self._bench, self._given_up = Bench(), 0
        self._lock = threading.Lock()

    def about(self) -> dict[str, str]:
        """Versions and processor."""
        return about_this_process()

    def give_up(self, call: int) -> None:
        """Units of this call and of those before it are no longer wanted."""
        self._given_up = max(self._given_up, call)

    def run(self, call: int, index: int, shared: bytes, own: bytes) -> bytes:
        """(what it raised, its result), packed: arrays that are unpacked can be written to, those of Ray can't."""
        from ray import cloudpickle

        try:
            with self._lock:
                unit, parts = cloudpickle.loads(shared)
                parts |= cloudpickle.loads(own)
                row = [parts[place] for place in range(len(parts))]
                done: Any = None, unit(self._bench, *row, interrupt=lambda: self._given_up >= call)
        except Exception as error:  # noqa: BLE001 - told to the driver, which raises it
            done = portable(error, index), None
        return bytes(cloudpickle.dumps(done))

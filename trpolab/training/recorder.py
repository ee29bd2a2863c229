"""What a session writes to its run folder. While the disk refuses, the run waits and says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from trpolab.numerics.device import CPU, device_name
from trpolab.runs.reader import RunFolderError, RunFolderUnwritable
from trpolab.runs.writer import RunFolder, label_problem
from trpolab.sampling.errors import Interrupted
from trpolab.settings import ConfigError
from trpolab.simulators.base import VERDICT, Task
from trpolab.training import checkpoint
from trpolab.training.checkpoint import CheckpointError, Saved
from trpolab.training.config import Config
from trpolab.training.controls import Controls
from trpolab.training.registration import modules_of
from trpolab.training.state import TrainState

UNWRITTEN = "the run folder can't be written"
RETRY_SECONDS = 2.0  # between two tries to write to a folder that refuses


class RunRecorder:
    """The run folder of one session, over its stops and resumptions; with `out=None` and no `saved`, only events.

    Where the folder can't be written, each method waits until it can; if the run is told to stop meanwhile, it raises
    Interrupted. `tell` is called with each new sentence of `trouble`, and with what `announce` puts on record.
    """

    def __init__(
        self,
        task: Task,
        controls: Controls,
        out: str | Path | None,
        label: str = "",
        name: str = "",
        saved: Saved | None = None,
        parent: dict[str, Any] | None = None,
    ):
        if problem := label_problem(label):
            raise ConfigError([problem])
        self.events: list[dict[str, Any]] = []
        self.trouble = ""
        self.device = CPU  # what ran the last update, by its name
        self.tell: Callable[[str], None] = lambda sentence: None
        self._task, self._controls, self._out, self._called = task, controls, out, (label, name)
        self._saved, self._parent = saved, parent
        self.found: list[tuple[str, str]] = []  # events of a resumption with their messages, told when it is opened
        self.path = saved.folder if saved is not None else None  # the run folder, once there is one
        self._folder: RunFolder | None = None
        self._kept = saved.train_state if saved is not None else None  # what the newest checkpoint holds
        self._patient = True

    def open(self, config: Config, iteration: int) -> None:
        """Make the folder, or go on writing to it. Raises RunLocked and other RunFolderErrors."""
        before = self._folder
        try:
            if before is not None:
                self._open_again(before.path, before.segment, iteration)
                self.event("resumed", iteration=iteration)
            elif self._saved is not None:
                self._open_again(self._saved.folder, self._saved.segment, iteration)
                self._tell_of(self._saved)
            elif self._out is not None:
                verdict = {} if self._task.can_restore else {VERDICT: self._task.restore_reason}
                made_of = {**self._task.fingerprint, **verdict} if self._task.fingerprint else {}
                needed: dict[str, Any] = {"modules": modules_of(config), "environment": made_of, "parent": self._parent}
                if functions := self._controls.functions:
                    needed["functions"] = functions
                name, settings = self._task.name, config.settings()
                self._folder = RunFolder.create(self._out, name, settings, *self._called, **needed)
                self.path = self._folder.path
        except BaseException as error:
            if self._folder is not None and self._folder is not before:
                self._folder.close()
            self._folder = before
            if isinstance(error, Interrupted):
                raise RunFolderError(self.trouble) from error
            if isinstance(error, OSError):
                done = "written" if self.path else "made"
                raise RunFolderUnwritable(f"the run folder can't be {done}: {error}") from error
            raise

    def event(self, kind: str, **about: Any) -> None:
        """Put an event on record."""
        if self._folder is None:
            self.events.append({"event": kind, **about})
        self._insist(lambda folder: self.events.append(folder.event(kind, **about)))

    def announce(self, kind: str, message: str, **about: Any) -> None:
        """Put an event on record, and tell it."""
        self.event(kind, message=message, **about)
        self.tell(f"{kind.replace('_', ' ')}: {message}")

    def replays(self, iteration: int, sentence: str) -> None:
        """Say which episodes are replayed; the run waits for it."""
        self.announce("replaying", f"{sentence}; a stop ends it", iteration=iteration)
        self.trouble = f"replaying {sentence}; Stop ends it"

    def update_runs_on(self, setting: str, iteration: int) -> None:
        """Put on record what runs the update from this iteration on, if that is not what ran the last one."""
        before, self.device = self.device, device_name(setting)
        about = {"iteration": iteration, "device": self.device}
        if self.device != before and iteration == 1:
            self.event("device", **about)
        elif self.device != before:
            said = f"from iteration {iteration} on the update runs on {self.device}, no longer on {before}"
            self.announce("device", f"{said}: bits may differ from here on", **about)

    def metrics(self, record: dict[str, Any]) -> None:
        """Put an iteration on record."""
        self._insist(lambda folder: folder.metrics(record))

    def take_over(self, rows: Iterable[dict[str, Any]], train_state: TrainState) -> None:
        """Go on from this state. A run that was rewound puts on record its parent's iterations and the checkpoint."""
        self.device, parent, self._parent = train_state.device, self._parent, None
        if parent is not None:
            self.event("rewound", parent=parent["run"], iteration=parent["iteration"])
            for kind, message in self.found:
                self.announce(kind, message)
            for row in rows:
                self.metrics({name: value for name, value in row.items() if name != "segment"})
            if train_state.progress.iteration:
                self.checkpoint(train_state)

    def policy(self, train_state: TrainState, always: bool = False) -> None:
        """Keep the policy; unless `always`, only while the policies of all iterations stay small together."""
        progress = train_state.progress
        about = (progress.learner.policy, progress.iteration, progress.score, self._task.name, always)
        self._insist(lambda folder: folder.keep_policy(*about))

    def checkpoint(self, train_state: TrainState) -> None:
        """Write a checkpoint and keep the policy, unless the newest checkpoint is just this."""
        if train_state is not self._kept:
            self.policy(train_state, always=True)
            requested = self._controls.requested
            self._insist(lambda folder: checkpoint.write(folder, self._task.name, train_state, requested))
            self._kept = train_state

    def status(self, state: str, iteration: int, message: str = "") -> None:
        """Say how it goes."""
        self._insist(lambda folder: folder.status(state, iteration, message))

    def last_good(self) -> str:
        """The newest checkpoint in words, for a run that went wrong since."""
        name = checkpoint.newest(self._folder.path) if self._folder is not None else None
        return f"the last good checkpoint is {name}" if name else "there is no checkpoint before"

    def finish(self, state: str, message: str, train_state: TrainState) -> None:
        """Write where the run stands, and close the folder. If it can't be written now, that becomes the `trouble`."""
        iteration, self._patient = train_state.progress.iteration, not message
        try:
            if message:
                self.event(state, iteration=iteration, message=message)
            if iteration and state != "diverged":
                self.checkpoint(train_state)
            self.status(state, iteration, message)
        except Interrupted:
            self.wait_for(f"{UNWRITTEN}: the run's last state is not in it; {self.last_good()}")
        finally:
            self._patient = True
            if self._folder is not None:
                self._folder.close()

    def _open_again(self, path: Path, segment: int, iteration: int) -> None:
        """Raises CheckpointError if another process has written to the folder since this session knew it."""
        self._folder = RunFolder(path, segment + 1)
        if checkpoint.last_segment(path) > segment:
            raise CheckpointError(
                f"{str(path)!r} has gone on since this session was at its iteration {iteration}; "
                "resume it from the folder"
            )

    def _tell_of(self, saved: Saved) -> None:
        """Put on record what was found in the folder, and which settings are other ones now."""
        assert self._folder is not None
        found = self._folder.found
        if found.state == "crashed":
            self.announce("taken_over", found.message, iteration=found.iteration)
        for reason in saved.passed_over:
            self.announce("checkpoint_passed_over", reason)
        for kind, message in self.found:
            self.announce(kind, message)
        before, now = saved.config.settings(), self._controls.requested.settings()
        given = {name: value for name, value in now.items() if value != before[name]}
        self.event("resumed", iteration=saved.iteration, settings=given)

    def _insist(self, write: Callable[[RunFolder], Any]) -> None:
        """Write to the folder, if there is one; where the disk refuses, say so, wait and try again."""
        while self._folder is not None:
            try:
                write(self._folder)
            except OSError as error:
                why = error.strerror or error
                self.wait_for(f"{UNWRITTEN} ({why}); the run waits until it can")
                if self._controls.stopping or not self._patient:
                    raise Interrupted(self.trouble) from error
                self._controls.wait(RETRY_SECONDS)
            else:
                self.wait_for("")
                return

    def wait_for(self, sentence: str) -> None:
        """Say, once, what the run waits for; "" where it no longer does."""
        if sentence != self.trouble:
            self.trouble, before = sentence, self.trouble
            self.tell(sentence or ("the run folder can be written again" if UNWRITTEN in before else "it goes on"))

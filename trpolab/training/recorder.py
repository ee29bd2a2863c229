"""What a session keeps on disk, and what happens when the disk refuses: the run waits, and says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from trpolab.runs.reader import RunFolderError
from trpolab.runs.writer import RunFolder, label_problem
from trpolab.sampling.workers.simulator_pool import Interrupted
from trpolab.settings import ConfigError
from trpolab.training import checkpoint
from trpolab.training.checkpoint import CheckpointError, Saved
from trpolab.training.config import Config
from trpolab.training.controls import Controls
from trpolab.training.registration import modules_of
from trpolab.training.state import TrainState

RETRY_SECONDS = 2.0  # between two tries to write to a folder that refuses


class RunRecorder:
    """The run folder of one session, over its stops and resumptions; with `out=None` and no `saved`, only events."""

    def __init__(
        self,
        task: str,
        controls: Controls,
        out: str | Path | None,
        label: str = "",
        saved: Saved | None = None,
    ):
        if problem := label_problem(label):
            raise ConfigError([problem])
        self.events: list[dict[str, Any]] = []
        self.trouble = ""
        self.tell: Callable[[str], None] | None = None
        self._task, self._controls, self._out, self._label = task, controls, out, label
        self._saved = saved
        self._folder: RunFolder | None = None
        self._kept = saved.train_state if saved is not None else None  # what the newest checkpoint holds
        self._patient = True

    @property
    def path(self) -> Path | None:
        """The run folder, once there is one."""
        if self._folder is not None:
            return self._folder.path
        return self._saved.folder if self._saved is not None else None

    def open(self, config: Config, iteration: int) -> None:
        """Make the folder, or go on writing to it. Raises RunLocked and other RunFolderErrors, and OSError."""
        before = self._folder
        try:
            if before is not None:
                self._folder = RunFolder(before.path, before.segment + 1)
                self._refuse_if_gone_on(before.segment, iteration)
                self.event("resumed", iteration=iteration)
            elif self._saved is not None:
                self._take_over(self._saved)
            elif self._out is not None:
                self._folder = RunFolder.create(
                    self._out, self._task, config.settings(), self._label, modules_of(config)
                )
        except BaseException as error:
            if self._folder is not None and self._folder is not before:
                self._folder.close()
            self._folder = before
            if isinstance(error, Interrupted):
                raise RunFolderError(self.trouble) from error
            raise

    def event(self, kind: str, **about: Any) -> None:
        """Put an event on record. Raises Interrupted if told to stop while the folder can't be written."""
        folder = self._folder
        if folder is None:
            self.events.append({"event": kind, **about})
        else:
            self._insist(lambda: self.events.append(folder.event(kind, **about)))

    def metrics(self, record: dict[str, Any]) -> None:
        """Put an iteration on record. Raises Interrupted if told to stop while the folder can't be written."""
        if (folder := self._folder) is not None:
            self._insist(lambda: folder.metrics(record))

    def policy(self, train_state: TrainState, always: bool) -> None:
        """Keep the policy. Raises Interrupted as above."""
        if self._folder is not None:
            self._insist(lambda: self._write_policy(train_state, always))

    def checkpoint(self, train_state: TrainState) -> None:
        """Write a checkpoint, unless the newest one is just this. Raises Interrupted as above."""
        if self._folder is not None and train_state is not self._kept:
            self._insist(lambda: self._write_checkpoint(train_state))

    def status(self, state: str, iteration: int, message: str = "") -> None:
        """Say how it goes. Raises Interrupted as above."""
        if (folder := self._folder) is not None:
            self._insist(lambda: folder.status(state, iteration, message))

    def last_good(self) -> str:
        """The newest checkpoint in words, for a run that went wrong since."""
        name = checkpoint.newest(self._folder.path) if self._folder is not None else None
        return f"the last good checkpoint is {name}" if name else "there is no checkpoint before"

    def finish(self, state: str, message: str, train_state: TrainState) -> None:
        """Write where the run stands, and let go of the folder. A folder that refuses now is told of, and left."""
        iteration, self._patient = train_state.progress.iteration, not message
        try:
            if message:
                self.event(state, iteration=iteration, message=message)
            if iteration and state != "diverged":
                self.checkpoint(train_state)
            self.status(state, iteration, message)
        except Interrupted:
            self._complain(f"the run folder can't be written: the run's last state is not in it; {self.last_good()}")
        finally:
            self._patient = True
            if self._folder is not None:
                self._folder.close()

    def _take_over(self, saved: Saved) -> None:
        self._folder = folder = RunFolder(saved.folder, saved.segment + 1)
        self._refuse_if_gone_on(saved.segment, saved.iteration)
        if folder.found.state == "crashed":
            self.event("taken_over", iteration=folder.found.iteration, message=folder.found.message)
        for reason in saved.passed_over:
            self.event("checkpoint_passed_over", message=reason)
        before = saved.config.settings()
        given = {name: value for name, value in self._controls.requested.settings().items() if value != before[name]}
        self.event("resumed", iteration=saved.iteration, settings=given)

    def _refuse_if_gone_on(self, segment: int, iteration: int) -> None:
        """Raise CheckpointError if another process has written to the folder since this session knew it."""
        assert self._folder is not None
        if checkpoint.last_segment(self._folder.path) > segment:
            raise CheckpointError(
                f"{str(self._folder.path)!r} has gone on since this session was at its iteration {iteration}; "
                "resume it from the folder"
            )

    def _write_policy(self, train_state: TrainState, always: bool) -> None:
        assert self._folder is not None
        progress = train_state.progress
        self._folder.keep_policy(progress.learner.policy, progress.iteration, progress.score, self._task, always)

    def _write_checkpoint(self, train_state: TrainState) -> None:
        assert self._folder is not None
        self._write_policy(train_state, always=True)
        checkpoint.write(self._folder, self._task, train_state, self._controls.requested)
        self._kept = train_state

    def _insist(self, write: Callable[[], Any]) -> None:
        """Write; where the disk refuses, say so, wait and try again. Raises Interrupted if told to stop meanwhile."""
        while True:
            try:
                write()
            except OSError as error:
                self._complain(
                    f"the run folder can't be written ({error.strerror or error}); the run waits until it can"
                )
                if self._controls.stopping or not self._patient:
                    raise Interrupted(self.trouble) from error
                self._controls.wait(RETRY_SECONDS)
            else:
                if self.trouble:
                    self._complain("")
                return

    def _complain(self, sentence: str) -> None:
        """Say what is wrong, once; "" where it no longer is."""
        if sentence == self.trouble:
            return
        self.trouble = sentence
        if self.tell is not None:
            self.tell(sentence or "the run folder can be written again")

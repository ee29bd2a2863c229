"""Protections taken out, one at a time: each check that nothing is lost must then turn red."""

from __future__ import annotations

import contextlib
import html
import itertools
import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reliability import test_disk, test_hostile, test_kill, test_long, test_steady, test_stop, test_writers
from tests.reliability.runs import changed, killed_and_resumed, session
from trpolab.runs import disk
from trpolab.runs import writer as run_writer
from trpolab.runs.disk import LineFile, strict_json
from trpolab.runs.reader import RunFolderError
from trpolab.sampling.streams import Streams
from trpolab.settings import ConfigError
from trpolab.simulators.gym_adapter import adapter as gymnasium_adapter
from trpolab.training import checkpoint, loop
from trpolab.training import recorder as recorder
from trpolab.training import session as session_module
from trpolab.training.controls import Controls
from trpolab.training.samplers import Samplers

RED = (AssertionError, pytest.fail.Exception, RunFolderError)  # what a check raises that does not hold


@pytest.mark.reliability("R1")
def test_a_checkpoint_written_in_place(tmp_path: Path) -> None:
    folders = test_kill.killed_while_writing(test_kill.four_iterations(tmp_path), planted=True)
    lost = 0
    for folder in folders:
        with contextlib.suppress(*RED):
            test_kill.survived(folder)
            continue
        lost += 1
    assert lost > 5


@pytest.mark.reliability("R2")
@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (Samplers, "take_up", lambda self, episodes: ""),  # episodes that begin anew
        (checkpoint, "_value", lambda *given: None),  # a value function left behind
        (checkpoint, "deque", lambda items, maxlen: deque(maxlen=maxlen)),  # counters that start anew
    ],
    ids=["episodes", "value function", "counters"],
)
def test_something_forgotten_in_a_checkpoint(owner: Any, name: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(RED):
        killed_and_resumed(tmp_path, "cart-pole", lambda: changed(owner, name, value))


@pytest.mark.reliability("R3")
def test_a_manifest_that_nobody_looks_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = test_kill.four_iterations(tmp_path / "a"), test_kill.four_iterations(tmp_path / "b")
    monkeypatch.setattr(checkpoint, "_verify", lambda entry: None)
    with pytest.raises(RED):
        test_kill.passes_over(pair, tmp_path, "train.safetensors", "flipped")


@pytest.mark.reliability("R4")
def test_half_a_line_left_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def append(self: LineFile, record: dict[str, Any]) -> None:
        os.write(self._file, (strict_json(record) + "\n").encode())

    monkeypatch.setattr(LineFile, "append", append)
    with pytest.raises(RED):
        test_disk.waits_and_goes_on("disk full in mid-write", tmp_path, monkeypatch)


@pytest.mark.reliability("R4")
def test_a_full_disk_that_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder.RunRecorder, "_insist", lambda self, write: write())
    monkeypatch.setattr(test_disk, "until", lambda true: None)
    with pytest.raises((*RED, OSError)):
        test_disk.waits_and_goes_on("disk full", tmp_path, monkeypatch)


@pytest.mark.reliability("R5")
def test_a_stop_that_nobody_heeds_between_phases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_heed", lambda controls: None)
    with pytest.raises(RED):
        test_stop.stops("value fit", 2, tmp_path, monkeypatch)


@pytest.mark.reliability("R5")
def test_a_standing_that_moves_on_with_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulators are not snapshot before an iteration, so one that is given up leaves them in its midst."""
    monkeypatch.setattr(Samplers, "take_up", lambda self, episodes: "")
    with pytest.raises(RED):
        test_stop.stops("rollout", 2, tmp_path, monkeypatch)


@pytest.mark.reliability("R6")
def test_a_second_stop_that_is_like_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Controls) -> None:
        self._stopping = True

    monkeypatch.setattr(Controls, "stop", stop)
    with pytest.raises(RED):
        test_stop.stops("rollout", 2, tmp_path, monkeypatch)


@pytest.mark.reliability("R8")
def test_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_writer, "_take_lock", lambda path: os.open(path / "lock", os.O_RDWR))
    with pytest.raises(RED):
        test_writers.refuses_a_second_writer(tmp_path)


@pytest.mark.reliability("R9")
def test_settings_that_are_changed_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(self: Controls, **changes: Any) -> Any:
        for name, value in changes.items():
            self._requested = self._requested.replace(**{name: value})
            time.sleep(0.0005)
        return self._requested

    monkeypatch.setattr(Controls, "replace", replace)
    with pytest.raises(RED):
        test_steady.one_configuration_an_iteration(tmp_path, changes=200)


@pytest.mark.reliability("R22")
def test_an_error_without_its_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gymnasium_adapter, "_naming", lambda slot: contextlib.nullcontext())
    with pytest.raises(RED):
        test_steady.tells_of_an_environment_that_raises(tmp_path)


@pytest.mark.reliability("R24")
def test_streams_that_depend_on_who_asks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = itertools.count()
    monkeypatch.setattr(Streams, "generator", lambda self, *key: np.random.default_rng([self.seed, next(asked)]))
    with pytest.raises(RED):
        test_steady.repeats("cart-pole")


@pytest.mark.reliability("R25")
def test_streams_from_the_global_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    def generator(self: Streams, *key: Any) -> np.random.Generator:
        return np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002

    monkeypatch.setattr(Streams, "generator", generator)
    with pytest.raises(RED):
        test_steady.ignores_the_global_generators()


@pytest.mark.reliability("R27")
def test_labels_that_nobody_checks(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "label_problem", lambda label: None)
    with pytest.raises(RED):
        test_hostile.label_is_harmless("terminal", scratch)


@pytest.mark.reliability("R27")
def test_html_that_is_not_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "escape", lambda text, quote=True: text)
    with pytest.raises(RED):
        test_hostile.shown_as_text()


@pytest.mark.reliability("R28")
def test_one_problem_at_a_time(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = session_module.resolve

    def first_only(*given: Any, **named: Any) -> Any:
        try:
            return honest(*given, **named)
        except ConfigError as error:
            raise ConfigError(list(error.problems[:1])) from None

    monkeypatch.setattr(session_module, "resolve", first_only)
    with pytest.raises(RED):
        test_hostile.refuses_settings("many at once", scratch)


@pytest.mark.reliability("R29")
def test_lines_written_behind_a_torn_one(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = session(out=scratch, iterations=3).run().path
    assert folder is not None
    monkeypatch.setattr(disk, "_end_of_lines", lambda descriptor: os.fstat(descriptor).st_size)
    with pytest.raises(RED):
        test_hostile.ignores_a_torn_tail(folder)


@pytest.mark.reliability("R30")
def test_a_leak_of_every_iteration(tmp_path: Path) -> None:
    with pytest.raises(RED):
        test_long.stays_flat(tmp_path, 300, 100, most=8.0, leak=True)


@pytest.mark.reliability("R31")
def test_runs_that_are_never_closed(tmp_path: Path) -> None:
    with pytest.raises(RED):
        test_long.gives_back(tmp_path, 14, leak=True)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path

"""Protections taken out, one at a time: each check that nothing is lost must then turn red."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.points import plant
from tests.reliability import test_disk, test_hostile, test_kill, test_long, test_steady, test_stop
from trpolab.runs.reader import RunFolderError

RED = (AssertionError, pytest.fail.Exception, RunFolderError)  # what a check raises that does not hold


@pytest.mark.reliability("R1")
def test_a_checkpoint_written_in_place(tmp_path: Path) -> None:
    folders = test_kill.killed_while_writing(test_kill.four_iterations(tmp_path), "a checkpoint written in place")
    lost = 0
    for folder in folders:
        with contextlib.suppress(*RED):
            test_kill.survived(folder)
            continue
        lost += 1
    assert lost > 5


@pytest.mark.reliability("R4")
def test_half_a_line_left_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("half a line left where it is", monkeypatch)
    with pytest.raises(RED):
        test_disk.waits_and_goes_on("disk full in mid-write", tmp_path, monkeypatch)


@pytest.mark.reliability("R4")
def test_a_full_disk_that_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("a full disk that ends the run", monkeypatch)
    monkeypatch.setattr(test_disk, "until", lambda true: None)
    with pytest.raises((*RED, OSError)):
        test_disk.waits_and_goes_on("disk full", tmp_path, monkeypatch)


@pytest.mark.reliability("R5")
def test_a_stop_that_nobody_heeds_between_phases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("a stop that nobody heeds between phases", monkeypatch)
    with pytest.raises(RED):
        test_stop.stops("value fit", 2, tmp_path, monkeypatch)


@pytest.mark.reliability("R5")
def test_a_standing_that_moves_on_with_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulators are not snapshot before an iteration, so one that is given up leaves them in its midst."""
    plant("episodes that begin anew", monkeypatch)
    with pytest.raises(RED):
        test_stop.stops("rollout", 2, tmp_path, monkeypatch)


@pytest.mark.reliability("R6")
def test_a_second_stop_that_is_like_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("a second stop that is like the first", monkeypatch)
    with pytest.raises(RED):
        test_stop.stops("rollout", 2, tmp_path, monkeypatch)


@pytest.mark.reliability("R9")
def test_settings_that_are_changed_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("settings that are changed one by one", monkeypatch)
    with pytest.raises(RED):
        test_steady.one_configuration_an_iteration(tmp_path, changes=200)


@pytest.mark.reliability("R22")
def test_an_error_without_its_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("an environment's error without its slot", monkeypatch)
    with pytest.raises(RED):
        test_steady.tells_of_an_environment_that_raises(tmp_path)


@pytest.mark.reliability("R25")
def test_streams_from_the_global_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    plant("streams from the global generator", monkeypatch)
    with pytest.raises(RED):
        test_steady.ignores_the_global_generators()


@pytest.mark.reliability("R27")
def test_labels_that_nobody_checks(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("labels that nobody checks", monkeypatch)
    with pytest.raises(RED):
        test_hostile.label_is_harmless("terminal", scratch)


@pytest.mark.reliability("R27")
def test_html_that_is_not_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    plant("HTML that is not escaped", monkeypatch)
    with pytest.raises(RED):
        test_hostile.shown_as_text()


@pytest.mark.reliability("R28")
def test_one_problem_at_a_time(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("one problem at a time", monkeypatch)
    with pytest.raises(RED):
        test_hostile.refuses_settings("many at once", scratch)


@pytest.mark.reliability("R30")
def test_a_leak_of_every_iteration(tmp_path: Path) -> None:
    with pytest.raises(RED):
        test_long.stays_flat(tmp_path, 300, 100, most=8.0, fault="a leak of every iteration")


@pytest.mark.reliability("R31")
def test_runs_that_are_never_closed(tmp_path: Path) -> None:
    with pytest.raises(RED):
        test_long.gives_back(tmp_path, 14, leak=True)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path

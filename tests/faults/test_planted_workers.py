"""Protections of worker processes taken out, one at a time: the checks that pass with them must then fail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.points import DEAF_WORKERS, plant, replace
from tests.sampling.workers import checks
from tests.sampling.workers.test_simulator_pool import goes_on_the_same
from tests.simulators.atari.test_atari_simulator import refuses_the_vine_when_sticky, test_restores_are_exact
from trpolab.sampling.errors import Interrupted, WorkerLost
from trpolab.sampling.workers.processes import ProcessPool, _Worker

Patch = pytest.MonkeyPatch
RED = (AssertionError, pytest.fail.Exception)  # what a check raises that does not hold
exact = test_restores_are_exact
exact.__test__ = False  # type: ignore[attr-defined] - it is not to be collected here, too


@pytest.fixture
def pool() -> Iterator[ProcessPool]:
    with contextlib.closing(ProcessPool(2)) as pool:
        yield pool


@pytest.fixture
def abandoned() -> Iterator[list[_Worker]]:
    """Workers that a fault does not end: they are ended after the test."""
    workers, honest = list[_Worker](), _Worker.end
    yield workers
    for worker in workers:
        honest(worker)
        assert not checks.alive(worker.process.pid)


@pytest.mark.reliability("R19")
@pytest.mark.parametrize(
    "fault",
    [
        "sticky games described as exact",
        "sticky games that give snapshots",
        "a vine that nobody refuses",
        "games that go on across batches",
    ],
)
def test_sticky_actions_that_are_let_through(fault: str, monkeypatch: Patch) -> None:
    refuses_the_vine_when_sticky()
    plant(fault, monkeypatch)
    with pytest.raises(RED):
        refuses_the_vine_when_sticky()


@pytest.mark.reliability("R19")
def test_an_emulator_left_as_sticky_as_it_comes(monkeypatch: Patch) -> None:
    exact("ALE/Pong-v5")
    plant("an emulator left as sticky as it comes", monkeypatch)
    with pytest.raises(RED):
        exact("ALE/Pong-v5")


@pytest.mark.reliability("R20")
def test_a_unit_that_is_not_run_again(pool: ProcessPool, tmp_path: Path, monkeypatch: Patch) -> None:
    checks.makes_a_death_good(pool, fresh(tmp_path / "green"))
    plant("a work unit that is not run again", monkeypatch)
    with pytest.raises((*RED, WorkerLost)):
        checks.makes_a_death_good(pool, fresh(tmp_path / "red"))


@pytest.mark.reliability("R20")
def test_a_unit_that_is_run_again_and_again(pool: ProcessPool, tmp_path: Path, monkeypatch: Patch) -> None:
    checks.gives_a_unit_up(pool, fresh(tmp_path / "green"))
    plant("a work unit that is run again and again", monkeypatch)
    with pytest.raises(RED):
        checks.gives_a_unit_up(pool, fresh(tmp_path / "red"))


@pytest.mark.reliability("R20")
def test_a_game_that_goes_on_from_what_its_worker_remembers(tmp_path: Path) -> None:
    """As long as the worker lives nobody would notice."""
    marker = tmp_path / "died"
    marker.touch()
    goes_on_the_same(marker, forgets=True)
    marker.unlink()
    with pytest.raises(RED):
        goes_on_the_same(marker, forgets=True)


@pytest.mark.reliability("R21")
def test_a_deadline_that_nobody_looks_at(tmp_path: Path, monkeypatch: Patch) -> None:
    checks.answers_in_spite_of_a_hang(fresh(tmp_path / "green"))
    plant("a deadline that nobody looks at", monkeypatch)
    with pytest.raises(Interrupted):
        checks.answers_in_spite_of_a_hang(fresh(tmp_path / "red"), patience=2.0)


@pytest.mark.reliability("R21")
def test_a_late_worker_that_is_left_alone(tmp_path: Path, abandoned: list[_Worker], monkeypatch: Patch) -> None:
    replace("workers: end", lambda end: lambda self: abandoned.append(self), monkeypatch)
    monkeypatch.setattr(checks, "SOON", 1.0)
    with pytest.raises(RED):
        checks.answers_in_spite_of_a_hang(tmp_path)


@pytest.mark.reliability("R23")
def test_workers_that_do_not_listen_for_their_parents_end(checkout: Path) -> None:
    checks.workers_go_with_their_parent(checkout)
    with pytest.raises(RED):
        checks.workers_go_with_their_parent(checkout, DEAF_WORKERS + checks.PARENT)


def fresh(folder: Path) -> Path:
    """An empty folder."""
    folder.mkdir()
    return folder

"""Protections of worker processes taken out, one at a time: the checks that pass with them must then fail."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sampling import worker_checks as checks
from tests.sampling.test_atari import goes_on_the_same
from tests.simulators.test_atari import refuses_the_vine_when_sticky, test_restores_are_exact
from trpolab.sampling.errors import Interrupted, WorkerLost
from trpolab.sampling.workers import processes
from trpolab.sampling.workers.processes import ProcessPool, _Worker
from trpolab.simulators.atari import atari_simulator as atari
from trpolab.simulators.atari import games as atari_games
from trpolab.simulators.atari.atari_simulator import AtariSimulator
from trpolab.training import config

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
    """ThreadTeam that a fault does not end: they are, after the test."""
    workers, honest = list[_Worker](), _Worker.end
    yield workers
    for worker in workers:
        honest(worker)
        assert not checks.alive(worker.process.pid)


def described_as_exact(patch: Patch) -> None:
    honest = atari_games.describe

    def describe(game: atari_games.AtariGame) -> Any:
        return dataclasses.replace(honest(game), can_restore=True)

    for module in (atari, atari_games):
        patch.setattr(module, "describe", describe)


STICKY: dict[str, Callable[[Patch], None]] = {
    "described as exact": described_as_exact,
    "snapshots all the same": lambda patch: patch.setattr(AtariSimulator, "_demand_restore", lambda self: None),
    "a vine that nobody refuses": lambda patch: patch.setattr(config, "vine_problems", lambda *given: []),
    "games that go on": lambda patch: patch.setattr(config, "pixel_problems", lambda *given: []),
}


@pytest.mark.reliability("R19")
@pytest.mark.parametrize("plant", STICKY.values(), ids=STICKY)
def test_sticky_actions_that_are_let_through(plant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    refuses_the_vine_when_sticky()
    plant(monkeypatch)
    with pytest.raises(RED):
        refuses_the_vine_when_sticky()


@pytest.mark.reliability("R19")
def test_an_emulator_left_as_sticky_as_it_comes(monkeypatch: Patch) -> None:
    exact("ALE/Pong-v5")
    honest = atari.open_emulator
    monkeypatch.setattr(atari, "open_emulator", lambda rom, sticky, seed=0: honest(rom, 0.25, seed))
    with pytest.raises(RED):
        exact("ALE/Pong-v5")


def counts_from(losses: int) -> Callable[..., None]:
    """Every loss is taken for the one after so many."""
    honest = ProcessPool._replace
    return lambda self, worker, waiting, counts: honest(self, worker, waiting, [losses] * len(counts))


@pytest.mark.reliability("R20")
def test_a_unit_that_is_not_run_again(pool: ProcessPool, tmp_path: Path, monkeypatch: Patch) -> None:
    checks.makes_a_death_good(pool, fresh(tmp_path / "green"))
    monkeypatch.setattr(ProcessPool, "_replace", counts_from(1))
    with pytest.raises((*RED, WorkerLost)):
        checks.makes_a_death_good(pool, fresh(tmp_path / "red"))


@pytest.mark.reliability("R20")
def test_a_unit_that_is_run_again_and_again(pool: ProcessPool, tmp_path: Path, monkeypatch: Patch) -> None:
    checks.gives_a_unit_up(pool, fresh(tmp_path / "green"))
    monkeypatch.setattr(ProcessPool, "_replace", counts_from(0))
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
    spoke = ProcessPool._ready

    def unhurried(self: ProcessPool) -> list[_Worker]:
        return [worker for worker in spoke(self) if worker.connection.poll()]

    monkeypatch.setattr(ProcessPool, "_ready", unhurried)
    monkeypatch.setattr(processes, "GRACE", 0.5)
    with pytest.raises(Interrupted):
        checks.answers_in_spite_of_a_hang(fresh(tmp_path / "red"), patience=2.0)


@pytest.mark.reliability("R21")
def test_a_late_worker_that_is_left_alone(tmp_path: Path, abandoned: list[_Worker], monkeypatch: Patch) -> None:
    monkeypatch.setattr(_Worker, "end", lambda self: abandoned.append(self))
    monkeypatch.setattr(checks, "SOON", 1.0)
    with pytest.raises(RED):
        checks.answers_in_spite_of_a_hang(tmp_path)


@pytest.mark.reliability("R23")
def test_workers_that_do_not_listen_for_their_parents_end(checkout: Path) -> None:
    deaf = """
from trpolab.sampling.workers import processes
processes.BOOT = "from trpolab.sampling import processes; processes._end_with_parent = print; " + processes.BOOT
"""
    checks.workers_go_with_their_parent(checkout)
    with pytest.raises(RED):
        checks.workers_go_with_their_parent(checkout, deaf + checks.PARENT)


def fresh(folder: Path) -> Path:
    """An empty folder."""
    folder.mkdir()
    return folder

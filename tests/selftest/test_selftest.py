"""The self-test: every check passes here, says so, and turns red once what it checks is broken."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from trpolab.cli import main
from trpolab.cli import selftest as command
from trpolab.policies import serialization as files
from trpolab.runs import archive
from trpolab.selftest import CHECKS, run, runs
from trpolab.selftest.rows import ROWS
from trpolab.simulators.cartpole import CartPoleSimulator
from trpolab.simulators.mujoco.mujoco_simulator import MujocoSimulator
from trpolab.training import checkpoint, loop
from trpolab.updates import problem

Patch = pytest.MonkeyPatch
EACH = [pytest.param(row, marks=pytest.mark.reliability(row)) for row in CHECKS]


@pytest.mark.parametrize("row", EACH)
def test_every_check_passes(row: str, monkeypatch: Patch) -> None:
    monkeypatch.setattr(runs, "KILLS", 1)
    (verdict,) = run({row: CHECKS[row]})
    assert verdict.passed, verdict.detail
    assert verdict.detail and verdict.name.endswith(".") and row in ROWS


def test_what_a_check_raises_is_its_verdict_and_the_next_one_runs() -> None:
    def broken(folder: Path) -> str:
        """Breaks."""
        (folder / "left").mkdir()
        raise ZeroDivisionError("by zero")

    def fine(folder: Path) -> str:
        """Holds."""
        assert not list(folder.iterdir())
        return "seen"

    first, second = run({"R1": broken, "R2": fine})
    assert (first.row, first.passed, first.detail) == ("R1", False, "ZeroDivisionError: by zero")
    assert (second.name, second.passed, second.detail) == ("Holds.", True, "seen")


@pytest.mark.parametrize(("kept", "ended"), [(True, 0), (False, 1)])
def test_the_command_prints_row_by_row_and_its_status_tells(kept: bool, ended: int, monkeypatch, capsys) -> None:
    def check(folder: Path) -> str:
        """What was tried."""
        if not kept:
            raise ValueError("it broke")
        return "it held"

    monkeypatch.setattr(command, "CHECKS", {"R1": check})
    monkeypatch.setattr(command, "run", lambda: run({"R1": check}))
    assert main(["doctor", "--selftest"]) == ended
    out = capsys.readouterr().out
    assert "The core can run." in out, "the doctor's own report comes first"
    lines = out[out.index("Self-test:") :].splitlines()
    assert lines[0] == "Self-test: 1 checks in temporary folders, a minute or two"
    assert lines[1].startswith("  ok  R1   What was tried." if kept else "FAIL  R1   What was tried.")
    assert lines[2].strip() == ("it held" if kept else "ValueError: it broke")
    assert lines[-1].startswith("All 1 passed" if kept else "R1 failed")


# Planted faults


def forgetful(patch: Patch) -> None:
    """A restore that forgets MuJoCo's warm start."""
    restore = MujocoSimulator.restore

    def wrong(self, slots, snapshot, seeds=None):
        obs = restore(self, slots, snapshot, seeds)
        self._batch.bind("qacc_warmstart")[self._ids(slots)] = 0
        return obs

    patch.setattr(MujocoSimulator, "restore", wrong)


def without_the_step_counter(patch: Patch) -> None:
    """Cart-poles that resume with a counter at zero."""
    restore = CartPoleSimulator.restore

    def wrong(self, slots, snapshot, seeds=None):
        obs = restore(self, slots, snapshot, seeds)
        self._state[:] *= 1 + 1e-9
        return obs

    patch.setattr(CartPoleSimulator, "restore", wrong)


def credulous(patch: Patch) -> None:
    patch.setattr(files, "_header", lambda start, size: (_ for _ in ()).throw(files.PolicyFileError("no idea")))


def ignoring_manifests(patch: Patch) -> None:
    patch.setattr(checkpoint, "_verify", lambda *given: None)


def learns_anyway(patch: Patch) -> None:
    """A loop that keeps something of an iteration that was skipped."""
    honest = loop._learn_once

    def wrong(learner, *given):
        done = honest(learner, *given)
        return done if done.outcome.accepted else dataclasses.replace(done, learner=learner.replace())

    patch.setattr(loop, "_learn_once", wrong)


def negates(patch: Patch) -> None:
    honest = problem.surrogate_slope
    patch.setattr(problem, "surrogate_slope", lambda *given: (-honest(*given)[0], honest(*given)[1]))


FAULTS: dict[str, tuple[str, Callable[[Patch], None]]] = {
    "a restore without the warm start": ("R18", forgetful),
    "a resume that is off by one part in a billion": ("R2", without_the_step_counter),
    "damage that nobody looks for": ("R3", ignoring_manifests),
    "resets that nobody notices": ("R16", lambda patch: patch.setattr(MujocoSimulator, "_blame", lambda *given: None)),
    "a skipped iteration of which something stays": ("R10", learns_anyway),
    "headers refused for another reason": ("R26", credulous),
    "names that nobody checks": ("R27", lambda patch: patch.setattr(archive, "_entry_problem", lambda entry: None)),
    "advantages negated": ("R32", negates),
}


PLANTED = [
    pytest.param(row, plant, marks=pytest.mark.reliability(row), id=name) for name, (row, plant) in FAULTS.items()
]


@pytest.mark.parametrize(("row", "plant"), PLANTED)
def test_a_planted_fault_turns_it_red(row: str, plant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    plant(monkeypatch)
    (verdict,) = run({row: CHECKS[row]})
    assert not verdict.passed

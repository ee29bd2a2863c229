"""The self-test: every check passes here and says so; tests/faults turns it red."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.rows import ROWS
from trpolab.cli import main
from trpolab.cli import selftest as command
from trpolab.selftest import CHECKS, physics, run

Patch = pytest.MonkeyPatch
EACH = [pytest.param(row, marks=pytest.mark.reliability(row)) for row in CHECKS]


@pytest.mark.parametrize("row", EACH)
def test_every_check_passes(row: str, monkeypatch: Patch) -> None:
    monkeypatch.setattr(physics, "task_names", lambda: ("finite/chain-8", "Hopper-v5", "ALE/Pong-v5"))  # of R18
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

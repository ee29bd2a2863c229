"""The tool that compares what two versions compute: it finds equal runs equal, and another seed different."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import same_numbers
from tests.same_numbers import Run, compare, record


def recorded(out: Path, patch: pytest.MonkeyPatch, seed: int) -> Path:
    """The record of one small run."""
    settings = {"steps_per_iteration": 64, "slots": 2, "hidden": (3,), "iterations": 2, "seed": seed}
    patch.setattr(same_numbers, "runs", lambda: [Run("small", "CartPole-v1", settings, episodes=1)])
    record(out, "")
    return out


def test_a_run_is_itself_and_not_that_of_another_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, again, other = (recorded(tmp_path / f"{n}.json", monkeypatch, seed) for n, seed in enumerate((0, 0, 1)))
    capsys.readouterr()
    assert compare(one, again) == 0
    assert "1 of 1 runs are the same, bit for bit" in capsys.readouterr().out
    assert compare(one, other) == 1
    assert "small  DIFFERS  run, line 1 (iteration 1)" in capsys.readouterr().out

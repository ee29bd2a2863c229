"""Faults that turn the checks red which `trpolab doctor --selftest` and the scoreboard share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.points import plant
from trpolab.selftest import CHECKS
from trpolab.selftest.physics import restores_exactly, skips_what_is_not_finite
from trpolab.selftest.runs import CARTPOLE, resumes_bit_for_bit

# a fault: the row whose check must find it
FAULTS = {
    "cart-poles restored off by a billionth": "R2",
    "episodes that begin anew": "R2",
    "a value function left behind": "R2",
    "counters that start anew": "R2",
    "a manifest that nobody looks at": "R3",
    "no lock": "R8",
    "a skipped iteration of which something stays": "R10",
    "observations and rewards that nobody checks": "R10",
    "MuJoCo's resets that nobody notices": "R16",
    "MuJoCo's resets that nobody looks for": "R16",
    "MuJoCo restored without the warm start": "R18",
    "streams that depend on who asks first": "R24",
    "headers refused for another reason": "R26",
    "names in archives that nobody checks": "R27",
    "lines written behind a torn one": "R29",
    "advantages negated": "R32",
}
# of a check with many cases, those in which the fault shows
CASES = {
    "R2": lambda folder: resumes_bit_for_bit(folder, {"cart-pole": CARTPOLE}),
    "R18": lambda folder: restores_exactly(folder, ["Walker2d-v5"]),
}
PLANTED = [pytest.param(fault, row, marks=pytest.mark.reliability(row), id=fault) for fault, row in FAULTS.items()]
RED = (Exception, pytest.fail.Exception)  # whatever it raises, `run` calls it failed


@pytest.mark.parametrize(("fault", "row"), PLANTED)
def test_a_planted_fault_turns_it_red(fault: str, row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(fault, monkeypatch)
    with pytest.raises(RED):
        CASES.get(row, CHECKS[row])(tmp_path)


@pytest.mark.reliability("R10")
def test_rewards_of_whole_paths_that_nobody_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant("observations and rewards that nobody checks", monkeypatch)
    with pytest.raises(RED):
        skips_what_is_not_finite(tmp_path, **{"path.whole": True, "path.horizon": 20})

"""Simulations that blow up are reported, every time, and nothing else is; MuJoCo writes no files."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch, SimulationError

from trpolab.selftest.physics import poisoned, reports_resets
from trpolab.simulators import make
from trpolab.simulators.mujoco.model import load_model

TASKS = ["Hopper-v5", "Walker2d-v5", "Swimmer-v5", "HalfCheetah-v5", "InvertedPendulum-v5", "Ant-v5", "paper/Hopper"]


@pytest.mark.reliability("R16")
@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("steps", [5, 0], ids=["after some steps", "at the start"])
def test_every_silent_reset_is_reported(name: str, steps: int, tmp_path: Path) -> None:
    reports_resets(tmp_path, name, steps)


@pytest.mark.reliability("R16")
def test_a_silent_reset_among_some_slots() -> None:
    simulator, slots = make("Hopper-v5", 4), np.array([1, 2])
    still = np.zeros((4, 3), np.float32)
    simulator.reset(None, np.arange(4))
    simulator.step(None, still)
    for _ in range(2):
        simulator.restore(None, poisoned(simulator, [2, 3]))
        assert simulator.step(slots, still[:2]).unstable.tolist() == [False, True]
        assert simulator.step(np.array([3]), still[:1]).unstable.tolist() == [True]


@pytest.mark.reliability("R16")
def test_restoring_forgets_the_warning() -> None:
    simulator = make("Hopper-v5", 1)
    simulator.reset(None, np.array([0]))
    simulator.step(None, np.zeros((1, 3), np.float32))
    good = simulator.snapshot(None)
    simulator.restore(None, poisoned(simulator, [0]))
    assert simulator.step(None, np.zeros((1, 3), np.float32)).unstable[0]
    simulator.restore(None, good)
    assert not simulator.step(None, np.zeros((1, 3), np.float32)).unstable[0]


@pytest.mark.reliability("R16")
def test_a_thousand_random_steps_report_nothing() -> None:
    rng = np.random.default_rng(0)
    for name in ("Hopper-v5", "Walker2d-v5", "Swimmer-v5"):
        simulator = make(name, 8)
        simulator.reset(None, np.arange(8))
        for step in range(125):
            actions = rng.uniform(-1, 1, size=(8, *simulator.action_space.shape)).astype(np.float32)
            result = simulator.step(None, actions)
            assert not result.unstable.any()
            if (ended := np.flatnonzero(result.terminated)).size:
                simulator.reset(ended, ended + 8 * step)


@pytest.mark.reliability("R16")
def test_an_error_inside_mujoco_is_an_unstable_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Batch has it: the failed simulation keeps its state, the others have finished."""
    simulator = make("Hopper-v5", 2)
    simulator.reset(None, np.array([0, 1]))
    step = Batch.step

    def failing(self: Batch, ids: object = None, **options: object) -> None:
        step(self, np.array([0]), **options)
        raise SimulationError(np.array([1]), "stack overflow")

    monkeypatch.setattr(Batch, "step", failing)
    assert simulator.step(None, np.zeros((2, 3), np.float32)).unstable.tolist() == [False, True]


@pytest.mark.reliability("R16")
def test_mujoco_writes_no_log_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """Compiling HalfCheetah warns, and so does a simulation that blows up."""
    monkeypatch.chdir(tmp_path)
    load_model.__wrapped__("half_cheetah.xml")
    simulator = make("HalfCheetah-v5", 1)
    simulator.reset(None, np.array([0]))
    simulator.restore(None, poisoned(simulator, [0]))
    assert simulator.step(None, np.zeros((1, 6), np.float32)).unstable[0]
    assert list(tmp_path.iterdir()) == []
    assert "settotalmass" not in capfd.readouterr().err
    assert mujoco.MjLogConfig.get().logto_console


@pytest.mark.reliability("R17")
def test_a_nan_action_shows_in_the_reward_and_is_no_blow_up() -> None:
    """MuJoCo computes with zero controls and goes on; only the control cost tells. Later steps are sound again."""
    simulator = make("Hopper-v5", 2)
    simulator.reset(None, np.array([0, 1]))
    actions = np.zeros((2, 3), np.float32)
    actions[1] = np.nan
    result = simulator.step(None, actions)
    assert np.isnan(result.reward).tolist() == [False, True]
    assert not result.unstable.any()
    result = simulator.step(None, np.zeros((2, 3), np.float32))
    assert np.isfinite(result.reward).all() and not result.unstable.any()

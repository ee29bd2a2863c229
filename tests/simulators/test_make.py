"""Names of tasks: what is known, what is near, and what is wrong with a request."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from trpolab.simulators import UnknownTask, find_task, make, task_names
from trpolab.training.config import resolve


@pytest.mark.parametrize("name", task_names())
@pytest.mark.parametrize("preset", ["modern", "paper"])
def test_what_suits_a_task_is_a_valid_config(name: str, preset: str) -> None:
    config = resolve(find_task(name), preset)
    about = find_task(name)
    suited = about.paper_defaults if preset == "paper" else about.defaults
    assert {setting: config.get(setting) for setting in suited} == suited


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Hoper-v5", "Hopper-v5"),
        ("hopper", "paper/Hopper"),
        ("CartPole", "CartPole-v1"),
        ("Pendulum", "Pendulum-v1"),
        ("qqq", "every Gymnasium id"),
        ("Taxi-v3", "Taxi-v4"),
        ("Hopper-v2", "cannot make"),
        ("ALE/Pnog-v5", "nearest: ALE/Pong-v5"),
        ("ALE/qqqqq-v5", "known: ALE/BeamRider-v5"),
        ("no_such_module:Env-v0", "module 'no_such_module' cannot be imported: ModuleNotFoundError"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_unknown_task_is_one_line_with_the_nearest_names(name: str, told: str) -> None:
    with pytest.raises(UnknownTask, match=told) as caught:
        find_task(name)
    assert "\n" not in str(caught.value) and name in str(caught.value)
    with pytest.raises(UnknownTask):
        make(name, 2)


def test_only_new_versions_are_suggested() -> None:
    with pytest.raises(UnknownTask) as caught:
        find_task("Hoper-v5")
    assert "v2" not in str(caught.value) and "v4" not in str(caught.value)


@pytest.mark.parametrize(("slots", "threads"), [(0, 1), (2, 0), (-1, 1)])
def test_slots_and_threads_are_at_least_one(slots: int, threads: int) -> None:
    with pytest.raises(ValueError, match=f"slots = {slots}:" if slots < 1 else f"threads = {threads}:"):
        make("Hopper-v5", slots, threads)


@pytest.mark.parametrize("name", ["CartPole-v1", "Hopper-v5"])
def test_wrong_seeds_and_snapshots_are_refused(name: str) -> None:
    simulator, other = make(name, 3), make("Swimmer-v5", 3)
    with pytest.raises(ValueError, match="3 slots"):
        simulator.reset(None, [1, 2])
    simulator.reset(None, [1, 2, 3])
    other.reset(None, [1, 2, 3])
    with pytest.raises(ValueError, match=name):
        simulator.restore(None, simulator.snapshot(None).take([0, 1]))
    with pytest.raises(ValueError, match=name):
        simulator.restore(None, other.snapshot(None))


def test_a_callable_is_named_by_its_environment() -> None:
    assert find_task(lambda: gymnasium.make("Acrobot-v1")).name == "Acrobot-v1"


def test_cartpole_does_not_load_mujoco(checkout: Path) -> None:
    code = "import sys; from trpolab.simulators import make; make('CartPole-v1', 4); print('mujoco' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_mujoco_tasks_need_nothing_of_gymnasiums_mujoco_module(checkout: Path) -> None:
    """It imports imageio, which stepping has no use for."""
    code = "import sys; from trpolab.simulators import make; make('Hopper-v5', 2); print('imageio' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"

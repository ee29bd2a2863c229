"""Kinds of simulators: those built in, and one from outside the package that is one file and a line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trpolab
from tests.simulators import corridors
from tests.simulators.contract import SimulatorContract
from tests.simulators.corridors import KIND
from trpolab.cli import main
from trpolab.registry import RegistrationError
from trpolab.simulators import SIMULATORS, AtariGame, FiniteMDP, SimulatorKind, configured, find_task, make, task_names
from trpolab.simulators.registry import Simulators
from trpolab.training.config import KINDS, resolve

PLAIN = replace(KIND, settings=None, configured=None, names=tuple)
FUTURE = "from __future__ import annotations\n"


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The corridors, for the time of a test."""
    for kinds in KINDS:
        monkeypatch.setattr(kinds, "_entries", dict(kinds._entries))
    trpolab.register(KIND)


class TestContract(SimulatorContract):
    """The suite that every simulator passes."""

    @pytest.fixture(params=["corridor/10", "busy-corridor/10"])
    def task(self, request: pytest.FixtureRequest) -> Any:
        return request.param


def arrays() -> FiniteMDP:
    return trpolab.theory.chain(3)


def test_only_true_is_a_yes_and_an_error_is_told() -> None:
    """A text's `__eq__` answers NotImplemented, which is true to Python, for a callable or arrays."""
    trpolab.register(replace(PLAIN, name="named", takes="named/one".__eq__))
    assert SIMULATORS.of("named/one").name == "named"
    for source, kind in ((lambda: None, "gymnasium"), (arrays(), "finite")):
        assert SIMULATORS.of(source).name == kind
    trpolab.register(replace(PLAIN, name="hasty", takes=lambda source: source.startswith("hasty/")))
    with pytest.raises(RegistrationError, match="'hasty': its `takes`, which is asked about every task, raised Attrib"):
        find_task(lambda: None)


def test_a_listed_task_is_not_taken_over() -> None:
    with pytest.raises(RegistrationError, match="takes 'CartPole-v1', which is a task of 'cartpole'"):
        trpolab.register(replace(PLAIN, name="mine", takes="CartPole-v1".__eq__))


def test_what_describe_and_make_return_is_checked() -> None:
    trpolab.register(replace(PLAIN, name="mine", takes="mine/one".__eq__, describe=lambda source: None))
    with pytest.raises(RegistrationError, match="'mine': its describe returned a NoneType, not a Task"):
        find_task("mine/one")
    trpolab.register(replace(PLAIN, name="yours", takes="yours/one".__eq__, make=lambda source, slots, threads: None))
    with pytest.raises(RegistrationError, match="'yours': its make returned a NoneType, not a Simulator"):
        make("yours/one")


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("CartPole-v1", "cartpole"),
        ("paper/CartPole", "cartpole"),
        ("finite/chain-5", "finite"),
        (arrays(), "finite"),
        ("paper/Hopper", "mujoco"),
        ("ALE/Pong-v5", "atari"),
        (AtariGame("ALE/Pong-v5"), "atari"),
        ("Pendulum-v1", "gymnasium"),
        (arrays, "gymnasium"),
        ("corridor/7", "corridor"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),  # the same in every process
)
def test_each_source_has_one_kind(source: Any, kind: str) -> None:
    assert SIMULATORS.of(source).name == kind
    assert [name for name, other in SIMULATORS.items() if other.takes(source)] in (["gymnasium"], ["gymnasium", kind])


@pytest.mark.parametrize("name", [name for name in task_names() if not name.startswith("ALE/")])
def test_a_task_knows_its_kind(name: str) -> None:
    assert find_task(name).kind == SIMULATORS.of(name).name


def test_what_a_kind_lists_is_listed() -> None:
    assert task_names()[-2:] == ("corridor/10", "busy-corridor/10")


def test_one_slot_unless_more_are_asked() -> None:
    assert trpolab.make("corridor/10").width == 1


@pytest.mark.parametrize("sampler", ["single-path", "vine"])
def test_it_is_trained_on(sampler: str) -> None:
    session = trpolab.train("corridor/10", iterations=2, out=None, sampler=sampler)
    assert session.task.name == "corridor/10" and len(session.history) == 2
    assert trpolab.evaluate(session.policy, "corridor/10", episodes=2, seed=0).returns.shape == (2,)


@pytest.mark.parametrize("task", ["corridor/10", "busy-corridor/10"])
def test_it_works_in_the_terminal_and_a_resumed_run_keeps_its_settings(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del SIMULATORS._entries["corridor"]
    source = Path(corridors.__file__).read_text(encoding="utf-8")
    (tmp_path / "my_corridors.py").write_text(f"import trpolab\n{source}\ntrpolab.register(KIND)\n".replace(FUTURE, ""))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_corridors", raising=False)
    words = ["train", "--import", "my_corridors", task, "--set", "corridor.stride=2", "--iterations", "1"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert f"{task}: trpo, single-path, seed 0" in told
    folder = Path(told.strip().splitlines()[-1])
    about = json.loads((folder / "run.json").read_text())
    assert about["modules"] == ["my_corridors"] and about["settings"]["corridor.stride"] == 2
    session = trpolab.Session(resume=folder)
    assert session.config.get("corridor.stride") == 2 and session.task.name == task
    assert main(["train", "--import", "my_corridors", task, "--set", "corridor.stride=9"]) != 0
    assert "corridor.stride = 9: must be >= 1 and <= 3" in capsys.readouterr().err


@pytest.mark.parametrize("sampler", ["single-path", "vine"])
def test_worker_processes_give_what_this_process_gives(sampler: str) -> None:
    """The workers are fresh interpreters, in which nobody has registered the kind."""
    here, there = (
        trpolab.train(task, iterations=2, out=None, sampler=sampler, threads=2, seed=5)
        for task in ("corridor/10", "busy-corridor/10")
    )
    assert there.task.runs_in_processes and not here.task.runs_in_processes
    assert np.array_equal(here.policy.theta, there.policy.theta)
    assert [record["return_mean"] for record in here.history] == [record["return_mean"] for record in there.history]


def test_a_kind_that_workers_cannot_import_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    local = replace(KIND, make=lambda source, slots, threads: corridors.make(source, slots, threads))
    monkeypatch.setitem(SIMULATORS._entries, "corridor", local)
    assert find_task("corridor/10").name == "corridor/10"
    with pytest.raises(RegistrationError, match=r"busy-corridor/10 runs in worker processes, which import `make`"):
        find_task("busy-corridor/10")


def test_its_settings_shape_the_task() -> None:
    given: dict[str, Any] = {"corridor.stride": 3}
    config = resolve(find_task("corridor/10"), overrides=given)
    simulator, env = make(configured("corridor/10", config)), trpolab.as_gymnasium("corridor/10", **given)
    simulator.reset(None, np.array([0]))
    env.reset(seed=0)
    steps = 1
    while not simulator.step(None, np.array([1])).terminated[0]:
        assert not env.step(1)[2]
        steps += 1
    assert env.step(1)[2] and steps in (3, 4)
    assert configured("CartPole-v1", config) == "CartPole-v1"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": "atari"}, "the name is taken"),
        ({"name": "No Name"}, "a name has lower-case letters"),
        ({"name": "other", "make": None}, "make = None: must be a function"),
        ({"name": "other", "settings": None}, "settings and configured go together"),
    ],
)
def test_a_faulty_kind_is_refused(wrong: dict[str, Any], told: str) -> None:
    registry = Simulators("simulator", SimulatorKind)
    for kind in SIMULATORS.values():
        registry.add(kind)
    with pytest.raises(RegistrationError, match=re.escape(told)):
        registry.add(replace(KIND, **wrong))


def test_a_list_of_tasks_loads_no_engine(checkout: Path) -> None:
    code = (
        "import sys; from trpolab.simulators import task_names; task_names()\n"
        "print(*({'mujoco', 'ale_py', 'torch'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""

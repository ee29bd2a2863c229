"""docs/extending.md: its examples are taken out of the page, put into modules, and trained with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

KINDS = ("method", "sampler", "network", "distribution", "simulator")
CHECKOUT = Path(__file__).parent.parent
PAGE = CHECKOUT / "docs" / "extending.md"
TERMINAL = "import sys; from trpolab.cli import main; sys.exit(main())"


def example(kind: str) -> str:
    """The code below the heading of a kind."""
    found = re.search(rf"^## A {kind}\n.*?^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert found, kind
    return found[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one module for each example."""
    made = tmp_path_factory.mktemp("mine")
    for kind in KINDS:
        (made / f"my_{kind}.py").write_text(example(kind), encoding="utf-8")
    return made


def run(folder: Path, *command: str, code: int = 0) -> str:
    """What a process of its own prints there; it must end with this exit code."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path])}
    ran = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + (ran.stderr if code else "")


def train(folder: Path, *words: str) -> Path:
    """The run folder of `trpolab train ...`, which prints it last."""
    out = run(folder, "-c", TERMINAL, "train", *words)
    return folder / out.split()[-1]


def recorded(path: Path) -> dict:
    return json.loads((path / "run.json").read_text(encoding="utf-8"))["settings"]


def learned(path: Path) -> list[dict]:
    """What every iteration measured, times left out, and the last policy's file."""
    lines = (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [
        {name: value for name, value in json.loads(line).items() if not name.startswith(("seconds", "segment", "time"))}
        for line in lines
    ]
    return [*kept, {"policy": sorted((path / "policies").iterdir())[-1].read_bytes()}]


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_is_short(kind: str) -> None:
    assert len(example(kind).splitlines()) < 40


def test_every_example_trains_in_python(folder: Path) -> None:
    """Alone and together; the lab offers the method, and takes it."""
    code = """
import my_method, my_sampler, my_network, my_distribution, my_simulator, trpolab
from trpolab.lab.race import Race
own = [{"method": "flattened", "flattened.power": 0.0}, {"sampler": "mixed", "mixed.every": 2},
       {"policy.network": "skip", "skip.width": 5}, {"policy.distribution": "fixed"}]
for chosen in (*own, {name: value for one in own for name, value in one.items()}, {"sampler": "vine"}):
    session = trpolab.train("mine/parking", iterations=3, out="python", steps_per_iteration=512, **chosen)
    policy = trpolab.load_policy(session.path)
    assert policy([0.5, 0.0]).shape == (1,) and type(policy.network) is type(session.policy.network)
    print([row["outcome"] for row in session.history])
import gymnasium
from trpolab.theory import chain
for task in (lambda: gymnasium.make("Pendulum-v1"), chain(3), "CartPole-v1"):
    assert "mine" not in trpolab.train(task, iterations=1, out=None, steps_per_iteration=64).task.name
lab = trpolab.Lab("mine/parking", out=None, steps_per_iteration=512)
knobs = lab.view.knobs.knobs
assert "flattened.power" in knobs and "flattened" in [value for _, value in knobs["method"].widget.options]
knobs["method"].widget.value = "flattened"
lab.run(block=True, iterations=2)
assert lab.history[-1]["method"] == "flattened"
lab.close()
race = Race("mine/parking", methods=("trpo", "flattened"), steps=1_000, steps_per_iteration=512).start(block=True)
assert all(len(lane.session.history) >= 1 for lane in race.runners)
"""
    told = run(folder, "-c", code).splitlines()
    assert len(told) == 6 and all("accepted" in line for line in told)


def test_the_commands_of_the_page_train_and_resume_bit_for_bit(folder: Path) -> None:
    training, helping = re.findall(r"^trpolab train (.*)$", PAGE.read_text(encoding="utf-8"), re.M)
    assert "flattened.power" in run(folder, "-c", TERMINAL, "train", *helping.split())
    imports = ("--import", "my_simulator", "--import", "my_method", "--import", "my_network")
    network = ("--import", "my_network", "--set", "policy.network=skip", "--set", "skip.width=6")
    command = (*training.split(), *network, "--steps-per-iteration", "512")
    stopped, whole = (train(folder, *command, "--iterations", count) for count in ("2", "4"))
    chosen = recorded(stopped)
    assert (chosen["task"], chosen["method"], chosen["flattened.power"]) == ("mine/parking", "flattened", 0.3)
    assert (chosen["policy.network"], chosen["skip.width"]) == ("skip", 6)
    refused = run(folder, "-c", TERMINAL, "train", "--resume", str(stopped), "--iterations", "4", code=2)
    assert "my_method" in refused and "--import" in refused
    train(folder, *imports, "--resume", str(stopped), "--iterations", "4")
    assert learned(stopped) == learned(whole) and len(learned(whole)) == 5


def test_the_examples_work_in_a_file_of_settings(folder: Path) -> None:
    (folder / "mine.toml").write_text(
        'task = "mine/parking"\nsampler = "mixed"\niterations = 2\n[mixed]\nsteps = 256\n'
    )
    path = train(folder, "--import", "my_simulator", "--import", "my_sampler", "--config", "mine.toml")
    assert (recorded(path)["sampler"], recorded(path)["mixed.steps"]) == ("mixed", 256)


def test_the_simulator_keeps_the_contract(folder: Path) -> None:
    (folder / "test_parking.py").write_text(
        "import my_simulator, pytest\n"
        "from tests.simulators.contract import SimulatorContract\n\n\n"
        "class TestParking(SimulatorContract):\n"
        "    @pytest.fixture\n"
        "    def task(self):\n"
        "        return 'mine/parking'\n"
    )
    options = ("-q", "-p", "no:cacheprovider", "--rootdir", str(folder), "-W", "ignore", "-k", "not another_shape")
    assert " passed" in run(folder, "-m", "pytest", *options, "test_parking.py")

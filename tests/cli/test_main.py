"""The command line itself: what is not known is answered with what is, and modules lie in the working directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trpolab.cli import main

MODULE = """
import gymnasium, numpy as np
from gymnasium.spaces import Box

class Still(gymnasium.Env):
    observation_space, action_space = Box(-1, 1, (2,)), Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.count += 1
        return np.full(2, self.count / 9, np.float32), -float(action[0]) ** 2, self.count == 9, False, {}

class Broken(Still):
    def __init__(self):
        raise KeyError("no such level")

gymnasium.register("Still-v0", Still)
"""
SHORT = ["--iterations", "1", "--steps-per-iteration", "64", "--set", "slots=2"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--lam", "0.9"], "unrecognized arguments: --lam 0.9; --set lam=VALUE"),
        (["--gamma=0.9", "--cg-iterations", "3"], "; --set gamma=VALUE; --set cg_iterations=VALUE"),
        (["--vine.trunks", "3"], "--set vine.trunks=VALUE"),
        (["--target-kl", "0.1"], "`target_kl` is called `delta` here"),
        (["--verbose"], "trpolab train shows each iteration"),
        (["--lamm", "0.9"], "did you mean lam"),
        (["again"], "unrecognized arguments: again"),
    ],
)
def test_a_setting_given_as_an_option_is_answered_with_the_line_that_works(words, told: str, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", "CartPole-v1", *words])
    assert caught.value.code == 2 and told in " ".join(capsys.readouterr().err.split())


def test_other_commands_know_no_settings(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "--lam"])
    assert "--set" not in capsys.readouterr().err


def train(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """As the command that is installed: Python itself does not look for modules in the working directory."""
    checkout = str(Path(__file__).parents[2])
    code = f"import sys; sys.path.insert(0, {checkout!r}); from trpolab.cli import main; sys.exit(main())"
    command = [sys.executable, "-P", "-c", code, "train", *words]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    "words", [["my_envs:Still"], ["my_envs:Still-v0"], ["--import", "my_envs", "Still-v0"]], ids=lambda words: words[-1]
)
def test_environments_of_a_module_in_this_folder_are_trained_on_and_resumed(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "my_envs.py").write_text(MODULE)
    ran = train(tmp_path, *words, *SHORT)
    assert ran.returncode == 0, ran.stderr
    assert "making 2 environments" in ran.stdout
    folder = ran.stdout.splitlines()[-1]
    again = train(tmp_path, *words[:-1], "--resume", folder, "--iterations", "2")
    assert again.returncode == 0 and "iteration 2/2" in again.stdout, again.stderr


def test_a_module_that_is_not_there_is_told(tmp_path: Path) -> None:
    ran = train(tmp_path, "no_such_module:Still", *SHORT)
    assert ran.returncode == 2 and "No module named 'no_such_module'" in ran.stderr and "Traceback" not in ran.stderr


def test_what_a_constructor_raises_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "my_envs.py").write_text(MODULE)
    ran = train(tmp_path, "my_envs:Broken", *SHORT)
    assert ran.returncode == 2 and "KeyError: 'no such level'" in ran.stderr and "my_envs.py, line" in ran.stderr
    assert "Traceback" not in ran.stderr and len(ran.stderr.strip().splitlines()) == 1

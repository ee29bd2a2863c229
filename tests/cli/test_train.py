"""`trpolab train`: settings and their precedence, bad input, seeds, Ctrl-C, exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import pytest

from trpolab.cli import main, train
from trpolab.policies import PolicyFileError
from trpolab.runs.reader import RunFolderError, RunLocked
from trpolab.settings import ConfigError
from trpolab.simulators import SnapshotUnsupported, UnknownTask, UnsupportedSpace, find_task
from trpolab.simulators.base import AnswerError
from trpolab.training import session as api
from trpolab.training.checkpoint import CheckpointError
from trpolab.training.config import resolve, settings
from trpolab.training.controls import Controls
from trpolab.training.loop import Diverged
from trpolab.training.state import Progress


class StandIn:
    """A session that trains nothing: `script` is called in each iteration and may press Ctrl-C or raise."""

    def __init__(self, task: str, *, out: str, resume: str | None = None, **settings: Any):
        self.task, self.out, self.resume, self.settings = find_task(task), out, resume, settings
        self.controls = Controls(resolve(self.task, overrides=settings), self.task)
        self.config = self.controls.requested
        self.progress = Progress(None)
        self.history: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.path: Path | None = None
        self.state = "created"

    def on_trouble(self, tell: Callable[[str], None]) -> None:
        pass

    script: Callable[[StandIn, int], None] = staticmethod(lambda session, iteration: None)

    def iterate(self) -> Iterator[SimpleNamespace]:
        self.path = Path(self.out) / f"run-{self.config.seed}"
        for iteration in range(1, self.config.iterations + 1):
            self.script(self, iteration)
            if self.controls.aborting():
                break
            metrics = {"iteration": iteration, "sim_steps": 100 * iteration, "return_mean": 1.0 * iteration}
            metrics |= {"return_recent": 1.0 * iteration, "kl_mean": 0.01, "outcome": "accepted", "message": ""}
            self.history.append(metrics)
            self.progress.sim_steps = 100 * iteration
            yield SimpleNamespace(metrics=metrics)
            if self.controls.stopping:
                break
        self.state = "stopped" if self.controls.stopping else "finished"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[StandIn]:
    """Every session that a command line makes."""
    sessions: list[StandIn] = []

    def make(*args: Any, **settings: Any) -> StandIn:
        sessions.append(StandIn(*args, **settings))
        return sessions[-1]

    monkeypatch.setattr(train, "Session", make)
    return sessions


def scripted(monkeypatch: pytest.MonkeyPatch, script: Callable[[StandIn, int], None]) -> None:
    monkeypatch.setattr(StandIn, "script", staticmethod(script))


def problems(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on stderr after the first, without their dashes; or the only one."""
    first, *rest = capsys.readouterr().err.splitlines()
    return [line.removeprefix("- ") for line in rest] or [first.removeprefix("trpolab: ")]


# Settings


def test_an_option_wins_over_set_over_the_file_over_the_preset(made: list[StandIn], tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('preset = "paper"\ndelta = 0.03\ngamma = 0.9\niterations = 3\nhidden = [8]\n[path]\nhorizon = 60\n')
    words = ["--set", "gamma=0.95", "--set", "delta=0.04", "--delta", "0.05"]
    assert main(["train", "CartPole-v1", "--config", str(file), *words]) == 0
    (session,) = made
    config = session.config
    assert (config.trust.delta, config.gamma, config.iterations, config.policy.hidden) == (0.05, 0.95, 3, (8,))
    assert config.path.horizon == 60
    assert config.preset == "paper" and config.path.advantage == "monte_carlo"


def test_every_option_of_the_terminal_is_a_setting(made: list[StandIn], tmp_path: Path) -> None:
    words = ["--method", "trpo", "--sampler", "single-path", "--proposal", "policy", "--preset", "modern"]
    words += ["--delta", "0.02", "--iterations", "2", "--steps-per-iteration", "512", "--seed", "7"]
    words += ["--device", "auto"]
    assert main(["train", "CartPole-v1", *words, "--out", str(tmp_path)]) == 0
    (session,) = made
    assert session.config.device == "auto"
    assert (session.config.seed, session.config.path.steps_per_iteration) == (7, 512)
    assert session.out == str(tmp_path)


def test_the_task_may_come_from_the_file_and_the_command_line_wins(made: list[StandIn], tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('task = "CartPole-v1"\niterations = 1\n')
    assert main(["train", "--config", str(file)]) == 0
    assert main(["train", "paper/CartPole", "--config", str(file)]) == 0
    assert [session.task.name for session in made] == ["CartPole-v1", "paper/CartPole"]


# Bad input


def test_everything_wrong_is_told_at_once_and_no_folder_is_made(tmp_path: Path, capsys) -> None:
    file = tmp_path / "run.toml"
    file.write_text("cg_iterations = 0\nnonsense = 1\n")
    out = tmp_path / "runs"
    words = [
        "--delta",
        "0",
        "--set",
        "gamma=1.5",
        "--set",
        "broken",
        "--iterations",
        "none",
        "--seeds",
        "0",
        "--seed",
        "1",
    ]
    assert main(["train", "CartPole-v2", *words, "--config", str(file), "--out", str(out)]) == 2
    told = problems(capsys)
    for part in (
        "'CartPole-v2'",
        "delta = 0",
        "gamma = 1.5",
        "'broken'",
        "iterations",
        "cg_iterations = 0",
        "'nonsense'",
    ):
        assert len([line for line in told if part in line]) >= 1, part
    assert len(told) == 9  # with --seeds 0, and --seed beside --seeds
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["CartPole-v2"], "CartPole-v1"),
        ([], "no task"),
        (["CartPole-v1", "--config", "missing.toml"], "No such file"),
        (["CartPole-v1", "--set", "detla=0.1"], "did you mean delta"),
        (["CartPole-v1", "--set", "path.whole=true", "--steps-per-iteration", "10"], "whole paths"),
        (["CartPole-v1", "--method", "magic"], "trpo"),
        (["CartPole-v1", "--set", "task=Hopper-v5"], "give one of them"),
        (["--resume", "missing"], "missing"),
        (["--resume", "missing", "--seed", "3"], "keeps its own"),
    ],
)
def test_one_problem_is_one_line(words: list[str], sentence: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *words]) == 2
    (told,) = problems(capsys)
    assert sentence in told
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_toml_is_named(tmp_path: Path, capsys) -> None:
    file = tmp_path / "run.toml"
    file.write_text("delta = = 1")
    assert main(["train", "CartPole-v1", "--config", str(file)]) == 2
    assert "run.toml" in problems(capsys)[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [("x = " + "[" * 100_000, "nested too deep"), ("#" * (2**20 + 1), "has 1048577 bytes"), ("\0", "not a TOML file")],
)
def test_a_hostile_file_of_settings_is_told(content: str, said: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "s.toml").write_text(content)
    assert main(["train", "CartPole-v1", "--config", str(tmp_path / "s.toml")]) == 2
    assert said in capsys.readouterr().err


def test_a_file_where_the_run_folders_should_lie_is_told(tmp_path: Path, capsys) -> None:
    (tmp_path / "taken").write_text("")
    assert main(["train", "CartPole-v1", "--out", str(tmp_path / "taken")]) == 2
    assert "taken" in problems(capsys)[0]


def test_an_unknown_option_is_refused_by_its_name(capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "CartPole-v1", "--detla", "1"])
    assert stopped.value.code == 2 and "--detla" in capsys.readouterr().err


# How a run ends


def test_the_folder_is_printed_last(made: list[StandIn], capsys) -> None:
    assert main(["train", "CartPole-v1", "--iterations", "2", "--out", "here"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "CartPole-v1: trpo, single-path, seed 0, update on CPU"
    assert lines[-1] == str(Path("here") / "run-0")


def test_seeds_run_one_after_another_with_a_summary(made: list[StandIn], capsys) -> None:
    assert main(["train", "CartPole-v1", "--iterations", "2", "--seeds", "3", "--out", "here"]) == 0
    assert [session.config.seed for session in made] == [0, 1, 2]
    out = capsys.readouterr().out
    assert re.search(r"^ +mean +2\.0  standard deviation 0\.0, 3 seeds$", out, re.M)
    assert out.splitlines()[-3:] == [str(Path("here") / f"run-{seed}") for seed in range(3)]


def test_ctrl_c_ends_after_the_iteration_and_says_where_the_run_lies(made, monkeypatch, capsys) -> None:
    before = signal.getsignal(signal.SIGINT)  # a shell that runs in the background has it ignored
    scripted(monkeypatch, lambda session, iteration: os.kill(os.getpid(), signal.SIGINT) if iteration == 2 else None)
    assert main(["train", "CartPole-v1", "--iterations", "5", "--seeds", "2", "--out", "here"]) == 130
    out = capsys.readouterr().out
    assert f"the run lies in {Path('here') / 'run-0'}" in out
    assert len(made[0].history) == 2  # the iteration under way was finished
    assert made[1].history == []  # and the next seed not begun
    assert out.splitlines()[-1] == str(Path("here") / "run-0")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_gives_the_iteration_up(made, monkeypatch) -> None:
    def press_twice(session: StandIn, iteration: int) -> None:
        if iteration == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    scripted(monkeypatch, press_twice)
    assert main(["train", "CartPole-v1", "--iterations", "5"]) == 130
    assert len(made[0].history) == 1


def test_a_crash_shows_its_traceback_and_where_the_run_lies(made, monkeypatch, capsys) -> None:
    def crash(session: StandIn, iteration: int) -> None:
        if iteration == 2:
            raise ZeroDivisionError("from the task")

    scripted(monkeypatch, crash)
    assert main(["train", "CartPole-v1", "--iterations", "5", "--out", "here"]) == 1
    shown = capsys.readouterr()
    assert "Traceback" in shown.err and "ZeroDivisionError: from the task" in shown.err
    assert shown.out.splitlines()[-1] == str(Path("here") / "run-0")


def test_an_environment_that_answers_wrongly_later_is_bad_input(made, monkeypatch, capsys) -> None:
    def answer(session: StandIn, iteration: int) -> None:
        if iteration == 2:
            raise AnswerError("Env.step (slot 3) returned 4 values: must be 5")

    scripted(monkeypatch, answer)
    assert main(["train", "CartPole-v1", "--iterations", "5", "--out", "here"]) == 2
    shown = capsys.readouterr()
    assert shown.err == "trpolab: Env.step (slot 3) returned 4 values: must be 5\n"
    assert shown.out.splitlines()[-1] == str(Path("here") / "run-0")


def test_a_run_that_diverged_has_its_own_code_and_the_other_seeds_still_run(made, monkeypatch, capsys) -> None:
    def diverge(session: StandIn, iteration: int) -> None:
        if session.config.seed == 0:
            raise Diverged("3 iterations in a row were skipped; the last one: slot 3, step 7, obs")

    scripted(monkeypatch, diverge)
    assert main(["train", "CartPole-v1", "--iterations", "2", "--seeds", "2"]) == 3
    out = capsys.readouterr().out
    assert "slot 3, step 7, obs" in out
    assert len(made[1].history) == 2


@pytest.mark.parametrize(
    "refusal",
    [RunFolderError, RunLocked, CheckpointError, PolicyFileError, SnapshotUnsupported, UnknownTask, UnsupportedSpace],
)
def test_a_refusal_of_ours_is_a_sentence_wherever_it_is_raised(refusal, made, monkeypatch, capsys) -> None:
    def refuse(session: StandIn, iteration: int) -> None:
        if iteration == 2 and session.config.seed == 0:
            raise refusal("another process writes this run")

    scripted(monkeypatch, refuse)
    assert main(["train", "CartPole-v1", "--iterations", "3", "--seeds", "2", "--out", "here"]) == 2
    shown = capsys.readouterr()
    assert shown.err == "trpolab: another process writes this run\n"
    assert shown.out.splitlines()[-1] == str(Path("here") / "run-1") and len(made[1].history) == 3


def test_a_folder_that_cannot_be_written_is_a_sentence_before_and_after_the_start(tmp_path: Path, capsys) -> None:
    small = ["--steps-per-iteration", "64", "--set", "slots=2"]
    assert main(["train", "CartPole-v1", "--iterations", "1", *small, "--out", str(tmp_path)]) == 0
    folder = capsys.readouterr().out.splitlines()[-1]
    (Path(folder) / "lock").unlink()
    (Path(folder) / "lock").mkdir()
    assert main(["train", "--resume", folder, "--iterations", "2"]) == 2
    assert "trpolab: the run folder can't be written: " in capsys.readouterr().err


def test_every_command_ends_with_a_sentence(monkeypatch, capsys) -> None:
    def refuse(args: Any) -> int:
        raise ConfigError(["one thing", "another"])

    monkeypatch.setattr("trpolab.cli.bench.bench", refuse)
    assert main(["bench"]) == 2
    assert problems(capsys) == ["one thing", "another"]


def test_a_run_of_a_callable_is_refused_and_what_a_resumption_finds_is_told(tmp_path: Path, capsys) -> None:
    small = {"iterations": 1, "steps_per_iteration": 64, "slots": 2, "out": tmp_path}
    mine = api.train(lambda: gymnasium.make("Pendulum-v1"), **small).path
    assert main(["train", "--resume", str(mine), "--iterations", "2"]) == 2
    assert f"trpolab.Session(make_env, resume={str(mine)!r})" in capsys.readouterr().err
    assert main(["train", "--resume", str(mine), "--iterations", "2", "--changed-environment"]) == 0
    assert "replaying: " in capsys.readouterr().out
    assert main(["train", "CartPole-v1", "--changed-environment"]) == 2
    assert "goes with --resume" in capsys.readouterr().err


# The real thing


def test_a_real_run_from_a_shell(tmp_path: Path) -> None:
    """Not a terminal: readable lines, the folder last, and in it what was asked."""
    command = [sys.executable, "-c", "import sys; from trpolab.cli import main; sys.exit(main())"]
    words = ["train", "CartPole-v1", "--iterations", "3", "--steps-per-iteration", "256", "--set", "threads=1"]
    ran = subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[-2].startswith("iteration 3/3  return ") and "\r" not in ran.stdout
    folder = tmp_path / lines[-1]
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["iteration"] for record in records] == [1, 2, 3]


def test_a_real_run_is_stopped_by_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-c", "import sys; from trpolab.cli import main; sys.exit(main())"]
    words = ["train", "CartPole-v1", "--iterations", "100000", "--steps-per-iteration", "256", "--set", "threads=1"]
    process = subprocess.Popen([*command, *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("iteration 1/"):
            process.send_signal(signal.SIGINT)
            break
    rest = process.stdout.read()
    assert process.wait(timeout=60) == 130
    lines = rest.splitlines()
    assert "the run lies in runs" in rest
    status = json.loads((tmp_path / lines[-1] / "status.json").read_text())
    assert status["state"] == "stopped" and status["iteration"] >= 1


def test_help_lists_every_setting_with_what_may_be_given(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for name in settings():
        assert re.search(rf"^  {re.escape(name)}\s", shown, re.M), name
    told = " ".join(shown.split())
    assert "bound on the mean KL(old‖new) [0.02; > 0] (Eq. 14)" in told
    assert "seed root of every random stream [0; >= 0; fixed]" in told
    assert "--resume FOLDER" in shown


def test_what_stays_wrong_is_told_once(made, monkeypatch, capsys) -> None:
    honest = StandIn.iterate

    def iterate(self: StandIn) -> Iterator[SimpleNamespace]:
        for iteration in honest(self):
            if iteration.metrics["iteration"] != 4:
                iteration.metrics.update(outcome="skipped_zero_gradient", message="no action looks better")
            yield iteration

    monkeypatch.setattr(StandIn, "iterate", iterate)
    main(["train", "CartPole-v1", "--iterations", "6"])
    told = [line for line in capsys.readouterr().out.splitlines() if "no action looks better" in line]
    assert [line.split(":")[0] for line in told] == ["iteration 1", "iteration 5"]


def test_a_run_is_gone_back_in_and_steered_by_a_schedule(tmp_path: Path, capsys) -> None:
    words = "--set steps_per_iteration=64 --set slots=2 --set checkpoint_every=1 --delta 0.02 --set 3:delta=0.005"
    small = [*words.split(), "--out", str(tmp_path)]
    assert main(["train", "CartPole-v1", "--iterations", "4", *small]) == 0
    folder = capsys.readouterr().out.splitlines()[-1]
    assert main(["train", "--resume", folder, "--at", "2", "--out", str(tmp_path), "--set", "4:delta=0.004"]) == 0
    shown = capsys.readouterr().out
    again = Path(shown.splitlines()[-1])
    assert "going on after iteration 2" in shown and str(again) != folder
    rows = [json.loads(line) for line in (again / "metrics.jsonl").read_text().splitlines()]
    assert [row["delta"] for row in rows] == [0.02, 0.02, 0.02, 0.004]
    assert json.loads((again / "run.json").read_text())["parent"] == {"run": Path(folder).name, "iteration": 2}
    for words, said in (
        (["--resume", folder, "--at", "9"], "at = 9: "),
        (["--resume", folder, "--at", "x"], "at = 'x': "),
        (["CartPole-v1", "--at", "2"], "at = 2: goes with resume"),
        (["CartPole-v1", "--set", "x:delta=1"], "--set 'x:delta=1': must be KEY=VALUE, or N:KEY=VALUE"),
        (["CartPole-v1", "--set", "3:delta=-1"], "schedule, iteration 3: delta = -1"),
    ):
        assert main(["train", *words]) == 2
        assert said in capsys.readouterr().err

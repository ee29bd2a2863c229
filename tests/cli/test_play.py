"""`trpolab play`: the picture holds the episode, and what can't be played is said in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from trpolab.cli.main import main
from trpolab.training.session import Session


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_task_and_a_run_become_animated_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "CartPole-v1", "--seed", "3"]) == 0
    assert capsys.readouterr().out.startswith("CartPole-v1.png: iteration 0 · mean action · return")
    assert Image.open("CartPole-v1.png").n_frames > 2
    session = Session("CartPole-v1", out=tmp_path / "runs", iterations=2, steps_per_iteration=100)
    list(session.iterate())
    assert main(["play", str(session.path), "--iteration", "1", "--max-steps", "5", "--out", "one.png"]) == 0
    assert capsys.readouterr().out.startswith("one.png: iteration 1 · mean action · return 5")
    assert main(["play", str(session.path), "--iteration", "7"]) == 2
    assert "--iteration 7: " in (said := capsys.readouterr().err) and said.endswith("keeps those of 1, 2\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["CartPool-v1"], "unknown task 'CartPool-v1'; nearest: CartPole-v1"),
        (["."], "is not a run folder"),
        (["CartPole-v1", "--max-steps", "0"], "max_steps = 0: must be a whole number, at least 1"),
        (["CartPole-v1", "--seed", "x"], "--seed x: must be a whole number"),
        (["CartPole-v1", "--out", "nowhere/p.png"], "No such file or directory"),
    ],
)
def test_what_cannot_be_played_is_said(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", *words]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1

"""Learning curves on disk."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from trpolab.bench import method_comparison as methods
from trpolab.bench.curves import Curve, Store, read_curves
from trpolab.cli.lab import packaged_notebooks
from trpolab.updates import METHODS


def curve(seed: int, level: float = 0.0, method: str = "trpo") -> Curve:
    steps, seconds = (100, 200, 300), (1.0, 2.0, 3.0)
    returns = tuple(level + s / 100 for s in steps)
    return Curve("paper/CartPole", method, seed, steps, seconds, returns, 5.0, 10.0, 6, {})


def test_what_is_kept_is_read_back_and_not_run_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "curves.json", "a command")
    for seed in range(3):
        store.add(curve(seed))
    again = Store(store.file, "a command")
    assert again.curves == store.curves == read_curves(store.file)
    assert again.get("paper/CartPole", "trpo", 2) == curve(2)
    assert again.get("paper/CartPole", "trpo", 3) is None
    assert again.methods("paper/CartPole") == ["trpo"]
    assert json.loads(store.file.read_text())["command"] == "a command"


@pytest.mark.parametrize("content", ["", "{}", '{"runs": [{"task": "x"}]}'])
def test_a_file_that_holds_something_else_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "curves.json").write_text(content)
    with pytest.raises(ValueError, match=r"curves.json does not hold learning curves"):
        read_curves(tmp_path / "curves.json")


def test_a_contest_stays_within_its_steps_and_repeats_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    contest = dataclasses.replace(methods.CONTESTS[0], steps=6000, episodes=2)
    for method in ("trpo", "vine", "cem"):
        (first, session), (again, _) = (methods.run(contest, method, 1, lambda line: None) for _ in range(2))
        assert session.progress.sim_steps <= 6000
        assert dataclasses.replace(first, seconds=()) == dataclasses.replace(again, seconds=())
        assert len(first.steps) == len(first.seconds) == len(first.returns)
        assert torch.isfinite(session.policy.theta).all()


def test_the_curves_of_the_notebook_are_of_the_methods_there_are() -> None:
    runs = read_curves(packaged_notebooks() / "results" / "methods.json")
    names = {run.method for run in runs if not run.method.startswith("natural_gradient 1/λ")}
    assert names <= {*METHODS, "vine"}
    assert set(methods.COMPARED) <= {run.method for run in runs if run.task == "paper/CartPole"}

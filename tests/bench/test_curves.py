"""Learning curves on disk, and the interval that is drawn around their mean."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from trpolab.bench import method_comparison as methods
from trpolab.bench.curves import Curve, Store, band, read_curves, student
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


@pytest.mark.parametrize(("over", "ends"), [("steps", (100, 300)), ("seconds", (1, 3))])
def test_the_band_is_the_t_interval(over: str, ends: tuple[int, int]) -> None:
    found = band([curve(seed, level) for seed, level in enumerate((0.0, 1.0, 5.0))], over, points=3)
    assert (found.x[0], found.x[-1], found.seeds) == (*ends, 3)
    np.testing.assert_allclose(found.mean, [3.0, 4.0, 5.0])
    half = 4.303 * np.std([0.0, 1.0, 5.0], ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(found.high - found.mean, half)
    np.testing.assert_allclose(found.mean - found.low, half)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    draws = generator.normal(7.0, 2.0, size=(4000, 5))
    half = student(4) * draws.std(axis=1, ddof=1) / np.sqrt(5)
    covered = np.abs(draws.mean(axis=1) - 7.0) <= half
    assert covered.mean() == pytest.approx(0.95, abs=0.015)


def test_one_seed_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least two seeds"):
        band([curve(0)])


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

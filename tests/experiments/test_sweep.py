"""The combinations of a sweep, what is refused, and how the terminal names them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import trpolab
from trpolab.cli import main
from trpolab.cli.sweep import axes_of
from trpolab.experiments import sweep as sweeps
from trpolab.experiments.sweep import sweep, trials_of
from trpolab.experiments.trial import TrialResult, TrialSpec
from trpolab.settings import ConfigError


def labels(**axes: Any) -> list[str]:
    return [trial.label for trial in trials_of("CartPole-v1", 1, 20, False, axes)]


def test_every_combination_gets_every_seed_seed_by_seed() -> None:
    trials = trials_of("CartPole-v1", [3, 7], 20, False, {"delta": [0.01, 0.02], "lam": [0.9, 1.0], "iterations": 2})
    assert [trial.seed for trial in trials] == [3] * 4 + [7] * 4
    assert [trial.label for trial in trials][:2] == ["delta=0.01, lam=0.9", "delta=0.01, lam=1.0"]
    assert trials[3].settings == {"delta": 0.02, "lam": 1.0, "iterations": 2}


def test_a_tuple_is_one_value_and_a_list_an_axis() -> None:
    assert labels(hidden=[(8,), (16, 16)]) == ["hidden=8", "hidden=16-16"]
    assert labels(hidden=(16, 16), method="cem") == ["cem"] and labels() == ["trpo"]


def test_what_a_method_or_sampler_does_not_read_makes_no_runs() -> None:
    found = labels(method=["trpo", "natural_gradient"], delta=[0.01, 0.02])
    assert found == ["trpo, delta=0.01", "trpo, delta=0.02", "natural_gradient"]
    found = labels(sampler=["single-path", "vine"], **{"vine.states": [5, 9]})
    assert found == ["single-path", "vine, vine.states=5", "vine, vine.states=9"]


def test_all_that_is_wrong_with_the_axes_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        sweep("CartPole-v1", out=tmp_path / "out", seeds=0, seed=[1, 2], detla=[0.1], gamma=[0.9, 2.0], lam=[],
              damping=[0.1, 0.1])  # fmt: skip
    told = "\n".join(caught.value.problems)
    for part in ("seeds = 0", "seed: is no axis", "detla", "did you mean delta", "gamma = 2.0", "lam: has no value",
                 "damping = 0.1: is there twice"):  # fmt: skip
        assert part in told
    with pytest.raises(ConfigError, match=r"cem, vine: method = 'cem'"):
        sweep("CartPole-v1", out=tmp_path / "out", method=["trpo", "cem"], sampler=["single-path", "vine"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"task": lambda: None}, "must be a name"),
        ({"seeds": 20_000}, "20,000 trials: at most 10,000"),
        ({"jobs": 0, "iterations": 1}, "jobs = 0"),
        ({"episodes": 0}, "episodes = 0"),
    ],
)
def test_bad_arguments_are_sentences(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(trpolab.settings.PlainError, match=said):
        sweep(**{"task": "CartPole-v1", "out": tmp_path, **given})


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("delta=0.005,0.01", [0.005, 0.01]),
        ("method=trpo,natural_gradient", ["trpo", "natural_gradient"]),
        ("hidden=[64, 64],[32]", [(64, 64), (32,)]),
        ("slots=none,8", [None, 8]),
        ("path.whole=true", [True]),
    ],
)
def test_the_terminal_takes_values_between_commas(text: str, values: list[Any]) -> None:
    assert list(axes_of([text]).values()) == [values]


def test_the_terminal_runs_the_grid_and_prints_its_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    class Ran:
        def __init__(self, trials: Sequence[TrialSpec], out: Path, jobs: int | None, stream: Any, executor: str):
            self.trials, self.out = trials, out
            assert jobs == 2 and stream is not None and executor == "ray"

        def run(self) -> list[TrialResult]:
            return [TrialResult(trial, self.out / "x", "finished", "", 10.0 * trial.seed, 5.0) for trial in self.trials]

    monkeypatch.setattr(sweeps, "Grid", Ran)
    words = "sweep CartPole-v1 --method trpo,cem --set delta=0.1 --set method=rwr --seeds 5 --jobs 2 --steps 9000"
    assert main([*words.split(), "--executor", "ray", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "| CartPole-v1 | trpo | 5     | mean 20 [0.368, 39.6] |" in shown
    assert "| CartPole-v1 | cem  | 5" in shown and shown.endswith(f"{tmp_path / 'curves.csv'}\n")
    assert (tmp_path / "trials.csv").read_text().splitlines()[
        1
    ] == "CartPole-v1,trpo,0,0.1,trpo,9000,finished,0.0,5.0,x,"


def test_bad_words_in_the_terminal_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "CartPole-v1", "--set", "delta", "--set", "x="]) == 2
    assert "2 problems" in capsys.readouterr().err

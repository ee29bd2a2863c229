"""`trpolab.register`: what comes in through the door, and what is refused there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import trpolab
from trpolab.cli import main
from trpolab.registry import RegistrationError
from trpolab.runs.reader import read_metrics
from trpolab.sampling.sampler import SAMPLERS, Sampler
from trpolab.training.checkpoint import CheckpointError
from trpolab.training.config import KINDS, settings
from trpolab.updates import pose, take

MODULE = """
from dataclasses import dataclass
import trpolab
from trpolab.updates import pose, take

@dataclass(frozen=True)
class Plain:
    size: float = trpolab.setting(0.05, "length of the step in θ", low=0, open_low=True)

def plain_step(learner, batch, settings, context):
    problem = pose(learner, batch, context)
    g = problem.gradient()
    return take(learner, problem, problem.theta + (settings.size / g.norm() * g).to(problem.theta.dtype), context)

trpolab.register(trpolab.MethodKind(name="plain", label="plain", settings=Plain, step=plain_step))
"""


@dataclass(frozen=True)
class Mine:
    size: float = trpolab.setting(0.05, "length of the step in θ", low=0, open_low=True)


def mine_step(learner: Any, batch: Any, own: Mine, context: Any) -> Any:
    """A step of a given length along the gradient."""
    problem = pose(learner, batch, context)
    g = problem.gradient()
    return take(learner, problem, problem.theta + (own.size / g.norm() * g).to(problem.theta.dtype), context)


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is gone after it."""
    for kinds in KINDS:
        monkeypatch.setattr(kinds, "_entries", dict(kinds._entries))
    yield


def a_method(**changes: Any) -> trpolab.MethodKind:
    return trpolab.MethodKind(**{"name": "mine", "label": "mine", "settings": Mine, "step": mine_step, **changes})


def test_a_method_of_ones_own_trains_with_its_own_settings() -> None:
    trpolab.register(a_method())
    assert settings()["mine.size"].default == 0.05
    given: dict[str, Any] = {"mine.size": 0.125}
    session = trpolab.train("CartPole-v1", method="mine", iterations=1, steps_per_iteration=256, out=None, **given)
    untrained = trpolab.Session("CartPole-v1", method="mine", out=None, **given)
    moved = session.policy.theta - untrained.policy.theta
    assert session.history[0]["outcome"] == "accepted"
    assert float(moved.norm()) == pytest.approx(0.125, rel=1e-4)
    whole = trpolab.Session("CartPole-v1", method=Mine(size=0.25), out=None)
    assert (whole.config.method, whole.config.get("mine.size")) == ("mine", 0.25)


def test_it_works_in_the_terminal_and_its_run_needs_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plain_method.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    words = ["train", "CartPole-v1", "--method", "plain", "--set", "plain.size=0.1", "--steps-per-iteration", "256"]
    assert main([*words, "--iterations", "1"]) == 2, "not imported yet"
    capsys.readouterr()
    assert main([words[0], "--import", "plain_method", *words[1:], "--iterations", "2"]) == 0
    folder = Path(capsys.readouterr().out.strip().splitlines()[-1])
    about = json.loads((folder / "run.json").read_text())
    assert (about["settings"]["method"], about["settings"]["plain.size"]) == ("plain", 0.1)
    assert about["modules"] == ["plain_method"]
    with pytest.raises(SystemExit):
        main(["train", "--import", "plain_method", "--help"])
    assert "plain.size" in capsys.readouterr().out
    assert main(["train", "--resume", str(folder), "--iterations", "3"]) == 0
    assert len(read_metrics(folder)) == 3

    for kinds in KINDS:
        kinds._entries.pop("plain", None)  # as in a new process
    monkeypatch.delitem(sys.modules, "plain_method")
    with pytest.raises(CheckpointError, match=r"import plain_method first .*--import plain_method\)$") as refused:
        trpolab.Session(resume=folder)
    assert "unknown setting" not in str(refused.value)


def test_a_module_that_cannot_be_imported_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--import", "there_is_no_such_module", "CartPole-v1"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("trpolab: --import there_is_no_such_module: ModuleNotFoundError") and "usage" not in told


@dataclass(frozen=True)
class Bare:
    size: float = 1.0


@dataclass(frozen=True)
class Taken:
    gamma: float = trpolab.setting(0.9, "a discount", flat=True)


@dataclass(frozen=True)
class Beyond:
    size: float = trpolab.setting(2.0, "a default that its own bounds refuse", high=1)


@dataclass(frozen=True)
class Strange:
    size: complex = trpolab.setting(1j, "a kind that no file can hold")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "trpo"}, "the name is taken"),
        ({"name": "Mine"}, "lower-case"),
        ({"step": None}, "step = None: must be a function"),
        ({"settings": Bare}, "Bare.size has no metadata"),
        ({"settings": dict}, "must be a frozen dataclass"),
        ({"part": "vine"}, "'vine' is taken"),
        ({"settings": Taken}, "'gamma' is taken"),
        ({"settings": Beyond}, "mine.size = 2.0: must be <= 1"),
        ({"settings": Strange}, "mine.size is a .*complex.*: must be a bool, int"),
        ({"reads": ("target_kl",)}, "`target_kl` is called `delta` here"),
        ({"reads": "delta"}, "reads = 'delta': must be a tuple of names"),
        ({"samplers": ("single_path",)}, "samplers = 'single_path': is not registered; did you mean single-path"),
        ({"networks": "mlp"}, "networks = 'mlp': must be a tuple of names"),
        ({"label": None}, "label = None: must be a text"),
        ({"name": "none"}, "the name is a value of settings, None"),
        ({"name": "nan"}, "the name is a value of settings, nan"),
        ({"step": lambda learner, batch: None}, r"step must be a function of \(learner, batch, settings, context\)"),
        ({"propose": 3}, "propose = 3: must be a function"),
    ],
)
def test_what_is_not_whole_is_refused_in_a_sentence(changes: dict[str, Any], said: str) -> None:
    before = settings()
    with pytest.raises(RegistrationError, match=said) as refused:
        trpolab.register(a_method(**changes))
    assert "\n" not in str(refused.value)
    assert settings() == before


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda learner: None, "NoneType"),
        (lambda learner: learner, "Learner"),
        (lambda learner: (learner, None), "Learner, NoneType"),
    ],
)
def test_a_step_that_returns_something_else_is_named(returned: Any, said: str) -> None:
    trpolab.register(a_method(step=lambda learner, *given: returned(learner)))
    session = trpolab.Session("CartPole-v1", method="mine", iterations=1, steps_per_iteration=64, out=None)
    with pytest.raises(TypeError, match=rf"method = 'mine': its step returned {said}, not \(Learner, Diagnostics\)"):
        session.run()


def test_a_path_is_no_module(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--import", "./plain_method.py", "CartPole-v1"]) == 2
    assert "give the module's name, such as plain_method" in capsys.readouterr().err


def test_what_every_kind_needs_is_asked_for_in_one_way() -> None:
    functions = {"method": "step", "sampler": "make", "network": "make", "distribution": "make", "simulator": "make"}
    for kinds in KINDS:
        with pytest.raises(RegistrationError, match=f"{kinds.what} 'mine': label = None: must be a text"):
            trpolab.register(kinds.entry(name="mine"))
        with pytest.raises(RegistrationError, match=f"{functions[kinds.what]} = None: must be a function"):
            trpolab.register(kinds.entry(name="mine", label="mine"))
        with pytest.raises(RegistrationError, match="a name has lower-case letters"):
            trpolab.register(kinds.entry())


def test_a_sampler_without_settings_runs() -> None:
    class Short(Sampler):
        """Single path, 64 steps an iteration."""

        def __init__(self, resources: Any):
            self.path = SAMPLERS["single-path"].make(resources)

        def collect(self, learner: Any, settings: None, *rest: Any) -> Any:
            assert settings is None
            return self.path.collect(learner, trpolab.SinglePath(steps_per_iteration=64), *rest)

        def close(self) -> None:
            self.path.close()

    kind = {"name": "short", "label": "short", "cost": lambda own, task, slots: 64, "needs_value": lambda own: True}
    trpolab.register(trpolab.SamplerKind(make=Short, **kind))
    session = trpolab.train("CartPole-v1", sampler="short", iterations=1, slots=8, out=None)
    assert session.history[0]["outcome"] and "short" not in session.config.parts


def test_a_sampler_that_makes_or_collects_nothing_is_named() -> None:
    kind = {"name": "short", "label": "short", "cost": lambda own, task, slots: 64}
    trpolab.register(trpolab.SamplerKind(make=lambda resources: None, **kind))
    with pytest.raises(RegistrationError, match="SamplerKind 'short': its make returned a NoneType, not a Sampler"):
        trpolab.train("CartPole-v1", sampler="short", iterations=1, out=None)


@dataclass(frozen=True)
class Renewed:
    size: float = trpolab.setting(0.07, "length of the step in θ", low=0, open_low=True)
    other: int = trpolab.setting(1, "one more", low=0)


def test_a_cell_that_is_run_again_replaces_what_it_registered() -> None:
    trpolab.register(a_method())
    trpolab.register(a_method(settings=Renewed, label="renewed"))
    assert settings()["mine.size"].default == 0.07 and settings()["mine.other"].default == 1
    assert trpolab.Session("CartPole-v1", method=Renewed(other=2), out=None).config.get("mine.other") == 2

    def elsewhere(learner: Any, batch: Any, own: Any, context: Any) -> Any:
        raise NotImplementedError

    for changes in ({"step": elsewhere}, {"name": "trpo"}):
        with pytest.raises(RegistrationError, match="the name is taken"):
            trpolab.register(a_method(**changes))


def test_only_kinds_are_registered() -> None:
    with pytest.raises(RegistrationError, match="MethodKind, SimulatorKind"):
        trpolab.register(mine_step)  # type: ignore[type-var]

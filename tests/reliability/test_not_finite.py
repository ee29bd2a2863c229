"""R10, R11: whatever is not finite skips the iteration, changes nothing, is named, and ends the run the third time."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.faults.points import plant
from tests.sampling.scripted import ScriptedSimulator
from tests.sampling.test_trajectories import collect, paths, policy  # noqa: F401  (a fixture)
from trpolab.policies import FitStatus, Policy
from trpolab.sampling.errors import NonFinite
from trpolab.selftest.physics import Switch, skips_what_is_not_finite
from trpolab.training import checkpoint, loop
from trpolab.training.loop import Diverged, Iteration
from trpolab.training.session import Session

SMALL = {"steps_per_iteration": 160, "slots": 4, "fisher_fraction": 1.0}
BAD = [np.nan, np.inf, -np.inf]


def run_with_fault(session: Session, turn: Callable[[bool], None], at: int) -> list[Iteration]:
    """All iterations; the fault is there in iteration `at` and in no other."""
    done = []
    for iteration in session.iterate():
        done.append(iteration)
        turn(iteration.index == at - 1)
    return done


@pytest.mark.reliability("R10")
@pytest.mark.parametrize("field", ["observation", "reward"])
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("whole", [False, True], ids=["going on", "whole paths"])
def test_a_bad_number_from_the_environment_skips_one_iteration_and_changes_nothing(
    field: str, bad: float, whole: bool, tmp_path: Path
) -> None:
    settings = {"normalize_observations": True, "path.whole": whole, "path.horizon": 20, "fisher_fraction": 1.0}
    skips_what_is_not_finite(tmp_path, field, bad, **settings)


@pytest.mark.reliability("R10")
@pytest.mark.parametrize("run", [collect, lambda s, p, n: paths(2, p, episodes=3)])
def test_an_action_that_is_not_finite_is_refused_before_the_step(run, policy: Policy, monkeypatch) -> None:  # noqa: F811
    taken = []
    honest = ScriptedSimulator.step
    monkeypatch.setattr(ScriptedSimulator, "step", lambda self, *given: taken.append(given) or honest(self, *given))
    theta = policy.theta.clone()
    theta[-2] = 3.4e38  # the output's bias; a mean that σ·noise carries beyond float32
    loud = policy.replace(theta=theta)
    assert np.isfinite(loud.actor(2).parameters(np.zeros((2, 2), np.float32))).all()
    theta[-1] = 200.0
    monkeypatch.setattr(type(policy.distribution), "sample_from", lambda self, u, noise: u[:, :1] * np.float32(10))
    with pytest.raises(NonFinite, match="slot 0, step 0: non-finite action"):
        run(ScriptedSimulator(2), loud, 3)
    assert taken == []


@pytest.mark.reliability("R10", "R11")
def test_three_in_a_row_end_the_run_and_the_last_good_checkpoint_is_named(tmp_path: Path) -> None:
    switch = Switch("reward")
    session = Session(switch.task(), out=tmp_path, iterations=9, checkpoint_every=1, **SMALL)
    good: list[Iteration] = []
    with pytest.raises(Diverged, match=r"3 iterations.*non-finite reward.*last good checkpoint") as told:
        for iteration in session.iterate():
            if iteration.metrics["outcome"].startswith("accepted"):
                good.append(iteration)
            switch.on = iteration.index >= 2
    assert len(session.history) == 5
    status = json.loads((session.path / "status.json").read_text())
    assert status["state"] == "diverged" and "last good checkpoint" in status["message"]
    named = session.path / str(told.value).rpartition(" ")[2]
    assert named.is_dir() and int(named.name) == good[-1].index
    switch.on = False
    saved = checkpoint.read(session.path)
    assert torch.equal(saved.train_state.progress.learner.policy.theta, good[-1].learner.policy.theta)
    resumed = Session(switch.task(), resume=session.path, iterations=4).run()
    assert resumed.state == "finished" and resumed.history[-1]["outcome"].startswith("accepted")


def test_without_a_checkpoint_it_says_so() -> None:
    switch = Switch("reward")
    switch.on = True
    with pytest.raises(Diverged, match="there is no checkpoint before"):
        Session(switch.task(), out=None, iterations=9, normalize_observations=False, **SMALL).run()


FAULTS = {  # by what names them in the message
    "the gradient of the surrogate": "a gradient that is NaN",
    "Fisher-vector product": "a Fisher product that is infinite",
    "q_values is not finite in row 7": "an advantage that is NaN",
    "value function": "a value function's error that is infinite",
}


@pytest.mark.reliability("R11")
@pytest.mark.parametrize("name", list(FAULTS))
def test_a_bad_number_in_the_update_is_named_and_changes_nothing(name: str) -> None:
    session = Session("CartPole-v1", out=None, iterations=4, **SMALL)
    with pytest.MonkeyPatch.context() as patch:
        done = run_with_fault(session, lambda on: plant(FAULTS[name], patch) if on else patch.undo(), at=3)
    assert [iteration.metrics["outcome"] == "skipped_nonfinite" for iteration in done] == [False, False, True, False]
    assert name in done[2].metrics["message"]
    assert done[2].learner.policy.theta is done[1].learner.policy.theta
    assert done[2].learner.value is done[1].learner.value
    for metric in ("kl_mean", "surrogate_gain", "step_fraction"):
        assert done[2].metrics[metric] is None


@pytest.mark.reliability("R11")
@pytest.mark.parametrize("name", list(FAULTS))
def test_three_bad_updates_in_a_row_end_the_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(FAULTS[name], monkeypatch)
    session = Session("CartPole-v1", out=None, iterations=9, **SMALL)
    start = session.policy.theta
    with pytest.raises(Diverged, match=re.escape(name)):
        session.run()
    assert len(session.history) == 3 and session.policy.theta is start
    assert [event["event"] for event in session.events] == ["skipped_nonfinite", "diverged"]


@pytest.mark.reliability("R11")
def test_a_failed_value_fit_takes_the_policys_step_back(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = loop.fit_value

    def failing(*given):
        value, report = honest(*given)
        return value, dataclasses.replace(report, status=FitStatus.NONFINITE, message="its error is not finite")

    session = Session("CartPole-v1", out=None, iterations=2, **SMALL)
    start = session.policy.theta
    monkeypatch.setattr(loop, "fit_value", failing)
    session.run()
    assert session.policy.theta is start and session.learner.value.fits == 0

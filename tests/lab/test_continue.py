"""A run folder opened in the lab: shown at once, and gone on with as if nothing had been."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch

import trpolab
from tests.lab.test_lab import drawn, press, until
from tests.reliability.runs import session
from trpolab.lab import view
from trpolab.lab.lab import Lab
from trpolab.runs.reader import RunFolderError, read_status
from trpolab.selftest.children import CARTPOLE
from trpolab.selftest.expect import contents, expect_same
from trpolab.training import recorder

SETTINGS = {name: value for name, value in CARTPOLE.items() if name != "task"}


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run of cart-pole, stopped in a lab after three iterations."""
    lab = Lab("CartPole-v1", out=tmp_path, iterations=6, **SETTINGS)
    lab.run(block=True, iterations=3)
    lab.close()
    assert lab.session.path is not None
    return lab.session.path


def test_a_stopped_run_is_shown_and_gone_on_with_bit_for_bit(stopped: Path) -> None:
    assert read_status(stopped).state == "stopped"
    lab = Lab(resume=stopped, iterations=6)
    assert lab.state == "ready" and len(lab.history) == 3
    assert lab.view.page.buttons["run"].description == "Continue"
    assert drawn(lab, "iteration") == [1, 2, 3]
    assert "iteration 3" in lab.view.page.status.value
    press(lab, "run")
    until(lambda: lab.state == "finished")
    lab.refresh()
    assert drawn(lab, "iteration") == [1, 2, 3, 4, 5, 6]
    assert lab.view.page.buttons["run"].description == "Run"
    expect_same(lab.session, session(iterations=6).run())
    lab.close()


def test_a_run_killed_in_its_fourth_iteration_is_gone_on_with_too(stopped: Path) -> None:
    status = json.loads((stopped / "status.json").read_text())
    (stopped / "status.json").write_text(json.dumps({**status, "state": "running", "process_ticks": 1}))
    lab = Lab(resume=stopped)
    lab.run(block=True, iterations=1)
    assert [event["event"] for event in lab.session.events] == ["taken_over", "resumed"]
    assert torch.equal(lab.policy.theta, session(iterations=4).run().policy.theta)
    lab.close()


def test_reset_after_that_starts_afresh_in_a_folder_of_its_own(stopped: Path) -> None:
    before = contents(stopped)
    lab = Lab(resume=stopped, out=stopped.parent, iterations=9)
    lab.reset()
    assert lab.session.progress.iteration == 0 and lab.controls.requested.iterations == 9
    lab.run(block=True, iterations=1)
    assert lab.session.path != stopped
    lab.close()
    assert contents(stopped) == before


@pytest.mark.parametrize("given", [None, 4])
def test_reset_keeps_the_iterations_as_they_were_given(given: int | None) -> None:
    asked: dict[str, Any] = {} if given is None else {"iterations": given}
    lab = Lab("CartPole-v1", out=None, **SETTINGS, **asked)
    first = lab.controls.requested.iterations
    lab.run(block=True, iterations=5)  # beyond those, where they were given
    lab.reset()
    assert lab.controls.requested.iterations == first
    lab.controls.replace(iterations=7)
    lab.reset()
    assert lab.controls.requested.iterations == 7
    lab.close()


def test_a_folder_that_is_no_run_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not a run folder"):
        Lab(resume=tmp_path)


def test_trouble_with_the_folder_is_shown_and_taken_away(make_lab: Any) -> None:
    lab = make_lab()
    lab.session.trouble = "the run folder can't be written (<b>No space</b>)"
    lab.refresh()
    lab.view.stroke()
    assert "can&#x27;t be written (&lt;b&gt;No space" in lab.view.page.error.value
    lab.session.trouble = ""
    lab.refresh()
    assert lab.view.page.error.value == ""


def test_what_a_resumption_found_is_shown(tmp_path: Path) -> None:
    """Episodes that can't be brought back, and environments that are others."""
    tiny: dict[str, Any] = {"steps_per_iteration": 64, "slots": 2, "hidden": (4,), "checkpoint_every": 1, "threads": 1}
    run = trpolab.train(
        lambda: gymnasium.wrappers.NormalizeReward(gymnasium.make("Pendulum-v1")), out=tmp_path, iterations=1, **tiny
    )
    lab = Lab(lambda: gymnasium.make("Pendulum-v1"), resume=run.path, iterations=2, changed_environment=True)
    lab.run(block=True)
    lab.view.stroke()
    shown = lab.view.page.error.value
    assert "environment: it goes on with other environments (wrappers: NormalizeReward(" in shown
    assert "episodes cut: slot 0: Pendulum-v1 does not come to the same score" in shown
    lab.close()


def test_the_header_names_what_runs_the_update_and_a_change_is_said(stopped: Path, monkeypatch) -> None:
    lab = Lab(resume=stopped)
    assert " · CPU" in lab.view.page.status.value
    lab.close()
    for module in (recorder, view):
        monkeypatch.setattr(module, "device_name", lambda name: "NVIDIA Pocket" if name == "auto" else "CPU")
    lab = Lab(resume=stopped, device="auto")
    lab.run(block=True, iterations=1)
    lab.refresh()
    assert " · NVIDIA Pocket" in lab.view.page.status.value
    said = "from iteration 4 on the update runs on NVIDIA Pocket, no longer on CPU: bits may differ from here on"
    assert said in lab.view.page.error.value
    lab.close()


def test_a_run_whose_steps_are_spent_goes_on_when_run_is_pressed_again() -> None:
    lab = Lab("CartPole-v1", out=None, steps=600, normalize_observations=False, **SETTINGS)
    lab.run(block=True)
    assert lab.state == "finished" and lab.history[-1]["sim_steps"] == 512
    lab.run(block=True, iterations=2)
    assert lab.history[-1]["sim_steps"] == 1024
    lab.close()

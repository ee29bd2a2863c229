"""A run that was ended in any way goes on as the run that would have been."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.reliability.runs import CHECKED, RUNS, killed_and_resumed, session, whole
from trpolab.runs.reader import read_metrics
from trpolab.selftest.expect import expect_same
from trpolab.selftest.runs import resumes_bit_for_bit
from trpolab.training import loop, retention
from trpolab.training.session import Session

pytestmark = pytest.mark.reliability("R2")


@pytest.mark.parametrize("name", ["cart-pole", "Swimmer", "tabular vine", "Gymnasium"])
def test_after_a_kill(tmp_path: Path, name: str) -> None:
    killed_and_resumed(tmp_path, name)


@pytest.mark.parametrize("name", sorted(set(RUNS) - set(CHECKED)))
def test_after_a_stop_and_after_an_iteration_given_up(tmp_path: Path, name: str) -> None:
    resumes_bit_for_bit(tmp_path, {name: RUNS[name]})


def test_atari(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Emulators in worker processes, frames in the checkpoint."""
    pytest.importorskip("ale_py")
    settings = {"task": "ALE/Pong-v5", "steps_per_iteration": 16, "slots": 2, "threads": 1}
    monkeypatch.setitem(RUNS, "Pong", settings)
    reference = session("Pong", iterations=3).run()
    first = session("Pong", out=tmp_path, iterations=3)
    for iteration in first.iterate():
        if iteration.index == 1:
            first.controls.stop()
    expect_same(Session(resume=first.path).run(), reference)


@pytest.mark.parametrize("name", ["cart-pole", "Hopper", "vine", "Gymnasium"])
def test_in_the_same_process(name: str) -> None:
    """Stopped and started again in memory: the episodes go on where they were."""
    reference = session(name, iterations=6).run()
    run = session(name, iterations=6)
    for iteration in run.iterate():
        if iteration.index in (1, 4):
            run.controls.stop()
    run.run()
    run.run()
    assert run.state == "finished"
    expect_same(run, reference)


def test_a_run_killed_before_its_first_checkpoint_starts_from_its_seed(tmp_path: Path) -> None:
    reference = session(iterations=4).run()
    first = session(out=tmp_path, iterations=4)
    loop_of_first = first.iterate()
    next(loop_of_first)
    first._recorder._folder.close()  # as a kill leaves it: no last checkpoint
    first._recorder._folder = None
    loop_of_first.close()
    again = Session(resume=next(tmp_path.iterdir()))
    assert again.progress.iteration == 0
    expect_same(again.run(), reference)


def test_knobs_turned_in_iterations_that_are_done_again_are_turned_again(tmp_path: Path) -> None:
    def turn(run: Session, until: int) -> Session:
        for iteration in run.iterate():
            if iteration.index == 3:
                run.controls.replace(delta=0.05, gamma=0.9)
            if iteration.index == 4:
                run.controls.replace(sampler="vine", **{"vine.states": 5, "vine.trunk_length": 40})
            if iteration.index == until:
                break
        return run

    reference = turn(session(iterations=6), 6)
    first = turn(session(out=tmp_path, iterations=6, checkpoint_every=2), 5)
    assert first.path is not None
    for late in ("000005", "000004"):  # as if it had been killed there; the lines of metrics stay
        for file in (first.path / "ckpt" / late).iterdir():
            file.unlink()
        (first.path / "ckpt" / late).rmdir()
    again = Session(resume=first.path)
    assert again.progress.iteration == 2
    expect_same(again.run(), reference)
    given = Session(resume=first.path, iterations=8, delta=0.01).run()
    assert [row["delta"] for row in given.history][-2:] == [0.01, 0.01]


def test_a_setting_asked_for_but_not_yet_in_use_is_kept(tmp_path: Path) -> None:
    run = session(out=tmp_path, iterations=5)
    for iteration in run.iterate():
        if iteration.index == 2:
            run.controls.replace(delta=0.05)
            run.controls.stop()
    again = Session(resume=run.path).run()
    assert [row["delta"] for row in again.history] == [0.01, 0.01, 0.05, 0.05, 0.05]
    assert [row.get("changed") for row in again.history][2] == {"delta": 0.05}


def test_a_methods_own_state_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = loop._learn_once

    def with_state(learner, config, index, *rest):
        done = honest(learner, config, index, *rest)
        count = learner.state.get("count", np.zeros(1, np.int64)) + 1
        state = {"count": count, "mean": done.learner.policy.theta.numpy().astype(np.float64) / 3}
        return loop.replace(done, learner=done.learner.replace(state=state))

    monkeypatch.setattr(loop, "_learn_once", with_state)
    reference = session(iterations=5).run()
    first = session(out=tmp_path, iterations=3).run()
    again = Session(resume=first.path, iterations=5)
    assert again.learner.state["count"].tolist() == [3]
    expect_same(again.run(), reference)


def test_an_environment_that_does_not_repeat_itself_begins_new_episodes_and_says_so(tmp_path: Path) -> None:
    import gymnasium

    class Restless(gymnasium.Env):
        """Noise of its own, which no seed reaches."""

        observation_space = gymnasium.spaces.Box(-9, 9, (2,), np.float64)
        action_space = gymnasium.spaces.Discrete(2)
        noise = np.random.default_rng(0)

        def reset(self, *, seed=None, options=None):
            self.t = 0
            return self.noise.normal(size=2), {}

        def step(self, action):
            self.t += 1
            return self.noise.normal(size=2), float(action), False, self.t >= 1000, {}

    settings = {"steps_per_iteration": 64, "slots": 2, "hidden": (4,), "value.hidden": (4,)}
    first = Session(Restless, out=tmp_path, iterations=2, **settings).run()
    again = Session(Restless, resume=first.path, iterations=3).run()
    (cut,) = [event for event in again.events if event["event"] == "episodes_cut"]
    assert "does not come to the same observation" in cut["message"]
    assert len(read_metrics(first.path)) == 3


def test_the_last_three_checkpoints_stay_and_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SPREAD", 0)  # those that a run can go back to are judged in tests/training
    run = session(out=tmp_path, iterations=12, checkpoint_every=1, steps_per_iteration=512)
    scores = {}
    for _ in run.iterate():
        scores[run.progress.iteration] = run.progress.score or -np.inf
        if run.progress.iteration == 6:
            run.controls.replace(delta=1.0, max_tries=1, damping=0.0)  # ruins it
    assert run.path is not None
    kept = {int(path.name) for path in (run.path / "ckpt").iterdir()}
    best = max(scores, key=lambda index: scores[index])
    assert kept == {best, 10, 11, 12}
    assert len(list((run.path / "policies").iterdir())) == 12


def test_iterations_that_are_done_already_are_refused_and_a_run_that_is_gone_on_with_is_too(tmp_path: Path) -> None:
    run = session(out=tmp_path, iterations=3).run()
    with pytest.raises(ValueError, match="iterations = 1: the run has done 3 already"):
        Session(resume=run.path, iterations=1)
    late = Session(resume=run.path, iterations=5)
    Session(resume=run.path, iterations=4).run()
    with pytest.raises(ValueError, match="has gone on since this session was at its iteration 3"):
        late.run()


def test_a_session_whose_folder_was_gone_on_with_elsewhere_does_not_write_over_it(tmp_path: Path) -> None:
    run = session(out=tmp_path, iterations=3).run()
    assert run.path is not None
    Session(resume=run.path, iterations=5).run()
    run.controls.replace(iterations=6)
    with pytest.raises(ValueError, match="has gone on since this session was at its iteration 3"):
        run.run()
    assert whole(run.path).iteration == 5
    expect_same(Session(resume=run.path, iterations=6).run(), session(iterations=6).run())

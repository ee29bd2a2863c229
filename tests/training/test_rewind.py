"""Going back to an iteration of a run, and settings that are turned by a schedule."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.reliability.runs import session, whole
from trpolab.runs.reader import RunFolderError, load_policy, read_lines, read_metrics, read_run
from trpolab.selftest.expect import contents, expect_metrics, expect_same
from trpolab.settings import ConfigError
from trpolab.training import checkpoint, retention
from trpolab.training.session import Session

VINE = {"sampler": "vine", "vine.states": 5, "vine.trunk_length": 40}


@pytest.fixture
def parent(tmp_path: Path) -> Session:
    return session(out=tmp_path, iterations=6, checkpoint_every=2).run()


def steered(turns: dict[int, dict[str, Any]], **settings: Any) -> Session:
    """A run whose knobs a person turns between iterations."""
    run = session(**settings)
    run.controls.replace(**turns.get(1, {}))
    for iteration in run.iterate():
        run.controls.replace(**turns.get(iteration.index + 1, {}))
    return run


@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_rewound_run_is_its_parent_bit_for_bit(parent: Session, at: int) -> None:
    before = contents(parent.path)
    again = Session(resume=parent.path, at=at, out=parent.path.parent)
    assert again.progress.iteration == at == len(again.history)
    expect_same(again.run(), parent)
    assert again.path != parent.path and contents(parent.path) == before
    assert read_run(again.path)["parent"] == {"run": parent.path.name, "iteration": at} == again.parent
    assert again.events[0]["event"] == "rewound"
    assert {row["segment"] for row in read_metrics(again.path)} == {0}
    assert whole(again.path).iteration == 6 and torch.equal(load_policy(again.path).theta, parent.policy.theta)


@pytest.mark.parametrize("name", ["Hopper", "vine", "cross-entropy method"])
def test_so_it_is_with_episodes_under_way_branches_and_searches(tmp_path: Path, name: str) -> None:
    parent = session(name, out=tmp_path, iterations=4, checkpoint_every=2).run()
    expect_same(Session(resume=parent.path, at=2, out=tmp_path).run(), parent)


def test_it_goes_on_with_other_settings_and_from_those_of_that_iteration(tmp_path: Path) -> None:
    parent = steered({2: {"delta": 0.03}, 5: {"gamma": 0.9}}, out=tmp_path, iterations=6, checkpoint_every=2)
    again = Session(resume=parent.path, at=4, out=tmp_path, **VINE).run()
    expect_metrics(again.history[:4], parent.history[:4], "what the parent did")
    expect_same(again, steered({2: {"delta": 0.03}, 5: VINE}, iterations=6))
    assert again.history[4]["changed"] == VINE, "what was turned in the parent later is not turned"
    later = Session(resume=again.path, iterations=7).run()
    expect_same(later, steered({2: {"delta": 0.03}, 5: VINE}, iterations=7))
    assert later.parent == again.parent


def test_a_rewound_run_is_in_memory_where_nothing_is_to_be_written(parent: Session) -> None:
    expect_same(Session(resume=parent.path, at=2, out=None).run(), parent)
    assert len(list(parent.path.parent.iterdir())) == 1


def test_a_rewound_run_that_was_killed_at_once_says_what_to_do(parent: Session) -> None:
    again = Session(resume=parent.path, at=2, out=parent.path.parent).run()
    for entry in (again.path / "ckpt").iterdir():
        shutil.rmtree(entry)
    with pytest.raises(RunFolderError, match=f"rewind {parent.path.name} again, to iteration 2"):
        Session(resume=again.path)


def test_only_iterations_with_a_checkpoint_are_kept_and_that_is_said(parent: Session, tmp_path: Path) -> None:
    def refused(at: Any) -> str:
        with pytest.raises(RunFolderError) as error:
            Session(resume=parent.path, at=at)
        return str(error.value)

    assert checkpoint.kept(parent.path) == [0, 2, 4, 6]
    said = refused(3)
    assert f"at = 3: {str(parent.path)!r} can go back to iterations 0, 2, 4, 6" in said
    line = said.partition("the policy only: ")[2]
    assert line == f"trpolab.load_policy({str(parent.path / 'policies' / '000003.safetensors')!r})"
    for odd in (7, -1, "2", True, 2.5):
        assert f"at = {odd!r}: " in refused(odd) and "policy only" not in refused(odd)
    assert Session(resume=parent.path, at=np.int64(2), out=tmp_path).progress.iteration == 2
    with pytest.raises(ConfigError, match="at = 2: goes with resume"):
        Session("CartPole-v1", at=2)
    with pytest.raises(ConfigError, match="seed = 5: a run that is resumed keeps its own"):
        Session(resume=parent.path, at=2, seed=5)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_checkpoint_is_none_to_go_back_to(parent: Session) -> None:
    (parent.path / "ckpt" / "000002" / "state.json").write_text("{}")
    with pytest.raises(RunFolderError, match="can go back to iterations 0, 4, 6"):
        Session(resume=parent.path, at=2)
    expect_same(Session(resume=parent.path, at=4, out=None).run(), parent)


def test_earlier_checkpoints_stay_spread_over_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SPREAD", 4)
    run = session(out=tmp_path, iterations=24, checkpoint_every=1, steps_per_iteration=64).run()
    assert run.path is not None
    *earlier, a, b, c = checkpoint.kept(run.path)
    assert [a, b, c] == [22, 23, 24] and len(earlier) <= 1 + 4 + 1
    assert max(late - early for early, late in zip(earlier, [*earlier[1:], a], strict=True)) <= 10
    monkeypatch.setattr(retention, "SPREAD_BYTES", 1)  # no room for any
    assert len(checkpoint.kept(Session(resume=run.path, iterations=25).run().path)) <= 1 + 3 + 1


# Schedules

TURNS = {
    1: {"gamma": 0.98},
    3: {"delta": 0.05, "method": "natural_gradient"},
    4: VINE,
    5: {"method": "cem", "sampler": "single-path"},
}


def test_a_schedule_turns_what_a_person_would(tmp_path: Path) -> None:
    scheduled = session(out=tmp_path, iterations=6, schedule=TURNS).run()
    expect_same(scheduled, steered(TURNS, iterations=6))


def test_a_schedules_iterations_may_be_numpys(tmp_path: Path) -> None:
    turned = session(iterations=6, schedule={np.int64(at): changes for at, changes in TURNS.items()}, out=tmp_path)
    assert turned._schedule.keys() == TURNS.keys() and all(type(at) is int for at in turned._schedule)
    with pytest.raises(ConfigError, match=r"schedule, iteration 0: must be a whole number > 0"):
        session(schedule={np.int64(0): {"delta": 0.1}}, out=tmp_path)


def test_a_schedule_outlives_the_process(tmp_path: Path) -> None:
    first = session(out=tmp_path, iterations=6, schedule=TURNS)
    for iteration in first.iterate():
        if iteration.index == 2:
            first.controls.stop()
    expect_same(Session(resume=first.path).run(), steered(TURNS, iterations=6))
    (event,) = (line for line in read_lines(first.path / "events.jsonl") if line["event"] == "scheduled")
    assert event["schedule"]["3"] == TURNS[3]
    (first.path / "events.jsonl").write_text(json.dumps({**event, "schedule": {"x": 5, "7": [1]}}) + "\n")
    assert Session(resume=first.path, iterations=7).run().state == "finished"


def test_a_run_is_taken_up_with_a_schedule(tmp_path: Path) -> None:
    first = session(out=tmp_path, iterations=2).run()
    again = Session(resume=first.path, iterations=5, schedule={4: {"delta": 0.05}}).run()
    expect_same(again, steered({4: {"delta": 0.05}}, iterations=5))


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (5, "schedule = 5: must be a table of settings by iteration"),
        ({3: 0.05}, "must be a table of settings by iteration"),
        ({0: {"delta": 0.05}}, "schedule, iteration 0: must be a whole number > 0"),
        ({"3": {"delta": 0.05}}, "schedule, iteration '3': must be a whole number"),
        ({3: {"delta": -1}}, "schedule, iteration 3: delta = -1: must be > 0"),
        ({3: {"hidden": (4,)}}, "schedule, iteration 3: hidden can't change while a run goes on"),
        ({3: {"dleta": 1}}, "schedule, iteration 3: unknown setting 'dleta'"),
    ],
)
def test_a_schedule_that_cannot_be_is_told_before_anything_begins(schedule: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        session(out=tmp_path, schedule=schedule)
    assert said in str(error.value) and not list(tmp_path.iterdir())

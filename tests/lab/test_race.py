"""A race of methods: fair in steps, stoppable, and it says what it cannot run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import torch

pytest.importorskip("ipywidgets", reason='needs the lab: pip install "trpolab[lab]"')

from ipywidgets.widgets.widget import _instances

from trpolab.lab.race import NOBODY, Race
from trpolab.settings import ConfigError, PlainError
from trpolab.training.session import train

TASK = "paper/CartPole"


@pytest.fixture
def make_race() -> Iterator[Callable[..., Race]]:
    made: list[Race] = []

    def build(*given, **named) -> Race:
        made.append(Race(*given, **named))
        return made[-1]

    yield build
    for race in made:
        race.close(keep_view=False)


@pytest.mark.parametrize("steps", ["many", 0, 1.5, True])
def test_a_budget_that_is_none_is_refused_before_anything_is_made(steps: object) -> None:
    with pytest.raises(PlainError, match=f"steps = {steps!r}: must be a whole number, at least 1"):
        Race(TASK, ("trpo",), steps=steps)


def test_closing_closes_every_widget(make_race) -> None:
    before = set(_instances)
    race = make_race(TASK, ("trpo", "cem"))
    assert len(set(_instances) - before) > 15
    race.close(keep_view=False)
    assert set(_instances) - before == set()


def test_all_get_the_same_steps_and_learn_what_they_learn_alone(make_race) -> None:
    threads = torch.get_num_threads()
    race = make_race(TASK, ("trpo", "cem"), steps=8000, seed=3).start(block=True)
    assert [runner.method for runner in race.runners] == ["trpo", "cem"]
    for runner in race.runners:
        assert runner.spent >= 8000
        assert len(runner.steps) == len(runner.seconds) == len(runner.returns) > 0
        alone = train(TASK, out=None, method=runner.method, seed=3, iterations=runner.session.progress.iteration)
        assert torch.equal(alone.policy.theta, runner.session.policy.theta)
    assert "<svg" in race.picture.value and "TRPO" in race.picture.value and "CEM" in race.picture.value
    assert race.button.description == "Start" and not race.running
    assert torch.get_num_threads() == threads


def test_whoever_has_spent_fewest_goes_next(make_race) -> None:
    race = make_race(TASK, ("trpo", "policy_gradient"), steps=12_000).start(block=True)
    first, second = (runner.session.history for runner in race.runners)
    assert abs(len(first) - len(second)) <= 1


def test_the_button_starts_and_stops(make_race) -> None:
    race = make_race(TASK, ("trpo",), steps=10**8)
    race.button.click()
    assert race.running and race.button.description == "Stop"
    race.button.click()
    assert race._thread is not None
    race._thread.join(60)
    assert not race.running and race.runners[0].spent < 10**8


def test_what_cannot_run_is_said_in_its_place(make_race) -> None:
    race = make_race("Hopper-v5", ("reps",), steps=1000).start()
    assert "5,126 parameters" in race.message.value and not race.running
    with pytest.raises(ConfigError, match="5,126 parameters"):
        race.start(block=True)
    with pytest.raises(ValueError, match="one to 3 of trpo"):
        make_race(TASK, ("nonsense",))


def test_an_error_of_the_thread_is_shown(make_race, monkeypatch) -> None:
    race = make_race(TASK, ("trpo",), steps=4000)

    def broken(metrics) -> None:
        raise ArithmeticError("boom")

    monkeypatch.setattr("trpolab.lab.race.RaceLane.note", lambda self, metrics: broken(metrics))
    with pytest.raises(ArithmeticError, match="boom"):  # who waits is told as Python tells it
        race.start(block=True)
    assert "ArithmeticError: boom" in race.message.value
    monkeypatch.undo()
    assert race.start(block=True) is race and race.message.value == ""


def test_nobody_leaves_a_lane_empty_and_closing_ends_the_thread(make_race) -> None:
    race = make_race(TASK, ("trpo", "cem"), steps=10**8)
    race.lanes[1].value = NOBODY
    race.start()
    assert len(race.runners) == 1
    race.close(keep_view=False)
    assert not [thread for thread in threading.enumerate() if thread.name == "trpolab-race"]

"""The growth of costs against costs that are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from trpolab.bench import cost
from trpolab.policies import Policy
from trpolab.training.session import Session


def test_a_part_that_costs_what_its_setting_says_grows_as_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ran:
        def __init__(self, task: str, **given: Any):
            self.policy = SimpleNamespace(size=sum(given.get("hidden", (0,))))
            known = given.get("threads", 1) * given["steps_per_iteration"] / 1000
            # the first iteration does not count, nor does one that took long
            seconds = (99.0, known, 98.0, known)
            self.history = [{"seconds_sampling": s, "seconds_update": s / 4, "seconds_value": s / 4} for s in seconds]

        def run(self) -> None: ...

    monkeypatch.setattr(cost, "Session", Ran)
    base = {"steps_per_iteration": 2000}
    monkeypatch.setattr(
        cost,
        "STUDIES",
        (
            cost.Study("sampling", cost.SAMPLING, "steps_per_iteration", (1000, 3000), "x", {}),
            cost.Study("update", cost.UPDATE, "hidden", ((4, 4), (8, 8)), "x", base),
        ),
    )
    assert cost.cost(lambda line: None).rows == [
        "sampling | steps_per_iteration | 1,000 | 1.00 | 1.000 | 1.00",
        "sampling | steps_per_iteration | 3,000 | 3.00 | 3.000 | 3.00",
        "update | hidden | 4 x 4 | 1.00 | 1.000 | 1.00",
        "update | hidden | 8 x 8 | 2.00 | 1.000 | 1.00",
    ]


@pytest.mark.parametrize("study", cost.STUDIES, ids=lambda study: f"{study.what}, {study.setting}")
def test_every_study_can_be_run(study: cost.Study) -> None:
    """With the smallest of its values, and both networks as wide as it says."""
    given = {**study.given, study.setting: study.values[0], "iterations": 1}
    session = Session(study.task, out=None, **{**given, "threads": 1})
    assert isinstance(session.policy, Policy) and all(part in session.run().history[0] for part in study.parts)
    assert {study.setting} <= set(session.controls.requested.settings())


def test_the_papers_swimmer_is_two_hundred_of_the_median(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ran:
        def __init__(self, task: str, out: None, *, iterations: int, preset: str, sampler: str, proposal: str):
            assert (task, preset) == ("paper/Swimmer", "paper")
            seconds = [50.0, *[1.0 if sampler == "vine" else 2.0] * (iterations - 2), 90.0]
            self.history = [{"seconds_total": s, "sim_steps": 100 * k} for k, s in enumerate(seconds)]

        def run(self) -> None: ...

    monkeypatch.setattr(cost, "Session", Ran)
    assert cost.swimmer(lambda line: None).rows == [
        "vine | 100 | 3.3 | 4 | yes",
        "single-path | 100 | 6.7 | 6 | no",
    ]

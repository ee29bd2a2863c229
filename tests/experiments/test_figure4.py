"""The comparison of Section 8.1: its trials, the sweep of the natural gradient, and the claims, also planted ones."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise
from pathlib import Path

import pytest

from trpolab.experiments import figure4
from trpolab.experiments.figure4 import EASY, HOPPER, SWEEP_SEED, SWIMMER, TASKS, WALKER, claims, trials_of
from trpolab.experiments.grid import planned
from trpolab.experiments.results import Curve, markdown, read_curves
from trpolab.experiments.trial import TrialResult

pytest.importorskip("cma", reason='needs cma: pip install "trpolab[cma]"')

KEPT_SCALES = ("small", "medium")  # that were really run


@pytest.mark.parametrize("scale", figure4.SCALES)
def test_every_trial_can_be_run_and_has_a_place_of_its_own(scale: str) -> None:
    swept, others = trials_of(scale, 2)
    plans = planned([*swept, *others])
    assert len({plan.trial.name for plan in plans}) == len(swept) + 2 * (7 + 1 + 3 * 7)
    for plan in plans:
        assert plan.config.preset == "paper" and plan.config.trust.delta == 0.01 and plan.config.threads == 1
        assert plan.config.sampler == ("vine" if plan.trial.label == "vine" else "single-path")
        same = {trial.settings.get("steps") for trial in others if trial.task == plan.trial.task}
        assert same == {plan.trial.settings.get("steps")}  # every method gets the same
    assert {trial.seed for trial in swept} == {SWEEP_SEED} and [trial.seed for trial in others][:8] == [0] * 8
    assert {trial.task for trial in others if trial.label == "max_kl"} == {EASY}


def test_the_papers_scale_is_that_of_table_2() -> None:
    _, others = trials_of("paper", 1)
    by_name = {(plan.trial.task, plan.trial.label): plan.config for plan in planned(others)}
    for task, steps, states in ((SWIMMER, 50_000, 125), (HOPPER, 1_000_000, 625), (WALKER, 1_000_000, 625)):
        assert by_name[task, "trpo"].path.steps_per_iteration == steps and by_name[task, "trpo"].iterations == 200
        vine = by_name[task, "vine"].vine
        assert (vine.states, vine.actions, vine.trunks, vine.trunk_length) == (states, 4, 16, 1000)
        assert by_name[task, "cem"].cem.population * 1000 == steps
    assert figure4.scaled("paper", 5)[2] == "  paper/Swimmer: 200 iterations a run; all as in Table 2"
    assert "steps_per_iteration 5000 (paper: 50000)" in figure4.scaled("small", 5)[2]


def test_the_natural_gradient_takes_the_step_that_scored_best_on_its_task(tmp_path: Path) -> None:
    swept, others = trials_of("small", 2)
    steps = sorted(trial.settings["natural_gradient.step"] for trial in swept if trial.task == HOPPER)
    assert [round(b / a, 9) for a, b in pairwise(steps)] == [3.0] * 2
    scores = {steps[0]: 10.0, steps[1]: math.nan, steps[2]: 70.0}
    found = [
        TrialResult(t, tmp_path, "finished", "", scores[t.settings["natural_gradient.step"]]
                    if t.task == HOPPER else math.nan) for t in swept
    ]  # fmt: skip
    chosen = figure4.chosen(others, "small", found)
    asked = {trial.task: trial.settings["natural_gradient.step"] for trial in chosen if trial.label == figure4.NATURAL}
    assert asked == {HOPPER: steps[2], **{task: figure4.CENTRES[task] for task in TASKS if task != HOPPER}}
    assert [trial.name for trial in chosen if trial.label != figure4.NATURAL] == [
        trial.name for trial in others if trial.label != figure4.NATURAL
    ]


def run(task: str, method: str, final: float, length: float = 1000.0, slow: float = 1.0) -> Curve:
    steps, returns = (0, 50_000, 100_000), (0.0, final * slow, final)
    return Curve(task, method, 0, steps, (0.0, 1.0, 2.0), returns, final, length, 6, {}, (1, 2, 3))


def as_the_paper_says() -> list[Curve]:
    """One run of each method that shows what the paper claims."""
    return [
        *(run(EASY, name, 5000.0) for name in ("trpo", "vine", "natural_gradient", "cem", "cma_es")),
        run(EASY, "max_kl", 4900.0, slow=0.5),
        run(EASY, "empirical_fim", 5000.0),
        *(run(SWIMMER, name, 100.0) for name in ("trpo", "vine")),
        *(run(SWIMMER, name, 90.0) for name in ("natural_gradient",)),
        *(run(SWIMMER, name, 10.0) for name in ("cem", "cma_es")),
        *(run(SWIMMER, name, 10.0) for name in ("cem", "cma_es")),
        *(run(task, name, 3000.0) for task in (HOPPER, WALKER) for name in ("trpo", "vine")),
        *(run(task, name, 1000.0) for task in (HOPPER, WALKER) for name in ("natural_gradient", "cem")),
    ]


def test_claims_agree_with_what_the_paper_says_and_with_nothing_else() -> None:
    paper = as_the_paper_says()
    assert [row[-1] for row in claims(paper)] == ["yes"] * 14
    for task, method, other, claim in (
        (EASY, "vine", 4000.0, "solve it"),
        (EASY, "trpo", math.nan, "solve it"),  # it crashed
        (EASY, "vine", math.nan, "solve it"),
        (HOPPER, "vine", math.nan, "hop forward"),
        (SWIMMER, "vine", -100.0, "best solutions"),
        (EASY, "natural_gradient", 100.0, "natural gradient does well"),
        (HOPPER, "trpo", 1000.0, "hop forward"),  # it stands
        (WALKER, "vine", 1000.0, "walk forward"),
        (WALKER, "natural_gradient", 3000.0, "finds no gait"),
        (EASY, "cem", 100.0, "do well with few"),
        (HOPPER, "cem", 2999.0, "CEM does poorly"),
        (SWIMMER, "cma_es", 99.0, "CEM and CMA do poorly"),
        (EASY, "max_kl", 100.0, "to a similar end"),
        (EASY, "empirical_fim", 100.0, "at a similar rate"),
    ):
        curves = [run(task, method, other) if (c.task, c.method) == (task, method) else c for c in paper]
        denied = [row[0] for row in claims(curves) if row[-1] == "no"]
        assert any(claim in row for row in denied), (method, denied)


def test_scores_below_zero_are_compared_as_well() -> None:
    """On the swimmer a policy that has hardly learned returns less than nothing."""
    paper = [one for one in as_the_paper_says() if one.task != SWIMMER]
    scores = {"trpo": -100.0, "vine": -99.0, "natural_gradient": -119.0, "cem": -150.0, "cma_es": -150.0}
    judged = {row[0]: row[-1] for row in claims([*paper, *(run(SWIMMER, *one) for one in scores.items())])
              if row[1] == SWIMMER}  # fmt: skip
    assert judged == {"single path and vine give the best solutions": "yes", "": "yes",
                      "CEM and CMA do poorly with many": "no"}  # fmt: skip


def test_claims_of_runs_that_are_not_there_agree_with_nothing() -> None:
    assert {row[-1] for row in claims([])} == {"no"}


@pytest.mark.parametrize("scale", KEPT_SCALES)
def test_the_kept_comparison_is_judged_as_the_page_of_results_says(scale: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    curves = read_curves(f"figure4-{scale}")
    rows = claims(curves)
    assert markdown(figure4.CLAIMS_HEAD, rows) in page
    assert f"{[row[-1] for row in rows].count('yes')} of {len(rows)} claims" in page
    assert set(figure4.NAMES) <= {one.method for one in curves}


@pytest.mark.parametrize("scale", KEPT_SCALES)
def test_the_kept_comparison_is_that_of_the_present_settings(scale: str) -> None:
    """Every run that the scale asks for is there, of as many seeds, but for the sweep, whose best step decides."""
    curves = read_curves(f"figure4-{scale}")
    seeds = 1 + max(one.seed for one in curves if one.method == "trpo")
    swept, others = figure4.trials_of(scale, seeds)
    asked = [one.asked for one in curves]
    assert len(asked) == len(set(asked)) == len(swept) + len(others)
    assert {one.asked for one in (*swept, *others) if one.label != figure4.NATURAL} <= set(asked)


@pytest.mark.parametrize("scale", KEPT_SCALES)
def test_the_curves_of_the_comparison_are_whole(scale: str) -> None:
    for one in read_curves(f"figure4-{scale}"):
        assert len(one.steps) == len(one.seconds) == len(one.returns) and dataclasses.astuple(one)

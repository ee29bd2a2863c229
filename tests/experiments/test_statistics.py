"""Statistics over seeds against what is computed by hand, by SciPy, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import trpolab
from trpolab.experiments.statistics import (
    curve,
    estimate,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)
from trpolab.settings import PlainError


def normal(*shape: int, mean: float = 0.0, seed: int = 0) -> np.ndarray:
    return mean + np.random.default_rng(seed).standard_normal(shape)


def test_the_interquartile_mean_is_that_of_the_middle_half() -> None:
    assert interquartile_mean([0.0, 3.0, 1.0, 1000.0]) == 2.0
    assert interquartile_mean(range(12)) == np.mean(range(3, 9))
    scores = normal(10, 3)
    np.testing.assert_allclose(interquartile_mean(scores), np.sort(scores, axis=0)[2:8].mean(0))


@pytest.mark.parametrize(("runs", "kind", "interval"), [(1, "mean", 0), (4, "mean", 0), (5, "mean", 1), (9, "mean", 1),
                                                       (10, "IQM", 1)])  # fmt: skip
def test_how_many_runs_there_are_decides_what_is_said(runs: int, kind: str, interval: int) -> None:
    found = estimate(normal(runs))
    assert (found.kind, found.low is not None, found.runs) == (kind, bool(interval), runs)
    if interval:
        assert found.low < found.value < found.high


def test_the_t_interval_is_scipys() -> None:
    scores = normal(7, mean=3.0)
    low, high = stats.t.interval(0.9, 6, scores.mean(), stats.sem(scores))
    found = estimate(scores, confidence=0.9)
    np.testing.assert_allclose([found.value, found.low, found.high], [scores.mean(), low, high])


def test_of_several_tasks_the_t_interval_is_welchs() -> None:
    a, b = normal(6, mean=2.0), 5 * normal(8, seed=1)
    found = estimate({"a": a, "b": b})
    welch = stats.ttest_ind(a, -b, equal_var=False).confidence_interval(0.95)  # of mean(a) + mean(b)
    np.testing.assert_allclose([found.low, found.value, found.high], [welch.low / 2, (a.mean() + b.mean()) / 2,
                                                                      welch.high / 2])  # fmt: skip


def test_runs_that_are_all_alike_have_an_interval_without_width() -> None:
    for runs in (5, 10):
        found = estimate([500.0] * runs)
        assert (found.low, found.value, found.high) == (500.0, 500.0, 500.0)


def test_the_bootstrap_repeats_itself_and_takes_a_generator() -> None:
    scores = normal(12)
    first = estimate(scores, seed=3)
    assert first == estimate(scores, seed=3) == estimate(scores, seed=np.random.default_rng(3))
    assert first.low != estimate(scores, seed=4).low


def test_runs_are_drawn_within_their_task() -> None:
    """Each task is constant: with strata nothing varies; drawn together, the mean would."""
    found = estimate({"easy": [100.0] * 10, "hard": [0.0] * 10})
    assert (found.low, found.high) == (found.value, found.value) == (50.0, 50.0)


@pytest.mark.parametrize("runs", [5, 20])
def test_the_interval_covers_the_truth_as_often_as_it_says(runs: int) -> None:
    """All trials at once, as points of a curve. The bootstrap of few runs covers a little less than it says."""
    found = estimate(normal(runs, 4000 if runs == 5 else 500, mean=7.0), seed=1)
    covered = np.mean((found.low <= 7.0) & (found.high >= 7.0))
    assert covered == pytest.approx(0.95, abs=0.015) if runs == 5 else 0.89 < covered < 0.96


def test_a_crashed_run_is_left_out_and_told_or_counts_as_what_is_said() -> None:
    scores = [1.0, 2.0, 3.0, 4.0, 5.0, np.nan]
    found = estimate(scores)
    assert (found.value, found.runs, found.crashed) == (3.0, 5, 1)
    assert str(found).endswith("5 runs, 1 crashed")
    counted = estimate(scores, crashed_as=-3.0)
    assert (counted.value, counted.runs, counted.crashed) == (2.0, 6, 1)
    nothing = estimate([np.nan, np.nan])
    assert np.isnan(nothing.value) and (nothing.runs, nothing.crashed) == (0, 2)


def test_the_probability_of_improvement_is_mann_and_whitneys() -> None:
    x, y = np.round(normal(11, mean=0.5), 1), np.round(normal(13, seed=1), 1)
    found = probability_of_improvement(x, y)
    assert found.value == pytest.approx(stats.mannwhitneyu(x, y).statistic / (11 * 13))
    assert found.low < found.value < found.high
    assert probability_of_improvement([2.0], [1.0]).value == 1.0
    assert probability_of_improvement([1.0], [1.0]).value == 0.5


def test_a_crash_loses_against_every_score_and_ties_with_another() -> None:
    found = probability_of_improvement({"a": [np.nan, 5.0]}, {"a": [-1e9, np.nan]})
    assert (found.value, found.crashed) == ((0 + 0.5 + 1 + 1) / 4, 2)


def test_a_profile_tells_the_share_of_runs_above_each_threshold() -> None:
    found = performance_profile({"a": [1.0, 3.0, np.nan, 4.0], "b": [0.0, 2.0]}, [-1.0, 0.5, 2.5, 9.0])
    np.testing.assert_allclose(found.value, [(3 / 4 + 1) / 2, (3 / 4 + 1 / 2) / 2, (2 / 4 + 0) / 2, 0])
    assert found.low is None and found.crashed == 1
    many = performance_profile(normal(40), [0.0])
    assert 0 < many.low[0] < many.value[0] < many.high[0] < 1


def test_curves_meet_on_the_grid_that_all_of_them_reach() -> None:
    runs = [(np.array([0.0, 10.0]), np.array([0.0, 10.0]) + level) for level in (0.0, 1.0, 2.0)]
    runs[1] = (np.array([2.0, 20.0]), np.array([3.0, 21.0]))
    found = curve(runs, points=9)
    np.testing.assert_allclose(found.x, np.linspace(2, 10, 9))
    np.testing.assert_allclose(found.value, found.x + 1)
    assert found.low is None and found.runs == 3


def test_the_band_of_five_curves_is_the_t_interval_at_each_point() -> None:
    levels = normal(5)
    found = curve([([0.0, 1.0], [level, level + 1]) for level in levels], points=3)
    low, high = stats.t.interval(0.95, 4, levels.mean(), stats.sem(levels))
    np.testing.assert_allclose(found.low, low + found.x)
    np.testing.assert_allclose(found.high, high + found.x)


def test_a_crashed_curve_is_told_or_counts_beyond_its_end() -> None:
    runs = [([0.0, 4.0], [1.0, 1.0]), ([0.0, 2.0], [1.0, 1.0])]
    told = curve(runs, [False, True], points=5)
    assert (told.runs, told.crashed, told.value.tolist()) == (1, 1, [1.0] * 5)
    counted = curve(runs, [False, True], points=5, crashed_as=0.0)
    assert counted.value.tolist() == [1.0, 1.0, 1.0, 0.5, 0.5] and (counted.runs, counted.crashed) == (2, 1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: estimate([]), "at least one run"),
        (lambda: estimate({"a": [1.0], "b": []}), "at least one run"),
        (lambda: estimate([1.0, np.inf]), "finite"),
        (lambda: estimate([1.0, 2.0], confidence=1.5), r"confidence = 1.5"),
        (lambda: probability_of_improvement({"a": [1.0]}, {"b": [1.0]}), "the same tasks"),
        (lambda: curve([]), "at least one must have finished"),
        (lambda: curve([([0.0, 1.0], [1.0, 2.0])], [True]), "1 of them crashed"),
        (lambda: curve([([0.0, 1.0], [1.0])]), "equal lengths"),
        (lambda: curve([([1.0, 0.0], [1.0, 1.0])]), "x growing"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(call, said: str) -> None:
    with pytest.raises(PlainError, match=said):
        call()


def test_it_is_public() -> None:
    assert trpolab.statistics.estimate is estimate

"""The race to a return: who is run, when a run is over, what is kept, and what the table says of bounds."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trpolab.bench import run, wall_time
from trpolab.experiments.results import read_curves


def test_the_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    with pytest.raises(ImportError, match=r"^trpolab bench wall-time needs sb3_contrib"):
        run("wall-time")


def test_a_run_ends_at_the_goal_or_at_its_last_step_and_is_not_run_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[tuple[str, int]] = []

    def learner(name: str, gain: float) -> Iterator[wall_time.Progress]:
        def progress(seed: int) -> Iterator[wall_time.Progress]:
            started.append((name, seed))
            for k in range(1, 10_000):
                yield k * 2048, gain * k

        return progress

    monkeypatch.setitem(sys.modules, "sb3_contrib", sys)
    monkeypatch.setattr(wall_time, "SEEDS", 2)
    monkeypatch.setattr(wall_time, "ours", learner("trpolab", 1000.0))
    monkeypatch.setattr(wall_time, "theirs", learner("sb3-contrib", 1.0))
    monkeypatch.setattr(wall_time, "PATIENCE", math.inf)
    table = wall_time.wall_time(lambda line: None, tmp_path)
    assert started == [("trpolab", 0), ("sb3-contrib", 0), ("trpolab", 1), ("sb3-contrib", 1)]
    kept = {(one.method, one.seed): one for one in read_curves(tmp_path / "wall-time.json")}
    assert kept["trpolab", 1].steps[-1] == 3 * 2048 and kept["trpolab", 1].final == 3000
    assert 1_000_000 <= kept["sb3-contrib", 0].steps[-1] < 1_000_000 + 2048
    assert len(table.rows) == 2 and ">= " in table.rows[0] and "not in" in table.rows[0]
    again = wall_time.wall_time(lambda line: None, tmp_path)
    assert len(started) == 4 and again.rows == table.rows


def test_a_run_that_takes_far_longer_than_ours_is_given_up() -> None:
    def slow() -> Iterator[wall_time.Progress]:
        for k in range(1, 10_000):
            time.sleep(0.01)
            yield k, 0.0

    found = wall_time.raced("sb3-contrib", 0, slow(), {}, 0.05)
    assert found.seconds[-1] >= 0.05 and found.steps[-1] <= 6 and found.final == 0


def test_a_median_that_falls_short_is_told_and_so_is_a_run_of_ours_that_did_not_get_there() -> None:
    def one(method: str, seed: int, seconds: float, final: float) -> wall_time.Curve:
        return wall_time.Curve("Hopper-v5", method, seed, (9,), (seconds,), (final,), final, 0.0, 0, {})

    slow = [one("trpolab", 0, 10.0, 2600), one("sb3-contrib", 0, 30.0, 2600)]
    assert wall_time.as_table(slow).summary == "in the median 3.0 times as long, must be 5: no"
    fast = [one("trpolab", 0, 10.0, 2600), one("sb3-contrib", 0, 60.0, 700)]
    assert wall_time.as_table(fast).summary == "in the median at least 6.0 times as long, must be 5: yes"
    failed = [one("trpolab", 0, 10.0, 2400), one("sb3-contrib", 0, 60.0, 700)]
    assert wall_time.as_table(failed).summary.endswith(": no") and wall_time.as_table(failed).rows[0].endswith("| —")


def test_the_kept_runs_are_of_these_settings_and_each_reached_the_goal_or_its_bound() -> None:
    kept = {(one.method, one.seed): one for one in read_curves("wall-time")}
    assert set(kept) == {(name, seed) for name in ("trpolab", "sb3-contrib") for seed in range(5)}
    for seed in range(5):
        mine, other = kept["trpolab", seed], kept["sb3-contrib", seed]
        assert mine.given == wall_time.given("Hopper-v5") and mine.final >= wall_time.GOAL
        assert other.given == wall_time.TUNED
        assert other.final >= wall_time.GOAL or other.seconds[-1] > 7 * mine.seconds[-1]


def test_our_own_run_is_that_of_the_scores() -> None:
    steps, mean = next(wall_time.ours(0))
    assert steps > 2048 and mean > 0

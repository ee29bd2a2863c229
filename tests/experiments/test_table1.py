"""Seven games by both samplers: the trials, and our rows below the published ones."""

from __future__ import annotations

import math

import pytest

from trpolab.experiments import table1
from trpolab.experiments.grid import planned
from trpolab.experiments.results import Curve
from trpolab.experiments.table1 import GAMES, PUBLISHED, tables, trials_of

pytest.importorskip("ale_py", reason='needs ale-py: pip install "trpolab[atari]"')


@pytest.mark.parametrize("scale", table1.SCALES)
def test_each_game_is_played_by_both_samplers(scale: str) -> None:
    first, others = trials_of(scale, 2)
    plans = planned(others)
    assert first == [] and len(plans) == 2 * 7 * 2 and table1.chosen(others, scale, []) == others
    for plan in plans:
        assert plan.config.sampler.replace("-", " ") == plan.trial.label and plan.config.preset == "paper"
    by_name = {plan.trial.label: plan.config for plan in plans}
    if scale == "small":
        assert (by_name["single path"].steps, by_name["vine"].steps) == (4_000_000, 8_000_000)
    else:
        assert by_name["vine"].iterations == 500 and by_name["single path"].path.steps_per_iteration == 100_000
    assert len(table1.scaled(scale, 1)) == 3


def test_our_rows_stand_below_the_published_ones() -> None:
    def curve(game: str, sampler: str, score: float, seed: int = 0) -> Curve:
        return Curve(f"ALE/{game}-v5", sampler, seed, (1,), (1.0,), (0.0,), score, 1.0, 33_500, {})

    better = [curve(game, "single path", score + 1) for game, score in zip(GAMES, PUBLISHED["random"], strict=True)]
    vines = [curve("Pong", "vine", 10.0), curve("Pong", "vine", 20.0, 1), curve("Qbert", "vine", math.nan)]
    shown, said = tables([*better, *vines])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in shown.splitlines()]
    assert rows[0][1:] == list(GAMES) and [row[0] for row in rows[2:8]] == list(PUBLISHED)
    assert rows[2][1:4] == ["354", "1.2", "0"]
    assert rows[8][1:3] == ["355", "2.2"] and rows[9][4:6] == ["15", "—"]
    assert said.splitlines() == ["single path: better than random play in 7 of 7 games",
                                 "vine: better than random play in 1 of 7 games"]  # fmt: skip

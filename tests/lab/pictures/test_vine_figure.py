"""Figure 1 from a vine's record, and its card in the lab."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from trpolab.lab import cards, trainer
from trpolab.lab.lab import Lab
from trpolab.lab.pictures import vine_figure as vine_view
from trpolab.lab.pictures.vine_figure import (
    branch_pieces,
    figure_one,
    position_in_time,
    principal_plane,
    shown_q,
    view_of,
)
from trpolab.lab.trainer import keep_vine
from trpolab.sampling.vine.record import VineRecord
from trpolab.simulators.base import Snapshot

TRUNK = 40


@pytest.fixture
def record() -> VineRecord:
    """Two trunks of 40 states in three dimensions, five rollout states, two branches of 1 + 4 points from four."""
    rng = np.random.default_rng(3)
    obs = rng.normal(size=(2 * TRUNK, 3)) * [10.0, 1.0, 0.0] + [0, 5, 2]
    rows = np.array([3, 9, 20, 50, 70])
    state = np.repeat([0, 1, 3, 4], 2)
    return VineRecord(
        trunk_obs=obs.astype(np.float32),
        trunk_start=np.array([0, TRUNK, 2 * TRUNK]),
        trunk_t=np.tile(np.arange(TRUNK), 2),
        roots=obs[rows].astype(np.float32),
        snapshot=Snapshot({}),
        root_t=rows % TRUNK,
        branch_state=state,
        branch_q=np.array([1.0, 3.0, 10.0, 10.0, -2.0, 2.0, 0.0, 8.0]),
        branch_obs=np.repeat(obs[rows][state], 5, axis=0).astype(np.float32),
        branch_age=np.tile(np.arange(0, 15, 3), 8),
        start=np.arange(0, 41, 5),
        branches=10,
        branch_steps=140,
        branch_length=14.0,
        terminated=0.1,
    )


def lines(figure: Any) -> list[LineCollection]:
    return [found for found in figure.axes[0].collections if isinstance(found, LineCollection)]


def test_the_plane_is_that_of_the_largest_variance(record: VineRecord) -> None:
    """Two of three coordinates vary; standardised, they span the plane, and the constant one divides by no zero."""
    points = principal_plane(record).points(record.trunk_obs, record.trunk_t)
    assert np.isfinite(points).all()
    assert np.allclose(points.mean(0), 0, atol=1e-5)
    standardised = (record.trunk_obs[:, :2] - record.trunk_obs[:, :2].mean(0)) / record.trunk_obs[:, :2].std(0)
    assert np.allclose((points**2).sum(1), (standardised**2).sum(1), rtol=1e-4)  # a rotation loses nothing
    covariance = np.cov(points, rowvar=False)
    assert abs(covariance[0, 1]) < 1e-6 and covariance[0, 0] >= covariance[1, 1]


def test_the_plane_does_not_flip(record: VineRecord) -> None:
    mirrored = SimpleNamespace(trunk_obs=2 * record.trunk_obs.mean(0) - record.trunk_obs)
    one, two = (principal_plane(each).points(record.trunk_obs, record.trunk_t) for each in (record, mirrored))
    assert np.allclose(one, two, atol=1e-4)


def test_one_dimension_is_enough(record: VineRecord) -> None:
    flat = SimpleNamespace(trunk_obs=record.trunk_obs[:, :1])
    assert principal_plane(flat).points(record.trunk_obs[:, :1], record.trunk_t).shape == (2 * TRUNK, 2)


def test_tasks_that_observe_their_position_are_drawn_over_time(record: VineRecord) -> None:
    assert view_of("paper/Hopper", record).labels == ("step of the episode", "position, m")
    assert "principal" in view_of("CartPole-v1", record).labels[0]


def test_branches_start_at_their_state_and_go_on_in_time(record: VineRecord) -> None:
    _, branches = lines(figure_one(record, position_in_time()))
    for piece, state in zip(branches.get_segments(), record.branch_state, strict=True):
        assert tuple(piece[0]) == pytest.approx((record.root_t[state], record.roots[state, 0]), rel=1e-5)
        assert np.allclose(np.diff(piece[:, 0]), 3)


def test_the_colour_is_q(record: VineRecord) -> None:
    trunks, branches = lines(figure_one(record))
    assert len(trunks.get_segments()) == 2
    assert np.array_equal(branches.get_array(), record.branch_q)
    _, centred = lines(figure_one(record, centred=True))
    assert np.array_equal(centred.get_array(), [-1, 1, 0, 0, -2, 2, -4, 4])
    low, high = centred.get_clim()
    assert low == -high


def test_equal_q_has_colours_too(record: VineRecord) -> None:
    alike = VineRecord(**{**vars(record), "branch_q": np.ones(8)})
    low, high = lines(figure_one(alike))[1].get_clim()
    assert low < high


def test_fewer_states_may_be_drawn(record: VineRecord) -> None:
    _, branches = lines(figure_one(record, states=2))
    assert np.array_equal(branches.get_array(), [1, 3, 0, 8])  # the first and the last of four


def test_pieces_cover_all_points(record: VineRecord) -> None:
    pieces = branch_pieces(record)
    assert len(pieces) == 8
    assert sum(piece.stop - piece.start for piece in pieces) == len(record.branch_obs)
    assert shown_q(record, False) is record.branch_q


def test_long_trunks_stay_small(record: VineRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vine_view, "TRUNK_POINTS", 10)
    for piece, end in zip(lines(figure_one(record, position_in_time()))[0].get_segments(), (39, 79), strict=True):
        assert len(piece) <= 11
        assert piece[-1][1] == pytest.approx(record.trunk_obs[end, 0])


class TestCard:
    def test_a_vine_iteration_shows_it_and_a_single_path_takes_it_away(
        self, make_lab: Callable[..., Lab], record: VineRecord
    ) -> None:
        page = make_lab().view.page
        card = cards.VineCard("CartPole-v1", page)
        assert page.cards["vine"].layout.display == "none"
        consider(card, iteration(3, record))
        assert page.cards["vine"].layout.display is None
        assert bytes(page.vine_image.value).startswith(b"\x89PNG")
        assert "<b>Vine</b>" in page.vine_title.value
        assert "iteration 3 · 10 branches of 14 steps" in page.vine_title.value
        consider(card, iteration(4, None))
        assert page.cards["vine"].layout.display == "none"

    def test_it_waits_between_pictures_and_while_the_display_is_too_busy(
        self, make_lab: Callable[..., Lab], record: VineRecord, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = make_lab().view.page
        card = cards.VineCard("CartPole-v1", page)
        consider(card, iteration(1, record), busy=True, overhead=1.0)  # the first one comes at once
        consider(card, iteration(2, other(record)), busy=True, overhead=0.0)
        assert "iteration 1" in page.vine_title.value
        monkeypatch.setattr(card._pace, "_drawn", -math.inf)
        consider(card, iteration(3, other(record)), busy=True, overhead=1.0)
        assert "iteration 1" in page.vine_title.value
        consider(card, iteration(4, other(record)), busy=True, overhead=0.0)
        assert "iteration 4" in page.vine_title.value

    def test_an_iteration_without_a_batch_leaves_it(self, make_lab: Callable[..., Lab], record: VineRecord) -> None:
        page = make_lab().view.page
        card = cards.VineCard("CartPole-v1", page)
        consider(card, iteration(1, record))
        consider(card, SimpleNamespace(index=2, batch=None))
        assert page.cards["vine"].layout.display is None

    def test_earlier_vines_can_be_looked_back_at(self, make_lab: Callable[..., Lab], record: VineRecord) -> None:
        page = make_lab().view.page
        card = cards.VineCard("CartPole-v1", page)
        vines = [iteration(index, other(record)) for index in (1, 2, 5)]
        consider(card, *vines[:1])
        assert page.vine_back.layout.display == "none", "there is nothing to look back at"
        consider(card, *vines)
        assert page.vine_back.layout.display is None and page.vine_back.min == -2
        page.vine_back.value = -1
        consider(card, *vines, busy=True, overhead=1.0)  # what a person asks for comes at once
        assert "iteration 2 " in page.vine_title.value
        consider(card, *vines, iteration(6, other(record)))
        assert "iteration 2 " in page.vine_title.value, "it stays while the run goes on"
        page.vine_back.value = 0
        consider(card, *vines, iteration(7, other(record)))
        assert "iteration 7 " in page.vine_title.value
        page.vine_back.value = -2
        consider(card, *vines)
        consider(card, iteration(8, None))
        assert page.vine_back.value == 0, "the next vine is shown when it comes"


def test_the_last_vines_are_kept_while_they_are_small(record: VineRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: tuple[tuple[int, VineRecord], ...] = ()
    for index in range(1, 31):
        kept = keep_vine(kept, iteration(index, other(record) if index % 2 else None))
    assert [index for index, _ in kept] == list(range(1, 30, 2))
    kept = keep_vine(kept, SimpleNamespace(index=31, batch=None))
    assert len(kept) == 15
    monkeypatch.setattr(trainer, "VINE_BYTES", 3.5 * record.nbytes)
    assert [index for index, _ in keep_vine(kept, iteration(33, other(record)))] == [27, 29, 33]
    monkeypatch.setattr(trainer, "VINE_BYTES", 0)
    assert [index for index, _ in keep_vine(kept, iteration(33, other(record)))] == [33]


def consider(card: cards.VineCard, *iterations: SimpleNamespace, busy: bool = False, overhead: float = 0.0) -> None:
    """Show a card the newest of some iterations; all of them are kept."""
    kept = [(one.index, one.batch.paths) for one in iterations if one.batch is not None]
    card.consider(iterations[-1], kept, busy=busy, overhead=overhead)


def iteration(index: int, record: VineRecord | None) -> SimpleNamespace:
    return SimpleNamespace(index=index, batch=SimpleNamespace(paths=record))


def other(record: VineRecord) -> VineRecord:
    return VineRecord(**vars(record))

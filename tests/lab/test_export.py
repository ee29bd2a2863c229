"""Files to take along hold what the run holds."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

pytest.importorskip("PIL", reason='needs the lab: pip install "trpolab[lab]"')

from PIL import Image

import trpolab
from tests.lab.fakes import metrics
from trpolab.lab import export
from trpolab.lab.charts import CHARTS
from trpolab.lab.export import ALL, ROLLOUT, exported
from trpolab.lab.pictures.poster import draw_poster
from trpolab.lab.pictures.rollout import record
from trpolab.settings import PlainError
from trpolab.training.session import Session

HISTORY = [metrics(index, 0.02) for index in range(1, 6)]


@pytest.fixture(scope="module")
def poster() -> bytes:
    policy = Session("CartPole-v1", out=None).policy
    return draw_poster(record(policy, trpolab.make("CartPole-v1", 1)))


def test_the_table_has_every_number_whole() -> None:
    rows = list(csv.DictReader(io.StringIO(exported(ALL, "csv", HISTORY, b"").decode())))
    assert [float(row["kl_mean"]) for row in rows] == [row["kl_mean"] for row in HISTORY]
    assert [int(row["sim_steps"]) for row in rows] == [row["sim_steps"] for row in HISTORY]
    only = next(csv.reader(io.StringIO(exported(CHARTS[0].title, "csv", HISTORY, b"").decode())))
    assert only == ["iteration", "sim_steps", "return_mean"]


@pytest.mark.parametrize("what", [ALL, CHARTS[1].title])
def test_charts_are_pictures(what: str) -> None:
    assert Image.open(io.BytesIO(exported(what, "png", HISTORY, b""))).format == "PNG"
    svg = exported(what, "svg", HISTORY, b"").decode()
    assert svg.rstrip().endswith("</svg>") and CHARTS[1].lines[0].name
    assert exported(what, "svg", [{**HISTORY[0], "return_mean": None}], b"").startswith(b"<?xml")


def test_a_rollout_is_an_animation_or_a_film(poster: bytes) -> None:
    assert exported(ROLLOUT, "png", [], poster) == poster
    if export.encoder() is None:
        pytest.skip("needs an encoder: pip install imageio-ffmpeg")
    film = exported(ROLLOUT, "mp4", [], poster)
    assert film[4:8] == b"ftyp" and len(film) > 2000


def test_where_there_is_no_encoder_that_is_said(poster: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "encoder", lambda: None)
    with pytest.raises(PlainError, match="no encoder for MP4: install ffmpeg, or: pip install imageio-ffmpeg"):
        exported(ROLLOUT, "mp4", [], poster)


@pytest.mark.parametrize(
    ("what", "kind", "history", "said"),
    [
        ("everything", "png", HISTORY, "what = 'everything': must be one of all charts, Return"),
        (ALL, "mp4", HISTORY, "all charts as 'mp4': must be one of svg, png, csv"),
        (ROLLOUT, "csv", HISTORY, "rollout as 'csv': must be one of png, mp4"),
        (ROLLOUT, "png", HISTORY, "no picture of a rollout yet"),
        (ALL, "svg", [], "no iteration yet"),
    ],
)
def test_what_there_is_not_is_told(what: str, kind: str, history: Any, said: str) -> None:
    with pytest.raises(PlainError, match=said):
        exported(what, kind, history, b"")

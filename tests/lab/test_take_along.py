"""The row under a lab: files, the clipboard, and stepping back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.test_lab import press, until
from trpolab.lab.lab import Lab
from trpolab.lab.take_along import NO_FOLDER
from trpolab.runs.reader import read_run
from trpolab.selftest.children import CARTPOLE
from trpolab.selftest.expect import contents, expect_metrics
from trpolab.settings import PlainError

SETTINGS = {name: value for name, value in CARTPOLE.items() if name != "task"}


@pytest.fixture
def paused(tmp_path: Path) -> Iterator[Lab]:
    """A lab that has done five iterations, every other one kept."""
    lab = Lab("CartPole-v1", out=tmp_path, **{**SETTINGS, "checkpoint_every": 2})
    lab.run(block=True, iterations=5)
    yield lab
    lab.close()


def test_it_steps_back_and_goes_on_with_the_knobs_as_they_stand(paused: Lab) -> None:
    along, first = paused.view.along, paused.session
    paused.refresh()
    until(lambda: list(along.at.options) == paused.kept() and 2 in paused.kept())
    along.at.value = 2
    paused.controls.replace(delta=0.05)
    along.back.click()
    until(lambda: paused.session is not first)
    assert first.path is not None
    before = contents(first.path)
    assert [row["iteration"] for row in paused.history] == [1, 2] and paused.state == "ready"
    paused.run(block=True, iterations=2)
    assert paused.session.path is not None and paused.session.path.parent == first.path.parent
    assert read_run(paused.session.path)["parent"] == {"run": first.path.name, "iteration": 2}
    expect_metrics(paused.history[:2], first.history[:2], "what it has in common with its parent")
    assert paused.history[2]["delta"] == 0.05 and contents(first.path) == before
    paused.refresh()
    iterations, _ = paused.view.charts.ghosts[0]
    assert iterations.tolist() == [1, 2, 3, 4, 5], "the old run is the charts' last one"


def test_it_steps_back_while_it_learns_and_without_a_view(tmp_path: Path) -> None:
    lab = Lab("CartPole-v1", out=tmp_path, **{**SETTINGS, "checkpoint_every": 1})
    lab.run()
    lab.wait(3)
    assert lab.rewind(2).state == "ready" and len(lab.history) == 2
    lab.close()


def test_where_nothing_is_kept_it_is_said(make_lab: Any, paused: Lab) -> None:
    with pytest.raises(PlainError, match=r"iteration 77: only those whose checkpoints the run folder keeps \(2, 4\)"):
        paused.rewind(77)
    until(lambda: paused.state == "paused")
    assert len(paused.history) == 5
    lab = make_lab()
    lab.run(block=True, iterations=2)
    lab.refresh()
    along = lab.view.along
    assert along.back.disabled and along.at.disabled and along.back.tooltip == NO_FOLDER


def test_a_text_that_is_copied_reaches_the_page_that_asked(make_lab: Any) -> None:
    lab = make_lab()
    hand = lab.view.along.hand
    ask = {"number": hand.answer("item", {"number": -1})[0]["number"]}
    assert hand.answer("item", ask) is None
    press(lab, "python")
    content, _ = hand.answer("item", ask)
    assert content["copy"].startswith("import trpolab") and hand.answer("item", content) is None
    hand.told("copied", {"ok": True})
    assert "copied to the clipboard" in lab.view.along.said.value
    hand.told("copied", {"ok": False})
    assert "click the text" in lab.view.along.said.value


def test_a_file_is_handed_to_the_page(make_lab: Any) -> None:
    lab = make_lab()
    along = lab.view.along
    along.save.click()
    assert "there is no iteration yet" in along.said.value
    lab.run(block=True, iterations=3)
    along.kind.value = "csv"
    along.save.click()
    content, (file,) = along.hand.answer("item", {"number": 0})
    assert content["name"] == "CartPole-v1_all_charts_3.csv" and content["mime"] == "text/csv"
    assert len(file.decode().splitlines()) == 4
    along.what.value = "rollout"
    assert along.kind.options == ("png", "mp4")

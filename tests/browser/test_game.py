"""A game in the lab, in a real browser: the policy plays in the rollout card while Pong is learned from pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_start import NOT_OURS, iteration, open_and_run, pill, until, write_notebook

pytest.importorskip("ale_py", reason='needs ale-py: pip install "trpolab[atari]"')

pytestmark = pytest.mark.browser

CELL = """from trpolab import Lab

lab = Lab("ALE/Pong-v5", out=None, slots=4, steps_per_iteration=400, autostart=True)
lab"""
PONG = ".trpolab:has(.trpolab-status b:text-is('ALE/Pong-v5'))"
CARD = f"{PONG} .trpolab-rollout:not(.trpolab-vine)"


@pytest.fixture(scope="module")
def playing(page: Any, server: str, workspace: Path) -> Any:
    """The page of a notebook whose only cell learns Pong."""
    write_notebook(workspace / "game.ipynb", CELL)
    open_and_run(page, server, "game.ipynb")
    page.wait_for_selector(PONG)
    until(lambda: iteration(page, PONG) > 0, "the lab never began")
    return page


def test_the_console_is_seen_at_its_own_proportions(playing: Any) -> None:
    picture = playing.locator(f"{CARD} img.trpolab-game")
    until(lambda: picture.count() and picture.evaluate("image => image.naturalWidth"), "no game was ever shown")
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [160, 210]
    shown = picture.evaluate("image => [image.clientWidth, image.clientHeight, getComputedStyle(image).imageRendering]")
    assert shown[0] / shown[1] == pytest.approx(4 / 3, abs=0.03) and shown[2] == "pixelated"
    assert "sampled actions" in playing.locator(CARD).text_content()


def test_the_picture_follows_the_policy(playing: Any) -> None:
    source = f"{CARD} img.trpolab-game"
    first = playing.locator(source).get_attribute("src")
    until(lambda: playing.locator(source).get_attribute("src") != first, "the picture never changed")


def test_stop_ends_it_without_a_complaint(playing: Any) -> None:
    playing.locator(f"{PONG} button.trpolab-stop").click()
    until(lambda: "stopped" in pill(playing, PONG), "it never stopped")
    assert not [text for text in playing.complaints if not any(part in text for part in NOT_OURS)]

"""A game in the lab, in a real browser: the policy plays in the rollout card while Pong is learned from pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_start import NOT_OURS, iteration, open_and_run, pill
from trpolab.bench.browser import until, write_notebook

pytest.importorskip("ale_py", reason='needs ale-py: pip install "trpolab[atari]"')

pytestmark = pytest.mark.browser

CELL = """from trpolab import Lab

lab = Lab("ALE/Pong-v5", out=None, slots=4, steps_per_iteration=400, autostart=True)
lab"""
PONG = ".trpolab:has(.trpolab-status b:text-is('ALE/Pong-v5'))"
CARD = f"{PONG} .trpolab-rollout"


def drawn_box(canvas: Any) -> list[int] | None:
    """The corners of what is drawn on a canvas, in its own pixels: left, top, right, bottom."""
    return canvas.evaluate("""canvas => {
      const { width, height } = canvas, { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
      let box = null;
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) if (data[4 * (y * width + x) + 3]) {
        box = box ? [Math.min(box[0], x), box[1], Math.max(box[2], x), y] : [x, y, x, y];
      }
      return box && [box[0], box[1], box[2] + 1, box[3] + 1];
    }""")


@pytest.fixture(scope="module")
def playing(page: Any, server: str, workspace: Path) -> Any:
    """The page of a notebook whose only cell learns Pong."""
    write_notebook(workspace / "game.ipynb", CELL)
    open_and_run(page, server, "game.ipynb")
    page.wait_for_selector(PONG)
    until(lambda: iteration(page, PONG) > 0, "the lab never began")
    return page


def test_the_console_is_seen_at_its_own_proportions(playing: Any) -> None:
    canvas = playing.locator(f"{CARD} .trpolab-player-canvas")
    until(lambda: canvas.count() and drawn_box(canvas), "no game was ever shown")
    left, top, right, bottom = until(lambda: drawn_box(canvas), "nothing is drawn")
    assert (right - left) / (bottom - top) == pytest.approx(4 / 3, abs=0.06)
    assert "sampled actions" in playing.locator(CARD).text_content()


def test_the_picture_follows_the_policy(playing: Any) -> None:
    title = playing.locator(f"{CARD} .trpolab-player-title b")
    first = title.text_content()
    until(lambda: title.text_content() != first, "the picture never changed")


def test_stop_ends_it_without_a_complaint(playing: Any) -> None:
    playing.locator(f"{PONG} button.trpolab-stop").click()
    until(lambda: "stopped" in pill(playing, PONG), "it never stopped")
    assert not [text for text in playing.complaints if not any(part in text for part in NOT_OURS)]

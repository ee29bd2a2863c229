"""The toggle *single path | vine* in a lab, in a real browser: the next iteration is a vine, and shown as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_start import CARTPOLE, PATIENCE, iteration, marks, open_and_run, open_group, pill
from trpolab.bench.browser import until, write_notebook

pytestmark = pytest.mark.browser

CELL = 'from trpolab import Lab\n\nlab = Lab("CartPole-v1", out=None, seconds_per_iteration=0.5, autostart=True)\nlab'
VINE = f"{CARTPOLE} .trpolab-vine"


@pytest.fixture(scope="module")
def running(page: Any, server: str, workspace: Path) -> Any:
    """The page of a notebook whose only cell runs a lab."""
    write_notebook(workspace / "toggle.ipynb", CELL)
    open_and_run(page, server, "toggle.ipynb")
    page.wait_for_selector(CARTPOLE, timeout=PATIENCE * 1000)
    until(lambda: iteration(page, CARTPOLE) > 1, "the lab never began")
    return page


def choose(page: Any, sampler: str) -> None:
    page.locator(f"{CARTPOLE} .trpolab-row:has(.trpolab-hint-sampler)").get_by_role("button", name=sampler).click()


def hint(page: Any) -> str:
    return page.locator(f"{CARTPOLE} .trpolab-hint-sampler").text_content()


def press(page: Any, name: str) -> None:
    page.locator(f"{CARTPOLE} button.trpolab-{name}").click()


def test_the_next_iteration_is_a_vine_and_is_shown_as_such(running: Any) -> None:
    card = running.locator(VINE)
    assert not card.is_visible()
    press(running, "pause")
    until(lambda: "paused" in pill(running, CARTPOLE), "it never paused")
    held = iteration(running, CARTPOLE)
    choose(running, "vine")
    until(lambda: "next vine, in use single path" in hint(running), "the toggle is not shown as pending")
    open_group(running, "Sampler", CARTPOLE)
    until(
        lambda: running.locator(f"{CARTPOLE} .trpolab-row:has(.trpolab-hint-vine-states)").is_visible(),
        "the vine's own knobs did not appear",
    )
    cost = running.locator(f"{CARTPOLE} .trpolab-cost")
    until(lambda: "at most" in cost.text_content(), "what it will cost is not said")
    press(running, "step")
    until(lambda: iteration(running, CARTPOLE) == held + 1, "one step never came")
    until(lambda: f"in use vine since iteration {held + 1}" in hint(running), "the vine was never in use")
    until(lambda: "single path → vine at" in marks(running, CARTPOLE), "the list of turned knobs does not have it")
    until(card.is_visible, "Figure 1 did not appear")
    said = card.locator(".trpolab-caption").text_content()
    assert f"iteration {held + 1}" in said and "branches" in said
    until(lambda: card.locator("img").evaluate("image => image.naturalWidth") > 100, "the picture is empty")


def test_the_next_iteration_refreshes_it(running: Any) -> None:
    caption = running.locator(f"{VINE} .trpolab-caption")
    before = caption.text_content()
    press(running, "step")
    until(lambda: caption.text_content() != before, "Figure 1 stands still")


def test_an_earlier_vine_can_be_looked_back_at(running: Any) -> None:
    caption = running.locator(f"{VINE} .trpolab-caption")
    until(lambda: "paused" in pill(running, CARTPOLE), "the step never ended")
    newest = iteration(running, CARTPOLE)
    until(lambda: f"iteration {newest} " in caption.text_content(), "the newest vine is not shown")
    running.locator(f"{VINE} .noUi-handle").press("ArrowLeft")
    until(lambda: f"iteration {newest - 1} " in caption.text_content(), "the vine before it is not shown")
    running.locator(f"{VINE} .noUi-handle").press("ArrowRight")
    until(lambda: f"iteration {newest} " in caption.text_content(), "the newest vine does not come back")
    press(running, "run")


def test_back_on_single_path_it_goes(running: Any) -> None:
    choose(running, "single path")
    until(lambda: "in use single path since iteration" in hint(running), "single path was never in use again")
    until(lambda: not running.locator(VINE).is_visible(), "Figure 1 of a past iteration still stands there")

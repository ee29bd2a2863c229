"""A lab in a real browser after its cell was run twice and the page was loaded again, and after its kernel was gone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_start import CARTPOLE, NOT_OURS, iteration, open_and_run, pill
from trpolab.bench.browser import run_all, until, write_notebook

pytestmark = pytest.mark.browser

CELL = 'from trpolab import Lab\n\nlab = Lab("CartPole-v1", out=None, seconds_per_iteration=0.3, autostart=True)\nlab'


@pytest.fixture(scope="module")
def running(page: Any, server: str, workspace: Path) -> Any:
    """The page of a notebook whose only cell was run twice, and saved."""
    write_notebook(workspace / "twice.ipynb", CELL)
    open_and_run(page, server, "twice.ipynb")
    page.wait_for_selector(CARTPOLE)
    until(lambda: iteration(page, CARTPOLE) > 30, "the lab never began")
    page.locator(".jp-CodeCell .jp-InputArea-editor").first.click()
    page.keyboard.press("Control+Enter")
    until(lambda: 0 < iteration(page, CARTPOLE) < 25, "no fresh lab")
    page.keyboard.press("Control+s")
    time.sleep(1)
    return page


def saved(page: Any, file: Path) -> str:
    """The notebook's file, saved now."""
    page.keyboard.press("Control+s")
    return file.read_text(encoding="utf-8")


def test_a_page_that_is_loaded_again_shows_and_saves_the_lab_as_it_goes_on(running: Any, workspace: Path) -> None:
    before = iteration(running, CARTPOLE)
    running.complaints.clear()
    running.goto(running.url.partition("?")[0])
    running.wait_for_selector(".jp-Notebook .jp-CodeCell")
    running.wait_for_selector(CARTPOLE)
    until(lambda: iteration(running, CARTPOLE) > before, "the lab stands still")
    running.locator(f"{CARTPOLE} button.trpolab-pause").click()
    until(lambda: "paused" in pill(running, CARTPOLE), "its buttons are dead")
    title = f"CartPole-v1, {iteration(running, CARTPOLE)} iterations"
    until(lambda: title in saved(running, workspace / "twice.ipynb"), "the file tells of older iterations")
    assert running.locator(".trpolab-stays").is_hidden(), "it is shown beside the live lab"
    assert not [text for text in running.complaints if not any(part in text for part in NOT_OURS)]


def assert_nothing_can_be_pressed(page: Any, lab: str) -> None:
    pressed = page.locator(f"{lab} :is(.trpolab-head, .trpolab-controls, .trpolab-foot) button:enabled")
    until(lambda: pressed.count() == 0, "its buttons can be pressed")


def test_a_lab_whose_kernel_was_restarted_says_that_it_is_gone(running: Any) -> None:
    said = f"{CARTPOLE} .trpolab-status"
    read = "element => getComputedStyle(element, '::after').content"
    assert "gone" not in running.locator(said).evaluate(read)
    assert running.locator(f"{CARTPOLE} .trpolab-pill").is_visible()
    running.get_by_role("menuitem", name="Kernel", exact=True).click()
    running.locator(".lm-Menu-item", has_text="Restart Kernel…").first.click()
    running.locator(".jp-Dialog .jp-mod-accept").click()
    until(
        lambda: "gone: its kernel" in running.locator(said).evaluate(read), "the old view does not say that it is gone"
    )
    assert not running.locator(f"{CARTPOLE} .trpolab-pill").is_visible()
    assert_nothing_can_be_pressed(running, CARTPOLE)
    icon = "element => getComputedStyle(element, '::before').display"
    assert running.locator(f"{CARTPOLE} .trpolab-body").evaluate(icon) == "none"  # the picture keeps its places
    at_rest = "element => getComputedStyle(element).pointerEvents"
    assert running.locator(f"{CARTPOLE} .noUi-target").first.evaluate(at_rest) == "none"


def test_a_lab_whose_kernel_was_shut_down_in_mid_iteration_says_so_and_nothing_can_be_pressed(running: Any) -> None:
    run_all(running)
    until(lambda: iteration(running, CARTPOLE) > 0, "no fresh lab")
    running.get_by_role("menuitem", name="Kernel", exact=True).click()
    running.locator(".lm-Menu-item", has_text="Shut Down Kernel").first.click()
    gone = f"{CARTPOLE}.jupyter-widgets-disconnected"
    until(lambda: running.locator(gone).count(), "it does not notice that it is gone")
    assert_nothing_can_be_pressed(running, gone)
    assert "gone: its kernel" in running.locator(f"{gone} .trpolab-said").text_content()


def test_it_is_the_same_in_jupyter_notebook(page: Any, server: str, workspace: Path) -> None:
    pytest.importorskip("notebook", reason='needs Jupyter Notebook 7: pip install "trpolab[test]"')
    write_notebook(workspace / "notebook7.ipynb", CELL.replace(", autostart=True", ""))
    page.goto(f"{server}/notebooks/notebook7.ipynb")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.locator(".jp-CodeCell .jp-InputArea-editor").first.click()

    def begun() -> bool:
        """Whether the kernel took the cell: it takes none before it is connected."""
        page.keyboard.press("Control+Enter")
        time.sleep(3)
        return page.locator(".jp-InputPrompt").first.text_content() != "[ ]:"

    until(begun, "the cell was never run")
    page.wait_for_selector(CARTPOLE)
    page.locator(f"{CARTPOLE} button.trpolab-run").click()
    until(lambda: iteration(page, CARTPOLE) > 2, "the lab stands still")
    page.locator(f"{CARTPOLE} button.trpolab-pause").click()
    until(lambda: "paused" in pill(page, CARTPOLE), "its buttons are dead")
    title, file = f"CartPole-v1, {iteration(page, CARTPOLE)} iterations", workspace / "notebook7.ipynb"
    until(lambda: title in saved(page, file), "the file tells of older iterations")

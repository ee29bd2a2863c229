"""`0_start.ipynb` in JupyterLab, as a person uses it: run everything, drag δ while it learns, pause, stop, run again.

The tests of this file share one page and build on one another, in order.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from trpolab.bench.browser import open_notebook, run_all, until

pytestmark = pytest.mark.browser

PATIENCE = 120.0  # seconds
HOPPER = ".trpolab:has(.trpolab-status b:text-is('Hopper-v5'))"
CARTPOLE = ".trpolab:has(.trpolab-status b:text-is('CartPole-v1'))"
# What the front end itself reports in an offline, empty home; nothing of it is ours.
NOT_OURS = ("favicon", "net::ERR_INTERNET_DISCONNECTED", "status of 404", "Failed to load resource")


def pill(page: Any, lab: str = HOPPER) -> str:
    return page.locator(f"{lab} .trpolab-pill").text_content()  # a cell out of sight has no inner text


def iteration(page: Any, lab: str = HOPPER) -> int:
    found = re.search(r"iteration ([\d,]+)", pill(page, lab))
    return int(found[1].replace(",", "")) if found else 0


def press(page: Any, name: str) -> None:
    page.locator(f"{HOPPER} button.trpolab-{name}").click()


def hint(page: Any, name: str) -> str:
    return page.locator(f"{HOPPER} .trpolab-hint-{name}").inner_text()


def rows_drawn(page: Any, lab: str = HOPPER) -> int:
    """Iterations in the charts as they were last drawn."""
    return int(page.locator(f"{lab} .trpolab-plot-return").get_attribute("data-rows") or 0)


def marks(page: Any, lab: str = HOPPER) -> str:
    """The list of turned knobs."""
    return page.locator(f"{lab} .trpolab-marks").text_content()


def open_group(page: Any, title: str, lab: str = HOPPER) -> None:
    """Open the knobs of a group that are folded."""
    summary = page.locator(f"{lab} .trpolab-card", has_text=title).locator("summary").first
    if not summary.locator("xpath=..").evaluate("details => details.open"):
        summary.click()


def open_and_run(page: Any, server: str, name: str) -> None:
    """Open a notebook in JupyterLab and run all its cells."""
    open_notebook(page, server, name)
    run_all(page)


@pytest.fixture(scope="module")
def notebook(page: Any, server: str) -> Any:
    """The page with every cell run."""
    open_and_run(page, server, "0_start.ipynb")
    page.wait_for_selector(HOPPER, timeout=PATIENCE * 1000)
    until(lambda: page.locator(".jp-CodeCell .jp-InputPrompt", has_text="[5]:").count(), "the last cell never ran")
    return page


def test_every_cell_ran_without_an_error(notebook: Any) -> None:
    assert notebook.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    assert notebook.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert "finished · iteration 40" in pill(notebook, CARTPOLE)


def test_the_lab_is_drawn_and_it_moves(notebook: Any) -> None:
    notebook.locator(HOPPER).scroll_into_view_if_needed()
    first = until(lambda: iteration(notebook), "Hopper never began")
    until(lambda: rows_drawn(notebook) >= first, "the charts have no lines")
    until(lambda: iteration(notebook) > first + 1, "no iteration came after the first")
    until(lambda: rows_drawn(notebook) > first + 1, "the charts stand still")
    player = notebook.locator(f"{HOPPER} .trpolab-player")
    until(lambda: player.get_attribute("data-drawn"), "no rollout was shown")


def test_dragging_delta_changes_the_delta_in_use(notebook: Any) -> None:
    row = notebook.locator(f"{HOPPER} .trpolab-row:has(.trpolab-hint-delta)")
    row.scroll_into_view_if_needed()
    time.sleep(0.5)  # scrolling goes on for a moment
    readout = row.locator(".widget-readout")
    before = float(readout.inner_text())
    handle = row.locator(".noUi-handle").bounding_box()
    middle = handle["y"] + handle["height"] / 2
    notebook.mouse.move(handle["x"] + 7, middle)
    notebook.mouse.down()
    notebook.mouse.move(handle["x"] + 22, middle, steps=5)
    notebook.mouse.up()
    until(lambda: float(readout.inner_text()) > before, "the slider did not follow the mouse")
    asked = readout.inner_text()
    until(lambda: f"in use {asked} since iteration" in hint(notebook, "delta"), f"δ = {asked} was never applied")
    until(lambda: f"→ {asked} at" in marks(notebook), "the list of turned knobs does not have it")


def test_pause_holds_and_step_does_one(notebook: Any) -> None:
    press(notebook, "pause")
    until(lambda: "paused" in pill(notebook), "it never paused")
    held = iteration(notebook)
    time.sleep(1.5)
    assert iteration(notebook) == held
    press(notebook, "step")
    until(lambda: iteration(notebook) == held + 1 and "paused" in pill(notebook), "one step never came")


def test_the_saved_file_shows_the_run_without_a_kernel(notebook: Any, workspace: Path) -> None:
    held = iteration(notebook)
    file = workspace / "0_start.ipynb"

    def saved() -> list[dict[str, Any]]:
        """The outputs of the lab's cell, the live one last."""
        notebook.keyboard.press("Control+s")
        try:
            cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        except json.JSONDecodeError:  # it is being written
            return [{}]
        found = [[output.get("data", {}) for output in cell.get("outputs", ())] for cell in cells]
        ours = [
            outputs for outputs in found if outputs and "Lab(Hopper-v5)" in "".join(outputs[-1].get("text/plain", ""))
        ]
        return ours[0] if ours else [{}]

    title = f"Hopper-v5, {held} iterations"
    until(lambda: title in "".join(saved()[0].get("text/html", "")), "the file tells of older iterations")
    until(lambda: sum("image/png" in picture for picture in saved()) == 2, "the pictures are missing")
    assert notebook.locator(f".jp-Cell:has({HOPPER}) .trpolab-stays").is_hidden(), "it is shown beside the live lab"
    assert file.stat().st_size < 1_500_000


def test_a_change_while_paused_is_pending(notebook: Any) -> None:
    open_group(notebook, "Trust region")
    row = notebook.locator(f"{HOPPER} .trpolab-row:has(.trpolab-hint-cg_iterations)")
    used = int(row.locator(".widget-readout").inner_text())
    row.locator(".noUi-handle").press("ArrowRight")
    pending = f"next {used + 1}, in use {used}"
    until(lambda: pending in hint(notebook, "cg_iterations"), "the change is not shown as pending")


def test_what_cannot_run_is_said_and_the_knob_goes_back(notebook: Any) -> None:
    open_group(notebook, "Estimate")
    row = notebook.locator(f"{HOPPER} .trpolab-row:has(.trpolab-hint-advantage)")
    row.get_by_role("button", name="sums").click()
    until(
        lambda: notebook.locator(f"{HOPPER} .trpolab-problem [role=alert]").count(), "no sentence tells what is wrong"
    )
    until(lambda: row.locator(".mod-active").inner_text() == "GAE", "the knob did not go back")


def test_stop_ends_the_run_and_run_goes_on(notebook: Any) -> None:
    before = iteration(notebook)
    press(notebook, "stop")
    until(lambda: "stopped" in pill(notebook), "it never stopped")
    press(notebook, "run")
    until(lambda: iteration(notebook) > before + 1, "it did not go on")
    until(lambda: "since iteration" in hint(notebook, "cg_iterations"), "the pending change was lost")


def test_a_text_reaches_the_clipboard_and_a_file_is_saved(notebook: Any) -> None:
    notebook.context.grant_permissions(["clipboard-read", "clipboard-write"])
    press(notebook, "python")
    read = "navigator.clipboard.readText()"
    until(lambda: notebook.evaluate(read).startswith("import trpolab"), "nothing is on the clipboard")
    along = notebook.locator(f"{HOPPER} .trpolab-along")
    along.get_by_label("as", exact=True).select_option("csv")
    with notebook.expect_download() as download:
        along.get_by_role("button", name="Save file").click()
    assert download.value.suggested_filename.endswith(".csv")
    assert Path(download.value.path()).read_text().startswith("iteration,sim_steps,return_mean")


def test_it_steps_back_to_an_iteration_that_is_kept(notebook: Any) -> None:
    along = notebook.locator(f"{HOPPER} .trpolab-along")
    iterations = along.get_by_label("back to iteration")
    until(iterations.is_enabled, "nothing is kept to go back to")
    kept = int(iterations.locator("option").first.text_content())
    iterations.select_option(index=0)
    along.get_by_role("button", name="Rewind").click()
    until(lambda: pill(notebook) == f"ready · iteration {kept}", "it did not step back")
    press(notebook, "run")
    until(lambda: iteration(notebook) > kept, "it did not go on")


def test_the_dark_theme_darkens_the_lab(notebook: Any) -> None:
    title = notebook.locator(f"{HOPPER} .trpolab-heading").first
    read = "element => getComputedStyle(element.querySelector('.widget-html-content') || element).color"

    def darkest() -> int:
        return min(int(value) for value in re.findall(r"\d+", title.evaluate(read))[:3])

    assert darkest() < 150
    notebook.get_by_role("menuitem", name="Settings", exact=True).click()
    notebook.locator(".lm-Menu-item", has_text="Theme").first.click()
    notebook.locator(".lm-Menu-item", has_text="JupyterLab Dark").first.click()
    until(lambda: darkest() > 150, "the text stayed dark")


def test_the_console_holds_no_error_of_ours(notebook: Any) -> None:
    ours = [text for text in notebook.complaints if not any(known in text for known in NOT_OURS)]
    assert ours == []


def test_running_the_cell_again_leaves_one_lab_that_runs(notebook: Any) -> None:
    cell = notebook.locator(f".jp-CodeCell:has({HOPPER}) .jp-InputArea-editor")
    cell.click()
    notebook.keyboard.press("Control+Enter")
    until(lambda: 0 < iteration(notebook) < 20 and "running" in pill(notebook), "no fresh lab")
    assert notebook.locator(HOPPER).count() == 1
    test_the_console_holds_no_error_of_ours(notebook)

"""Runs of a folder in a real browser: listed, opened, laid over each other, deleted; and one that another trains."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_start import CARTPOLE, NOT_OURS, iteration, open_and_run, pill
from trpolab.bench.browser import until, write_notebook
from trpolab.training.session import Session

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)>"
LIST = ".trpolab-runs-page"
CHOICE = f"{LIST} select[multiple]"
BEGINS = "import trpolab\n\n"


@pytest.fixture(scope="module")
def trained(workspace: Path) -> Path:
    """A folder of two runs that are finished, one of them with a label that is no text in HTML."""
    folder = workspace / "runs"
    for delta, label in ((0.005, EVIL), (0.05, "large")):
        session = Session("CartPole-v1", out=folder, label=label, iterations=4, steps_per_iteration=500, delta=delta)
        session.run()
    return folder


@pytest.fixture(scope="module")
def elsewhere(workspace: Path) -> Iterator[Path]:
    """The folder of a run that another process trains."""
    code = (
        "import trpolab; session = trpolab.Session('CartPole-v1', out='others', seconds_per_iteration=0.3, "
        "iterations=10**6)\nfor done in session.iterate(): print(session.path, flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=workspace, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield workspace / process.stdout.readline().strip()
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def shown(page: Any, server: str, workspace: Path, trained: Path, elsewhere: Path) -> Any:
    """The page of a notebook with the list of runs, a comparison, and the run of another process."""
    cells = ("trpolab.runs('runs')", f"trpolab.compare({sorted(map(str, trained.iterdir()))!r})")
    write_notebook(workspace / "several.ipynb", BEGINS + cells[0], cells[1], f"trpolab.watch({os.fspath(elsewhere)!r})")
    open_and_run(page, server, "several.ipynb")
    page.wait_for_selector(CARTPOLE)
    return page


def options(page: Any) -> list[str]:
    return [text.replace("\xa0", " ") for text in page.locator(f"{CHOICE} option").all_text_contents()]


def press(page: Any, name: str) -> None:
    page.locator(f"{LIST} button", has_text=name).first.click()


def test_a_comparison_draws_each_run_and_tells_what_differs(shown: Any) -> None:
    output = shown.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea")
    picture = output.locator("img[src^='data:']")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    shown.mouse.move(box["x"] + 99, box["y"] + 99)  # JupyterLab shows the picture until the pointer is on it
    until(lambda: output.locator(".scatterlayer .trace").count() == 4, "not two curves of two runs")
    table = output.locator("table")
    assert {"δ", "mean of the last 100 episodes"} <= set(table.locator("th").all_text_contents())
    assert EVIL in table.locator("td").all_text_contents()
    assert table.locator("img").count() == 0
    axis = output.locator(".g-xtitle")
    until(lambda: axis.text_content() == "simulator steps", "the axis has no name")
    output.locator(".updatemenu-button", has_text="time").click()
    until(lambda: axis.text_content() == "training time in seconds", "the buttons change nothing")


def test_a_run_of_another_process_is_followed_and_its_policies_play(shown: Any) -> None:
    before = iteration(shown, CARTPOLE)
    until(lambda: iteration(shown, CARTPOLE) > before, "it stands still")
    assert "watching" in pill(shown, CARTPOLE)
    assert shown.locator(f"{CARTPOLE} button.trpolab-run:visible:enabled").count() == 0
    drawn = f"{CARTPOLE} .trpolab-player[data-drawn]"
    shown.locator(f"{CARTPOLE} .trpolab-player").first.scroll_into_view_if_needed()  # it draws where it is seen
    until(lambda: shown.locator(drawn).count(), "no policy of it plays")


def test_runs_are_listed_and_laid_over_each_other(shown: Any) -> None:
    assert len(options(shown)) == 2 and any(EVIL in text for text in options(shown))
    press(shown, "Compare")
    until(lambda: "choose a run" in shown.locator(f"{LIST} [role=status]").inner_text(), "it does not say what to do")
    shown.locator(CHOICE).select_option(index=[0, 1])
    press(shown, "Compare")
    until(lambda: shown.locator(f"{LIST} table td", has_text="large").count(), "no comparison below the list")


def test_a_run_is_deleted_when_that_is_confirmed(shown: Any, trained: Path) -> None:
    shown.locator(CHOICE).select_option(index=[0])
    press(shown, "Delete")
    until(lambda: "for good?" in shown.locator(f"{LIST} [role=status]").inner_text(), "it does not ask")
    assert len(list(trained.iterdir())) == 2
    press(shown, "Delete for good")
    until(lambda: len(options(shown)) == 1, "it is still listed")
    assert len(list(trained.iterdir())) == 1


def test_nothing_was_taken_for_html_and_no_error_was_told(shown: Any) -> None:
    assert shown.locator("img[src=x]").count() == 0
    assert not [text for text in shown.complaints if not any(part in text for part in NOT_OURS)]

"""The table of run folders with controls, as a person uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("ipywidgets", reason='needs the lab: pip install "trpolab[lab]"')

from tests.reliability.runs import session
from trpolab.lab.run_browser import RunBrowser, show
from trpolab.runs.browser import Runs
from trpolab.runs.reader import read_run

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def browser(tmp_path: Path) -> RunBrowser:
    """Three runs: of 2, 3 and 1 iterations."""
    for seed, iterations in ((1, 2), (2, 3), (3, 1)):
        session(out=tmp_path, iterations=iterations, seed=seed).run()
    return RunBrowser(Runs(tmp_path))


def choose(browser: RunBrowser, *lengths: int) -> None:
    browser.list.index = tuple(n for n, run in enumerate(browser._shown) if run.iterations in lengths)


def test_it_sorts_and_keeps_what_is_chosen(browser: RunBrowser) -> None:
    choose(browser, 1)
    browser.by.value = "iterations"
    assert [run.iterations for run in browser._shown] == [3, 2, 1] and browser.list.index == (2,)
    browser.down.value = False
    assert [run.iterations for run in browser._shown] == [1, 2, 3] and browser.list.index == (0,)


def test_a_label_is_written_and_is_text(browser: RunBrowser) -> None:
    choose(browser, 2)
    browser.text.value = EVIL
    browser.press("label")
    (chosen,) = browser._chosen()
    assert read_run(chosen.path)["label"] == EVIL and EVIL in browser.list.options[browser.list.index[0]][0]
    browser.text.value = "x" * 5000
    browser.press("label")
    assert "label" in browser.said.value and read_run(chosen.path)["label"] == EVIL


def test_it_deletes_only_when_asked_twice(browser: RunBrowser) -> None:
    choose(browser, 3)
    (run,) = browser._chosen()
    assert browser.buttons["confirm"].layout.display == "none"
    browser.press("delete")
    assert run.path.exists() and "3 iterations" in browser.said.value and "for good?" in browser.said.value
    browser.press("reload")
    assert browser.buttons["confirm"].layout.display == "none"
    choose(browser, 3)
    browser.press("delete")
    browser.press("confirm")
    assert not run.path.exists() and len(browser.list.options) == 2 and "is deleted" in browser.said.value
    browser.press("confirm")
    assert len(Runs(browser.runs.folder)) == 2


def test_a_run_that_is_written_is_not_deleted_but_watched(browser: RunBrowser) -> None:
    going = session(out=browser.runs.folder, iterations=9).iterate()
    next(going)
    browser.press("reload")
    browser.list.index = tuple(n for n, run in enumerate(browser._shown) if run.state == "running")
    browser.press("delete")
    assert "is being written; stop that run first" in browser.said.value
    assert browser.buttons["confirm"].layout.display == "none"
    browser.press("open")
    assert type(browser._opened).__name__ == "Watch" and len(browser.below.children) == 1
    browser.close()
    going.close()


def test_it_opens_a_run_to_go_on_with_and_compares_several(browser: RunBrowser) -> None:
    browser.press("open")
    assert "choose a run in the list first" in browser.said.value
    choose(browser, 2, 3)
    browser.press("open")
    assert "choose a single run for that; 2 are chosen" in browser.said.value
    browser.press("compare")
    table, figure = browser.below.children[0].outputs
    assert table["data"]["text/html"].count("<tr>") == 3 and "image/png" in figure["data"]
    choose(browser, 3)
    browser.press("open")
    assert browser._opened is not None and len(browser._opened.history) == 3 and browser._opened.steerable
    browser.close()


def test_outside_a_notebook_the_table_is_text(browser: RunBrowser) -> None:
    with pytest.raises(NotImplementedError):
        show(browser.runs)
    with pytest.raises(NotImplementedError):
        browser.runs._ipython_display_()


def test_a_folder_without_runs_says_so(tmp_path: Path) -> None:
    assert "there is no run in" in RunBrowser(Runs(tmp_path)).said.value

"""What the lab's benchmark says where there is no browser, and how a failing row does not end the others."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from trpolab.bench import browser, lab_overhead, lab_page


def test_what_is_missing_is_said_with_the_line_that_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found: set[str] = set()
    monkeypatch.setattr(browser.shutil, "which", lambda name: f"/usr/bin/{name}" if name in found else None)
    monkeypatch.setattr(browser, "find_spec", lambda name: name if name in found else None)
    assert "apt-get install chromium" in browser.missing()
    found |= {"google-chrome"}
    assert browser.find_chromium() == "/usr/bin/google-chrome"
    assert 'pip install "trpolab[test]"' in browser.missing()
    found |= {"playwright"}
    assert 'pip install "trpolab[lab]"' in browser.missing()
    found |= {"jupyterlab"}
    assert browser.missing() == ""


def test_without_a_browser_the_kernels_row_is_printed_and_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_overhead, "_in_kernel", lambda *_: {"share": 0.034})
    monkeypatch.setattr(lab_overhead, "missing", lambda: "no Chromium on PATH")
    table = lab_overhead.lab(lambda line: None)
    assert len(table.rows) == 1 and "3.4% | yes" in table.rows[0]
    assert "no Chromium on PATH" in table.summary


def test_a_row_that_fails_says_why_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Any) -> Any:
        yield "one", "< 1 s", "0.50 s", True
        raise AssertionError("the lab stands still")

    monkeypatch.setattr(lab_page, "lab_page", lambda: contextlib.nullcontext(SimpleNamespace()))
    for name in ("start", "late", "hopper", "slowed", "saved", "humanoid"):
        monkeypatch.setattr(lab_page, name, fails)
    fails.__name__ = "fails"
    rows = lab_page.browser_rows(lambda line: None)
    assert rows[:2] == ["one | < 1 s | 0.50 s | yes", "fails | | AssertionError: the lab stands still | no"]
    assert len(rows) == 12 and len({row.count("|") for row in rows}) == 1


def test_times_are_told_in_the_unit_of_their_bound() -> None:
    assert lab_page.row("slow", 1.5, 1.0) == ("slow", "< 1 s", "1.50 s", False)
    assert lab_page.row("quick", 0.15, 0.2) == ("quick", "< 200 ms", "150 ms", True)

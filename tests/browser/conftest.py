"""A real JupyterLab and a real browser, away from the user's own settings."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trpolab.bench.browser import browser, jupyterlab


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Path:
    """A folder with a copy of the notebooks."""
    folder = tmp_path_factory.mktemp("notebooks")
    for notebook in (checkout / "notebooks").glob("*.ipynb"):
        shutil.copy(notebook, folder)
    return folder


@pytest.fixture(scope="module")
def server(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab that serves the workspace."""
    pytest.importorskip("jupyterlab", reason='needs JupyterLab: pip install "trpolab[lab]"')
    with jupyterlab(workspace, tmp_path_factory.mktemp("jupyter")) as address:
        yield address


@pytest.fixture(scope="module")
def page(chromium: str, server: str) -> Iterator[Any]:
    """A browser page; `page.complaints` collects what its console and its scripts reported as errors."""
    pytest.importorskip("playwright.sync_api", reason='needs Playwright: pip install "trpolab[test]"')
    with browser() as context:
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda note: page.complaints.append(note.text) if note.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        yield page

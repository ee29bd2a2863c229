"""Fixtures that several rooms share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder that holds pyproject.toml."""
    return Path(__file__).parent.parent


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; tests that need one are skipped, with the line that gets it, where there is none."""
    from trpolab.bench.browser import find_chromium

    if path := find_chromium():
        return path
    pytest.skip("no Chromium on PATH; get one with: apt-get install chromium")

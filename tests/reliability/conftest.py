"""Fixtures for faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory: whatever a test leaves there is seen."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path

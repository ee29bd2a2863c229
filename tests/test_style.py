"""Lint, format and types, as everyone who changes the code runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]],
    ids=["ruff check", "ruff format", "mypy"],
)
def test_tool_finds_nothing(command: list[str], checkout: Path) -> None:
    ran = subprocess.run([sys.executable, "-m", *command], cwd=checkout, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr

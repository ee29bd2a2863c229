"""`python -m trpolab`."""

from __future__ import annotations

import subprocess
import sys

from trpolab import __version__


def test_the_package_can_be_run() -> None:
    ran = subprocess.run([sys.executable, "-m", "trpolab", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == f"trpolab {__version__}"
    ran = subprocess.run(
        [sys.executable, "-m", "trpolab", "export", "nowhere", "--to", "csv"], capture_output=True, text=True
    )
    assert ran.returncode == 2 and "'nowhere' is not a folder" in ran.stderr

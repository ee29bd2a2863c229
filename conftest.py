"""For every test, notebooks included: small budgets, a scratch folder for notebooks, and what is needed to skip."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import contents

pytest_plugins = ["tests.reliability.scoreboard"]

ROOT = Path(__file__).parent
# Stubs are there to fail. Small budgets: one kernel runs all solutions, in tests/workshop/test_solutions.py.
collect_ignore_glob = ["notebooks/workshop/[0-9]*"]
if os.environ.get("TRPOLAB_FAST") != "0":
    collect_ignore_glob.append("notebooks/workshop/solutions/*")
SCRATCH = pytest.StashKey[Path]()
NOTEBOOKS = pytest.StashKey[dict[str, str]]()

# Notebooks run where their run folders leave nothing behind in the checkout.
STARTUP = """
import os
if (os.path.realpath(os.getcwd()) + os.sep).startswith(os.path.realpath({notebooks!r}) + os.sep):
    os.chdir({scratch!r})
"""


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("TRPOLAB_FAST", "1")  # notebooks take tiny budgets
    scratch = Path(tempfile.mkdtemp(prefix="trpolab-tests-"))
    startup = scratch / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    work = scratch / "work"
    shutil.copytree(ROOT / "notebooks" / "policies", work / "policies")  # what notebooks find beside them
    script = STARTUP.format(notebooks=str(ROOT / "notebooks"), scratch=str(work))
    (startup / "00-scratch.py").write_text(script, encoding="utf-8")
    os.environ["IPYTHONDIR"] = str(scratch / "ipython")
    config.stash[SCRATCH] = scratch
    config.stash[NOTEBOOKS] = contents(ROOT / "notebooks")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """After a notebook's last cell: no file of the checkout's notebooks has changed."""
    yield
    if item.path.suffix == ".ipynb" and (nextitem is None or nextitem.path != item.path):
        assert contents(ROOT / "notebooks") == item.config.stash[NOTEBOOKS], f"{item.path.name} wrote into the checkout"


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[SCRATCH], ignore_errors=True)


@pytest.fixture
def notebook_folder(pytestconfig: pytest.Config) -> Path:
    """Where nbval's kernels work."""
    return pytestconfig.stash[SCRATCH] / "work"

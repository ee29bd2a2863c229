"""What is said while packages are loaded."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from trpolab.extras import announced

pytest.importorskip("IPython", reason='needs the lab: pip install "trpolab[lab]"')


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is displayed, and what it is changed to, in a kernel that has not loaded torch."""
    said: list[Any] = []

    def publish(bundle: dict[str, str], *, transient: dict[str, str], update: bool = False) -> None:
        assert not update or transient == said[-1][1], "the line itself is changed"
        said.append((bundle, transient))

    shell = SimpleNamespace(kernel=None, display_pub=SimpleNamespace(publish=publish))
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    return said


def test_a_cell_says_that_packages_are_being_loaded_until_they_are_or_fail(told: list[Any]) -> None:
    with announced("trpolab.Lab"):
        assert [bundle for bundle, _ in told] == [{"text/plain": "loading trpolab.Lab ..."}]
    assert len(told) == 2 and told[1][0]["text/plain"] == "", "the line goes away"
    with pytest.raises(ImportError), announced("trpolab.Lab"):
        raise ImportError
    assert len(told) == 4 and told[3][0] == told[1][0]


def test_nothing_is_said_once_they_are_loaded_or_without_a_kernel(
    told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    with announced("trpolab.Lab"):
        pass
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    with announced("trpolab.Lab"):
        pass
    assert told == []

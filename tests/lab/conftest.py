"""A lab on a session that learns nothing, closed at the end of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

pytest.importorskip("ipywidgets", reason='needs the lab: pip install "trpolab[lab]"')

from tests.lab.fakes import FakeSession
from trpolab.lab.lab import Lab


class FakeLab(Lab):
    """A lab whose sessions are fakes; `about` goes to each of them."""

    about: ClassVar[dict[str, Any]] = {}

    def _new_session(self, source: Any, settings: dict[str, Any], resume: Any = None, at: Any = None) -> Any:
        return FakeSession("CartPole-v1", settings, **self.about)


@pytest.fixture
def make_lab() -> Iterator[Callable[..., Lab]]:
    """Build a lab on a FakeSession(**about)."""
    made: list[Lab] = []

    def build(about: dict[str, Any] | None = None, **settings: Any) -> Lab:
        kind = type("AFakeLab", (FakeLab,), {"about": about or {}})
        made.append(kind("CartPole-v1", out=None, **settings))
        return made[-1]

    yield build
    for lab in made:
        lab.close()

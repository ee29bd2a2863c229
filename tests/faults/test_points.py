"""Every place is there, and every fault can be planted in it."""

from __future__ import annotations

import pytest

from tests.faults.points import FAULTS, PLACES, plant, replace


@pytest.mark.parametrize("place", PLACES)
def test_a_place(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    replace(place, lambda honest: honest, monkeypatch)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(fault, monkeypatch)

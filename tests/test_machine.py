"""How many cores and how much memory a process may use."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from trpolab import machine


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("9900000 100000", 8),
        ("?", 8),
    ],
)
def test_a_quota_cuts_what_affinity_allows(quota: str, cores: int, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    monkeypatch.setattr(machine, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert machine.usable_cores() == cores


def test_without_control_groups_affinity_counts(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(machine, "QUOTA", tmp_path / "missing")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert machine.usable_cores() == 1


@pytest.mark.parametrize(
    ("limit", "bytes_"), [(None, 4000), ("max\n", 4000), ("1000\n", 1000), ("9000\n", 4000), ("?", 4000)]
)
def test_a_containers_limit_cuts_what_the_machine_has(
    limit: str | None, bytes_: int, tmp_path: Path, monkeypatch
) -> None:
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(machine, "MEMORY_LIMIT", tmp_path / "memory.max")
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: SimpleNamespace(total=4000))
    assert machine.usable_memory() == bytes_


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="the system does not tell by sysconf")
def test_the_machines_memory_is_what_the_system_says(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(machine, "MEMORY_LIMIT", tmp_path / "missing")
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert machine.usable_memory() == pytest.approx(pages, rel=0.01)

"""How many cores and how much memory a process may use."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

import trpolab
from trpolab import machine
from trpolab.cli import main
from trpolab.runs.reader import read_metrics, read_run, read_status


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


def test_a_path_may_begin_with_the_home_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert machine.user_path("~/a/b") == tmp_path / "a" / "b" and machine.user_path(Path("~")) == tmp_path
    for path in ("a/~/b", "/a", "~nobody-of-this-name/b"):
        assert machine.user_path(path) == Path(path)


def test_every_place_that_takes_a_path_knows_the_home_folder(tmp_path: Path, monkeypatch, capsys) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    session = trpolab.train("CartPole-v1", out="~/runs", iterations=1)
    assert session.path is not None and session.path.parent == home / "runs"
    run = f"~/runs/{session.path.name}"
    for read in (read_run, read_status, read_metrics, trpolab.load_policy):
        read(run)
    session.policy.save("~/policy.safetensors")
    trpolab.load_policy("~/policy.safetensors")
    trpolab.evaluate(run, episodes=1)
    trpolab.evaluate(trpolab.runs("~/runs")[0], episodes=1)
    assert trpolab.Session(resume=run, iterations=2).run().path == session.path
    (home / "run.toml").write_text("delta = 0.5")
    train = ["train", "CartPole-v1", "--config", "~/run.toml", "--out", "~/other", "--iterations", "1"]
    assert main(train) == 0 and '"delta": 0.5' in next((home / "other").glob("*/run.json")).read_text()
    assert main(["train", "--resume", run, "--iterations", "3"]) == 0
    for kind in ("csv", "zip"):
        assert main(["export", run, "--to", kind, "--out", f"~/run.{kind}"]) == 0
    assert main(["import", "~/run.zip", "--out", "~/taken"]) == 0
    assert (home / "run.csv").is_file() and (home / "taken" / session.path.name / "run.json").is_file()
    copied = []
    monkeypatch.setattr("trpolab.cli.lab.serve", lambda folder, options, first: copied.append(folder) or 0)
    assert main(["lab", "~/notebooks"]) == 0 and copied == [home / "notebooks"]
    assert list(work.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="the system does not tell by sysconf")
def test_the_machines_memory_is_what_the_system_says(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(machine, "MEMORY_LIMIT", tmp_path / "missing")
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert machine.usable_memory() == pytest.approx(pages, rel=0.01)

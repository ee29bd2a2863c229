"""Files that hold the old or the new, lines that are whole, and owners that are recognised."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import psutil
import pytest

from trpolab.runs import disk
from trpolab.runs.disk import LineFile, strict_json, sweep, temporary, write_atomically
from trpolab.runs.owner import Owner


def test_a_file_holds_the_old_content_or_the_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    write_atomically(file, "old")

    def refuse(*given: object) -> None:
        raise OSError("no")

    for call in ("write", "fsync", "replace"):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="no"):
            patch.setattr(os, call, refuse)
            write_atomically(file, "new")
        assert file.read_text() == "old\n"
        assert [path.name for path in tmp_path.iterdir()] == ["file"]
    write_atomically(file, b"new")
    assert file.read_bytes() == b"new"


def test_what_a_writer_left_of_a_line_is_cut_off_and_whole_lines_are_not(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    for left in (b"", b'{"a": 1}\n', b'{"a": 1}\n{"b"', b"{" + b"x" * 100_000):
        file.write_bytes(left)
        lines = LineFile(file)
        lines.append({"c": 3})
        lines.append({"d": float("nan")})
        lines.close()
        kept = left[: left.rfind(b"\n") + 1]
        assert file.read_bytes() == kept + b'{"c": 3}\n{"d": null, "nonfinite": ["d"]}\n'


def test_json_is_strict_all_the_way_down() -> None:
    assert strict_json({"a": [1.0, float("inf")], "b": (1, 2)}) == '{"a": [1.0, null], "b": [1, 2]}'


def test_an_owner_is_this_process_and_no_other_with_its_pid() -> None:
    me = Owner.this()
    assert me.alive() and not me.elsewhere and me.pid == os.getpid()
    assert Owner.of(me.record()) == me
    assert not dataclasses.replace(me, ticks=me.ticks + 1).alive()
    assert not dataclasses.replace(me, boot="another").alive()
    assert dataclasses.replace(me, host="another").elsewhere
    assert str(me).startswith(f"process {me.pid} on {me.host}, started 20")
    for nonsense in (None, [], {"pid": "7"}, {}, {"pid": 0}, {"pid": -1}):
        assert Owner.of(nonsense) is None
    assert not Owner(2**70, 0).alive()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_records_of_earlier_versions_name_the_same_process() -> None:
    """They hold what the kernel says of a process's start, in ticks of a hundredth of a second."""
    me = Owner.this()
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    assert os.sysconf("SC_CLK_TCK") == 100 and me.ticks == int(fields[19])
    assert me.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    record = {"pid": me.pid, "host": me.host, "process_ticks": int(fields[19]), "boot_id": me.boot}
    found = Owner.of({**record, "process_started": me.started})
    assert found == me and found.alive()
    unknown = Owner.of({"pid": me.pid, "host": me.host, "process_ticks": 0, "boot_id": ""})  # as written on macOS
    assert unknown is not None and unknown.alive()


def test_a_clock_that_is_set_meanwhile_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    me, booted = Owner.this(), psutil.boot_time()
    if psutil.LINUX:  # elsewhere the kernel keeps the time of the start as it was
        monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: booted + 3600.0)
        monkeypatch.setattr(psutil, "boot_time", lambda: booted + 3600.0)
    assert me.alive()


def test_a_dead_process_is_dead_and_so_is_a_zombie() -> None:
    fork = os.fork()
    if fork == 0:
        os._exit(0)
    os.waitid(os.P_PID, fork, os.WEXITED | os.WNOWAIT)  # ended, and not waited for: a zombie
    assert not Owner(fork, 0).alive()
    os.waitpid(fork, 0)
    assert not Owner(fork, 0).alive()


def test_only_temporaries_of_the_dead_are_swept(tmp_path: Path) -> None:
    mine = temporary(tmp_path / "x")
    mine.mkdir()
    dead = tmp_path / ".x.4194301-7.tmp"
    dead.mkdir()
    (dead / "inside").write_text("half")
    others = [tmp_path / ".hidden", tmp_path / "x.4194301-7.tmp", tmp_path / ".x.abc-7.tmp"]
    for other in others:
        other.write_text("kept")
    assert sweep(tmp_path) == [dead.name]
    assert {path.name for path in tmp_path.iterdir()} == {mine.name, *(other.name for other in others)}
    assert sweep(tmp_path / "missing") == []
    assert disk._TEMPORARY.match(mine.name)

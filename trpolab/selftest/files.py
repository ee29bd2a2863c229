"""Files made to do harm, and files cut short."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

from trpolab.policies import PolicyFileError, read_policy
from trpolab.runs.archive import unpack
from trpolab.runs.reader import RunFolderError, read_metrics
from trpolab.selftest.expect import expect, expect_error
from trpolab.training.session import train


def refuses_hostile_policies(folder: Path) -> str:
    """A pickle that makes a folder when it is loaded, headers of absurd length, and pieces of a good file."""
    trace, file = folder / "owned", folder / "policy.safetensors"
    bomb = f"cos\nmkdir\n(V{trace}\ntR.".encode()  # what os.mkdir(trace) looks like to an unpickler
    contents = {
        "a renamed pickle": bomb + bytes(64),
        "a pickle behind a header": struct.pack("<Q", len(bomb)) + bomb,
        "a header of 2^62 bytes": struct.pack("<Q", 2**62) + b"{}",
        "an empty file": b"",
    }
    for what, content in contents.items():
        file.write_bytes(content)
        expect_error(PolicyFileError, "not a safetensors file", lambda: read_policy(file), what)
    expect(not trace.exists(), "code in a policy file ran")
    run = train("CartPole-v1", out=folder / "runs", iterations=1, steps_per_iteration=64, slots=2)
    assert run.path is not None
    good = next((run.path / "policies").iterdir()).read_bytes()
    for length in range(0, len(good), 97):
        file.write_bytes(good[:length])
        expect_error(PolicyFileError, "policy.safetensors", lambda: read_policy(file), f"{length} bytes of a policy")
    return f"{len(contents)} hostile files and every part of a good one refused; no code ran"


def refuses_hostile_archives(folder: Path) -> str:
    """Names that lead out of the folder, and a bomb."""
    file, about = folder / "run.zip", json.dumps({"schema": 1, "id": "r", "task": "t", "settings": {}})
    names = ("../evil", "/evil", "r/../../evil", "r\\..\\evil", "r/policies/CON", "r/autoexec.py")
    for name in names:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("r/run.json", about)
            archive.writestr(zipfile.ZipInfo(name), "x")
        expect_error(RunFolderError, "run.zip", lambda: unpack(file, folder / "runs"), f"the name {name!r}")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("r/run.json", about)
        archive.writestr("r/metrics.jsonl", "0" * 30_000_000)
    expect_error(RunFolderError, "fill a disk", lambda: unpack(file, folder / "runs"), "a bomb")
    written = [path.name for path in folder.iterdir() if path != file]
    expect(not written, f"something was written: {', '.join(written)}")
    return f"{len(names)} names that lead elsewhere and a bomb refused, nothing written"


def reads_torn_lines(folder: Path) -> str:
    """A last line cut short, and a middle line that is no JSON."""
    path = train("CartPole-v1", out=folder, iterations=3, steps_per_iteration=64, slots=2).path
    assert path is not None
    file = path / "metrics.jsonl"
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole + whole[:40], encoding="utf-8")
    expect(len(read_metrics(path)) == 3, "a torn last line changed what is read")
    lines = whole.splitlines()
    file.write_text("\n".join([lines[0], "nonsense", lines[2], ""]), encoding="utf-8")
    expect_error(RunFolderError, "line 2", lambda: read_metrics(path), "a bad middle line")
    return "the torn line ignored, the bad one named by its number"

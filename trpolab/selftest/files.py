"""Files made to do harm, and files cut short."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trpolab.policies import PolicyFileError, read_policy
from trpolab.runs.archive import unpack
from trpolab.runs.reader import RunFolderError, read_metrics
from trpolab.selftest.children import CARTPOLE
from trpolab.selftest.expect import expect, expect_error
from trpolab.training.session import Session, train


def refuses_hostile_policies(folder: Path) -> str:
    """A pickle that makes a folder when it is loaded, headers of absurd length, and pieces of a good file."""
    trace, file = folder / "owned", folder / "policy.safetensors"
    bomb = f"cos\nmkdir\n(V{trace}\ntR.".encode()  # what os.mkdir(trace) looks like to an unpickler
    hostile = {
        "a renamed pickle": bomb + bytes(64),
        "a pickle behind a header": struct.pack("<Q", len(bomb)) + bomb,
        **{f"a header of {length} bytes": struct.pack("<Q", length) + b"{}" for length in (2**62, 2**64 - 1, 2**32)},
        "an empty file": b"",
    }
    for what, content in hostile.items():
        file.write_bytes(content)
        expect_error(PolicyFileError, "not a safetensors file", lambda: read_policy(file), what)
    expect(not trace.exists(), "code in a policy file ran")
    path = train(out=folder / "runs", iterations=1, **CARTPOLE).path
    assert path is not None
    good = next((path / "policies").iterdir()).read_bytes()
    for length in range(0, len(good), 37):
        file.write_bytes(good[:length])
        expect_error(PolicyFileError, "policy.safetensors", lambda: read_policy(file), f"{length} bytes of a policy")
    return f"{len(hostile)} hostile files and every part of a good one refused; no code ran"


NAMES = ("../evil", "/evil", "r/../../evil", "r\\..\\evil", "r/policies/CON", "r/autoexec.py")


def refuses_hostile_archives(folder: Path, names: Iterable[str] = NAMES) -> str:
    """Names that lead out of the folder, and a bomb."""
    hostile = [(name, "x", "run.zip") for name in names] + [("r/metrics.jsonl", "0" * 30_000_000, "fill a disk")]
    file, about = folder / "run.zip", json.dumps({"schema": 1, "id": "r", "task": "t", "settings": {}})
    for name, content, said in hostile:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("r/run.json", about)
            archive.writestr(name, content)
        expect_error(RunFolderError, said, lambda: unpack(file, folder / "in" / "runs"), f"the entry {name!r}")
    written = [path.name for path in folder.iterdir() if path != file]
    expect(not written, f"something was written: {', '.join(written)}")
    return f"{len(hostile) - 1} names that lead elsewhere and a bomb refused, nothing written"


def reads_torn_lines(folder: Path, nonsense: bytes = b"nonsense") -> str:
    """A last line cut short anywhere, and a middle line that is no JSON."""
    path = train(out=folder, iterations=3, **CARTPOLE).path
    assert path is not None
    file = path / "metrics.jsonl"
    whole = file.read_bytes()
    lines = whole.splitlines()
    for cut in (1, 2, len(lines[-1]) // 2, len(lines[-1])):
        file.write_bytes(whole[:-cut])
        expect(_iterations(path) == [1, 2], f"a last line that lacks {cut} bytes changed what is read")
    Session(resume=path, iterations=5).run()
    found = _iterations(path)  # what was torn is not made up
    expect(found == [1, 2, 4, 5], f"gone on with behind a torn line, the run holds the iterations {found}")
    file.write_bytes(b"\n".join([lines[0], nonsense, lines[2], b""]))
    expect_error(RunFolderError, "metrics.jsonl: line 2 is not", lambda: read_metrics(path), "a bad middle line")
    return "the torn line ignored, the bad one named by its number"


def _iterations(path: Path) -> list[Any]:
    return [row["iteration"] for row in read_metrics(path)]

"""How the files of a run are written: a reader finds the old content of a file or all of the new, never a part."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from trpolab.runs.owner import Owner

_TEMPORARY = re.compile(r"^\..+\.(\d+)-(\d+)\.tmp$")  # .<name>.<pid>-<ticks>.tmp


def temporary(path: Path) -> Path:
    """A path beside `path` for its new content. The name tells which process writes it, for `sweep`."""
    me = Owner.this()
    return path.with_name(f".{path.name}.{me.pid}-{me.ticks}.tmp")


def write_synced(path: Path, content: bytes, sync: bool = True) -> None:
    """Write a file from its first byte to its last; with `sync`, it is on the disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    try:
        view = memoryview(content)
        while len(view):
            view = view[os.write(descriptor, view) :]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: str | bytes, sync: bool = True) -> None:
    """The file holds either its old content or all of the new. Raises OSError, leaving nothing aside."""
    aside = temporary(path)
    try:
        write_synced(aside, content.encode() + b"\n" if isinstance(content, str) else content, sync)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder, or the content of a file, to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_together(paths: Sequence[Path]) -> None:
    """Force files and folders to the disk at once: the file system commits them together, in a fraction of the time."""
    try:
        with ThreadPoolExecutor(len(paths), "trpolab-sync") as pool:
            list(pool.map(sync_folder, paths))  # so that errors are raised
    except RuntimeError:  # the interpreter is going down and starts no more threads
        for path in paths:
            sync_folder(path)


def sweep(folder: Path) -> list[str]:
    """Remove the temporary files and folders of dead processes from a folder. Returns their names."""
    swept = []
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        found = _TEMPORARY.match(entry.name)
        if found is None or Owner(int(found[1]), int(found[2])).alive():
            continue
        remove(entry)
        swept.append(entry.name)
    return swept


def remove(entry: Path) -> None:
    """Remove a file, a link or a folder with all that is in it."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


class LineFile:
    """A JSON-lines file with one writer: one `os.write` a line.

    Part of a line, left by a failed write or a killed writer, is cut off before the next line is written. Whole lines
    are never touched.
    """

    def __init__(self, path: Path):
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
        self._end = _end_of_lines(self._file)

    def append(self, record: dict[str, Any]) -> None:
        """Write one line. Raises OSError; the same record may then be tried again."""
        line = (strict_json(record) + "\n").encode()
        if os.fstat(self._file).st_size != self._end:
            os.ftruncate(self._file, self._end)
        if os.write(self._file, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._end += len(line)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError for anything else, and for a text that is nested too deep."""
    try:
        return json.loads(text, parse_constant=_not_json)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def strict_json(value: Any, indent: int | None = None) -> str:
    """JSON without NaN: a non-finite number becomes null, and its object lists its name under "nonfinite"."""
    return json.dumps(_plain(value), allow_nan=False, indent=indent)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        bad = [key for key, item in value.items() if isinstance(item, float) and not math.isfinite(item)]
        plain = {key: _plain(item) for key, item in value.items()}
        return {**plain, "nonfinite": bad} if bad else plain
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _end_of_lines(descriptor: int, chunk: int = 1 << 16) -> int:
    """The offset after the last newline."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - chunk)
        if (found := os.pread(descriptor, end - start, start).rfind(b"\n")) >= 0:
            return start + found + 1
        end = start
    return 0

"""Packs a run into a zip file, and unpacks one: names, sizes and checksums are checked before the run appears."""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
import zlib
from collections import Counter
from pathlib import Path

from trpolab.machine import user_path
from trpolab.runs.disk import temporary
from trpolab.runs.reader import RunFolderError, read_run

MOST_FILES = 200_000
LARGEST = 8 * 2**30  # bytes of all files together, unpacked
RATIO = 200  # largest unpacked size over packed size; JSON lines reach about 20
BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError)  # the last: encrypted
TOP = ("run.json", "status.json", "metrics.jsonl", "events.jsonl", "policies", "ckpt", "media")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # names of devices on Windows


def pack(folder: str | Path, target: Path) -> Path:
    """Write `<run id>/...` into a zip file: records, policies, checkpoints and media, no links, no half-written files.

    Files whose names `unpack` would refuse stay behind. Raises RunFolderError for a folder that is not a run, and for a
    run that changed meanwhile.
    """
    source, name = user_path(folder), str(read_run(folder)["id"])
    if (problem := name_problem(name)) is not None:
        raise RunFolderError(f"{str(source)!r}: {problem}")
    files = [path for path in sorted(source.rglob("*")) if path.is_file() and not path.is_symlink()]
    relative = [path.relative_to(source) for path in files]
    chosen = [path for path in relative if path.parts[0] in TOP and not any(map(name_problem, path.parts))]
    aside = temporary(target)
    try:
        with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in chosen:
                archive.write(source / path, f"{name}/{path.as_posix()}")
        aside.replace(target)
    except FileNotFoundError as error:
        raise RunFolderError(
            f"{error.filename!r} went away meanwhile: the run goes on; stop it, or try again"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return target


def unpack(file: str | Path, out: str | Path = "runs", largest: int = LARGEST) -> Path:
    """Make `<out>/<run id>/` from a zip file that `pack` wrote elsewhere, and return it.

    Names, kinds and sizes are checked before anything is written, the bytes while they are written. The folder appears
    whole or not at all, and never replaces another. Raises RunFolderError with the reason, and OSError for a full disk.
    """
    file, out = user_path(file), user_path(out)
    try:
        with zipfile.ZipFile(file) as archive:
            name, entries = _checked(archive, largest, file.stat().st_size)
            target = out / name
            if target.exists():
                raise RunFolderError(f"{str(target)!r} is there already")
            target.parent.mkdir(parents=True, exist_ok=True)
            if (free := shutil.disk_usage(target.parent).free) < sum(entry.file_size for entry in entries):
                raise RunFolderError(f"{file}: needs more than the {free} bytes that are free")
            aside = temporary(target)
            try:
                archive.extractall(aside, entries)  # writes no more than an entry's size, and compares its checksum
                for entry in entries:
                    if (aside / entry.filename).stat().st_size < entry.file_size:
                        raise RunFolderError(f"{file}: {entry.filename!r} is shorter than it says")
                if read_run(aside / name)["id"] != name:
                    raise RunFolderError(f"{file}: its run.json is another run's")
                (aside / name).rename(target)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
    except BROKEN as error:
        raise RunFolderError(f"{file}: is not a zip file that can be read ({error})") from error
    except FileNotFoundError as error:
        raise RunFolderError(f"{file}: {error.strerror}") from error
    return target


def name_problem(name: str) -> str | None:
    """Why a part of a path is refused, or None."""
    if not NAME.fullmatch(name) or name.endswith("."):
        return f"{name!r} is not a name that a run's files have"
    return f"{name!r} is a device on Windows" if DEVICES.fullmatch(name) else None


def _checked(archive: zipfile.ZipFile, largest: int, packed: int) -> tuple[str, list[zipfile.ZipInfo]]:
    """The run's id and its files. Raises RunFolderError for an archive with anything that a run does not have."""
    where, everything = archive.filename, archive.infolist()
    entries = [entry for entry in everything if not entry.is_dir()]
    if not entries or len(entries) > MOST_FILES:
        raise RunFolderError(f"{where}: holds {len(entries)} files; a run has 1 to {MOST_FILES}")
    for entry in everything:
        if (problem := _entry_problem(entry)) is not None:
            raise RunFolderError(f"{where}: {entry.orig_filename!r}: {problem}")
    names = [entry.filename.lower().rstrip("/") for entry in everything]
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise RunFolderError(f"{where}: holds {name!r} twice")
    tops = {entry.filename.split("/")[0] for entry in everything}
    if len(tops) != 1:
        raise RunFolderError(f"{where}: must hold one run's folder, holds {', '.join(sorted(tops))}")
    size = sum(entry.file_size for entry in entries)
    if size > largest:
        raise RunFolderError(f"{where}: unpacks to {size} bytes, more than {largest}")
    if size > RATIO * packed:
        raise RunFolderError(f"{where}: {packed} bytes that unpack to {size}: made to fill a disk")
    return tops.pop(), entries


def _entry_problem(entry: zipfile.ZipInfo) -> str | None:
    """Why an entry is refused, or None."""
    parts = entry.filename.removesuffix("/").split("/")
    if entry.orig_filename != entry.filename:
        return "its name holds a NUL"
    if (problem := next((problem for part in parts if (problem := name_problem(part)) is not None), None)) is not None:
        return f"leads elsewhere: {problem}"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device, not a file"
    if len(parts) == 1 and not entry.is_dir():
        return "lies outside of a run's folder"
    return None if len(parts) == 1 or parts[1] in TOP else "is nothing that a run's folder holds"

"""`trpolab export FOLDER --to KIND` and `trpolab import FILE.zip`."""

from __future__ import annotations

from trpolab.cli.exits import Exit, refuse
from trpolab.runs.archive import unpack
from trpolab.runs.exporter import export
from trpolab.runs.reader import RunFolderError


def export_run(folder: str, to: str, out: str | None) -> int:
    """Write a run for another program; prints where."""
    try:
        print(export(folder, to, out))
    except (RunFolderError, OSError) as error:
        return refuse([str(error)])
    return Exit.FINISHED


def import_run(file: str, out: str) -> int:
    """Take a run's zip file in; prints its folder."""
    try:
        print(unpack(file, out))
    except (RunFolderError, OSError) as error:
        return refuse([str(error)])
    return Exit.FINISHED

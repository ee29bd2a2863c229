"""`trpolab export FOLDER --to KIND` and `trpolab import FILE.zip`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from trpolab.cli.exits import Exit, refuse
from trpolab.runs.archive import unpack
from trpolab.runs.exporter import export


def export_run(args: Namespace) -> int:
    """Write a run for another program; prints where."""
    return _written(lambda: export(args.folder, args.to, args.out))


def import_run(args: Namespace) -> int:
    """Take a run's zip file in; prints its folder."""
    return _written(lambda: unpack(args.file, args.out))


def _written(work: Callable[[], Path]) -> int:
    try:
        print(work())
    except OSError as error:
        return refuse([str(error)])
    return Exit.FINISHED

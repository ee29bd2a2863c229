"""A run's metrics for other programs: CSV, Parquet, TensorBoard. The run folder itself stays the record."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from trpolab.extras import explained
from trpolab.machine import user_path
from trpolab.runs.archive import pack
from trpolab.runs.disk import write_atomically
from trpolab.runs.reader import RunFolderError, each_metrics, read_metrics, read_run

KINDS = ("csv", "parquet", "tensorboard", "zip")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a text that begins so


def export(folder: str | Path, to: str, out: str | Path | None = None) -> Path:
    """Write a run for another program and return where: `to` is csv, parquet, tensorboard or zip.

    Without `out`, a file named after the run in the working directory; for TensorBoard the run's own folder `tb`, with
    a sub-folder for each time that the run was taken up. Raises RunFolderError for a folder that is no run, for a file
    that exists already and for an unknown kind, and ImportError naming the command that installs a missing package.
    """
    if to not in KINDS:
        raise RunFolderError(f"to = {to!r}: must be one of {', '.join(KINDS)}")
    about = read_run(folder)
    if to == "tensorboard":
        return to_tensorboard(folder, user_path(folder) / "tb" if out is None else user_path(out))
    target = user_path(f"{about['id']}.{to}" if out is None else out)
    if target.exists():
        raise RunFolderError(f"{str(target)!r} is there already; give another name with --out")
    if not target.parent.is_dir():
        raise RunFolderError(f"{str(target.parent)!r} is not a folder")
    return {"csv": to_csv, "parquet": to_parquet, "zip": pack}[to](folder, target)


def to_csv(folder: str | Path, target: Path) -> Path:
    """One row an iteration, a column a metric; what does not apply is empty. Tables and lists are JSON texts."""
    table = columns(read_metrics(folder))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*(map(_cell, column) for column in table.values()), strict=True))
    write_atomically(target, text.getvalue().encode())
    return target


def to_parquet(folder: str | Path, target: Path) -> Path:
    """The same columns with their types. Raises ImportError naming the command where pyarrow is missing."""
    with explained("an export to Parquet"):
        import pyarrow
        import pyarrow.parquet
    table = pyarrow.table(
        {name: [_plain(value) for value in column] for name, column in columns(read_metrics(folder)).items()}
    )
    content = io.BytesIO()
    pyarrow.parquet.write_table(table, content)
    write_atomically(target, content.getvalue())
    return target


def to_tensorboard(folder: str | Path, target: Path) -> Path:
    """Event files `segment-<n>/events.out.tfevents...`, read by `tensorboard --logdir`; written anew by a new export.

    Times are those of the run's start and the iterations' own seconds: pauses are left out. Raises ImportError naming
    the command where tensorboard is missing.
    """
    with explained("an export to TensorBoard"):
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter
    try:
        time = datetime.fromisoformat(str(read_run(folder).get("created"))).timestamp()
    except ValueError:
        time = (user_path(folder) / "run.json").stat().st_mtime
    segments: dict[int, list[Event]] = {}
    for record in each_metrics(folder):
        time += _number(record.get("seconds_total")) or 0.0
        summary = Summary(
            value=[
                Summary.Value(tag=name, simple_value=number)
                for name, value in record.items()
                if name not in ("segment", "iteration") and (number := _number(value)) is not None
            ]
        )
        begins = [Event(wall_time=time, file_version="brain.Event:2")]
        segment = record.get("segment")
        events = segments.setdefault(segment if isinstance(segment, int) else 0, begins)
        events.append(Event(wall_time=time, step=record["iteration"], summary=summary))
    if not segments:
        raise RunFolderError(f"{str(folder)!r} holds no iteration yet")
    for segment, events in segments.items():
        content = io.BytesIO()
        for event in events:
            RecordWriter(content).write(event.SerializeToString())
        inside = target / f"segment-{segment:03d}"
        inside.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(events[0].wall_time):010d}.trpolab"
        write_atomically(inside / name, content.getvalue())
    return target


def columns(records: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
    """Records as columns, in the order in which their names first appear; None where a record has no such name."""
    rows = list(records)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _plain(value: Any) -> Any:
    """Tables and lists as JSON texts: their layout may change from one iteration to the next."""
    return json.dumps(value) if isinstance(value, dict | list) else value


def _cell(value: Any) -> Any:
    value = _plain(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

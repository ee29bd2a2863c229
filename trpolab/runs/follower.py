"""Following a run that another process writes: what is new in its folder since the last look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trpolab.machine import user_path
from trpolab.runs.disk import parse_json
from trpolab.runs.reader import read_events, read_run


class Follower:
    """The iterations of a run as they come, by `new`. Only whole lines are read, and nothing is written.

    Raises RunFolderError for a folder that is no run.
    """

    def __init__(self, folder: str | Path):
        self.about = read_run(folder)
        self.folder = user_path(folder)
        self._offset = 0  # of the first line that is not read yet

    def new(self) -> Iterator[dict[str, Any]]:
        """Rows of metrics since the last call; bad lines are passed over.

        A row of an iteration that was told before comes from a resumption. It and the rows after it take the place of
        those that were told.
        """
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):  # it is being written
                    return
                self._offset += len(line)
                try:
                    row = parse_json(line)
                except ValueError:
                    continue
                if isinstance(row, dict) and isinstance(row.get("iteration"), int):
                    yield row

    def asked(self, name: str) -> int | None:
        """How many iterations or steps, by that name, the run was last asked for."""
        asked = self.about["settings"].get(name)
        for event in read_events(self.folder):
            if isinstance(given := event.get("settings"), dict) and name in given:
                asked = given[name]
        return asked if isinstance(asked, int) else None


def printable(text: Any) -> str:
    """A text from a run folder without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))

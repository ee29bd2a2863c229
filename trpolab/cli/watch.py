"""`trpolab watch FOLDER`: the progress of a run that another process trains."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from typing import Any

from trpolab.cli.exits import Exit
from trpolab.runs.follower import Follower, printable
from trpolab.runs.reader import ALIVE, read_status
from trpolab.training.progress import ProgressLine

PERIOD = 0.5  # seconds between two looks
NUMBERS = ("sim_steps", "return_mean", "return_recent", "kl_mean")


def watch(args: Namespace) -> int:
    """Show iterations as they end, until the run has; nothing is written to its folder. Ctrl-C ends the watching."""
    follower = Follower(args.folder)
    print(f"watching {printable(follower.about['task'])}, {follower.folder}", flush=True)
    spent, last, progress = [0.0], {"iteration": 0, "sim_steps": 0}, None
    try:
        while True:
            status = read_status(follower.folder)  # before the rows, so that the last ones are not missed
            for row in map(_plain, follower.new()):
                if progress is None or row["iteration"] != last["iteration"] + 1:
                    if progress is not None:
                        progress.close()
                        print(f"taken up again after iteration {row['iteration'] - 1}", flush=True)
                    done = {"done": row["iteration"] - 1, "sim_steps": last["sim_steps"]}
                    asked = follower.asked("iterations"), follower.asked("steps")
                    progress = ProgressLine(sys.stdout, *asked, **done, clock=lambda: spent[0])
                spent[0] += row["seconds"]  # the rates are those of the run, not of the watching
                progress.show(row)
                last = row
            if status.state not in ALIVE:
                break
            time.sleep(PERIOD)
    finally:
        if progress is not None:
            progress.close()
    print(printable(status), flush=True)
    return Exit.FINISHED


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """What is shown of an iteration: numbers that are numbers, and a text."""
    found = {name: row.get(name) if isinstance(row.get(name), int | float) else None for name in NUMBERS}
    seconds = row.get("seconds_total")
    return {
        **found,
        "iteration": row["iteration"],
        "sim_steps": found["sim_steps"] or 0,
        "seconds": seconds if isinstance(seconds, int | float) else 0.0,
        "outcome": printable(row.get("outcome") or ""),
    }

"""`trpolab reproduce NAME`: a figure or table of the paper, run anew."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from trpolab.cli.exits import Exit
from trpolab.experiments.reproduce import reproduce as run
from trpolab.machine import user_path
from trpolab.settings import parse_value


def reproduce(args: Namespace) -> int:
    """Run it, and print its tables and the files that were written."""
    how: dict[str, Any] = {name: parse_value(text) for name in ("seeds", "jobs") if (text := getattr(args, name))}
    out = None if args.out is None else user_path(args.out)
    found = run(args.name, args.scale, out=out, stream=sys.stdout, executor=args.executor, **how)
    for table in found.tables:
        print(f"\n{table}")
    print("", *found.files, sep="\n")
    return Exit.CRASHED if any(one.state != "finished" for one in found.outcomes) else Exit.FINISHED

"""`trpolab bench [NAME ...]`: benchmarks, a table each; Markdown as the docs hold it, laid out in a terminal."""

from __future__ import annotations

import sys
from argparse import Namespace

from rich.console import Console
from rich.markdown import Markdown

from trpolab.bench import about, machine, names, run
from trpolab.cli.exits import Exit, refuse
from trpolab.machine import user_path
from trpolab.settings import nearest


def bench(args: Namespace) -> int:
    """Run the named benchmarks, or all; tables go to stdout, what is going on to stderr. Without a name, list them."""
    known = names()
    if args.list or not (args.names or args.all):
        print("\n".join(f"{name:<15} {time:>10}  {title}" for name, (time, title) in about().items()))
        return Exit.FINISHED
    unknown = [f"unknown benchmark {name!r}{nearest(name, known)}" for name in args.names if name not in known]
    if unknown:
        return refuse(["; ".join([*unknown, f"there are {', '.join(known)}"])])
    out = None if args.out is None else user_path(args.out)
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)  # which is known before anything runs
    except OSError as error:
        return refuse([f"--out {args.out}: {error.strerror}"])
    print(f"{machine()}\n", flush=True)
    for name in known if args.all else args.names:
        table = run(name, lambda line: print(line, file=sys.stderr, flush=True), out)
        if sys.stdout.isatty():
            Console().print(Markdown(table), "")
        else:
            print(f"{table}\n", flush=True)
    return Exit.FINISHED

"""`trpolab play TASK|FOLDER`: a policy's rollout as an animated picture."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from pkgutil import resolve_name

from trpolab.cli.exits import Exit, refuse
from trpolab.settings import PlainError


def play(args: Namespace) -> int:
    """Write the picture, and print its file and what it shows."""
    try:
        numbers = {name: _number(name, getattr(args, name)) for name in ("iteration", "seed", "max_steps")}
        picture, caption = resolve_name("trpolab.lab.played_runs:picture_of")(args.what, args.task, **numbers)
        file = Path(args.out or f"{Path(args.what).name or 'rollout'}.png")
        file.write_bytes(picture)
    except OSError as error:
        return refuse([str(error)])
    print(f"{file}: {caption}")
    return Exit.FINISHED


def _number(name: str, text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        raise PlainError(f"--{name.replace('_', '-')} {text}: must be a whole number") from None

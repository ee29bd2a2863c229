"""What a run of the terminal ends with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import IntEnum

from trpolab.settings import ConfigError, PlainError


class Exit(IntEnum):
    """Exit codes that a script can rely on."""

    FINISHED = 0
    CRASHED = 1  # a traceback was printed
    BAD_INPUT = 2  # said in a sentence; mostly nothing was started
    DIVERGED = 3  # training gave up on numbers that are not finite
    INTERRUPTED = 130  # Ctrl-C


def refuse(problems: Sequence[str] | PlainError) -> Exit:
    """Print everything that is wrong to stderr."""
    if isinstance(problems, PlainError):
        problems = problems.problems if isinstance(problems, ConfigError) else [str(problems)]
    told = problems if len(problems) == 1 else [f"{len(problems)} problems", *(f"- {problem}" for problem in problems)]
    print("trpolab:", "\n".join(told), file=sys.stderr)
    return Exit.BAD_INPUT

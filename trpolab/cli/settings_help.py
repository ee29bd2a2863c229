"""Every setting in a line or two, for `trpolab train --help`."""

from __future__ import annotations

import shutil
import textwrap

from trpolab.settings import Setting
from trpolab.training.config import settings

INDENT = 26  # columns left of the explanations


def settings_text(width: int | None = None) -> str:
    """All settings with their usual value, what they mean and what may be given, at most `width` columns wide."""
    width = shutil.get_terminal_size().columns if width is None else width
    head = "settings, for --set and --config (tasks and presets bring their own; fixed ones can't change during a run):"
    return "\n".join([*textwrap.wrap(head, width), "", *(_entry(known, width) for known in settings().values())])


def _entry(known: Setting, width: int) -> str:
    allowed = known.allowed() + ("" if known.live else "; fixed")
    about = f"{known.doc} [{_usual(known)}; {allowed}]" + (f" ({known.source})" if known.source else "")
    lines = textwrap.wrap(about, max(20, width - INDENT))
    name = f"  {known.name}"
    if len(name) >= INDENT:
        return "\n".join([name, *(" " * INDENT + line for line in lines)])
    return "\n".join([name.ljust(INDENT) + lines[0], *(" " * INDENT + line for line in lines[1:])])


def _usual(known: Setting) -> str:
    value = known.default
    if value is None or value == "":
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(list(value) if isinstance(value, tuple) else value)

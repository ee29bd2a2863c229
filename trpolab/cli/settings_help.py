"""Every setting in a line or two, for `trpolab train --help` and for docs/settings.md."""

from __future__ import annotations

import shutil
import textwrap
from itertools import groupby

from trpolab.settings import Setting
from trpolab.training.config import PAPER, settings

INDENT = 26  # columns left of the explanations
PAGE = """\
# Settings

This page is made by `python -m trpolab.cli.settings_help`.

A setting has the same name everywhere: `--set NAME=VALUE` in the terminal, a line of a TOML file (`--config`), an
argument in Python (`trpolab.train("Hopper-v5", delta=0.01, **{"path.whole": True})`), a knob in the lab, a field of
`run.json`. In TOML, `vine.trunks = 8` is the same as `trunks = 8` under `[vine]`.

*modern* and *paper* are the presets; an empty cell under *paper* means the value under *modern*. A task's own values
win over the preset, and what you give wins over both. A setting that is *fixed* can't change during a run; all others
can.
"""


def settings_text(width: int | None = None) -> str:
    """All settings with their usual value, what they mean and what may be given, at most `width` columns wide."""
    width = shutil.get_terminal_size().columns if width is None else width
    head = "settings, for --set and --config (tasks and presets bring their own; fixed ones can't change during a run):"
    return "\n".join([*textwrap.wrap(head, width), "", *(_entry(known, width) for known in settings().values())])


def settings_page() -> str:
    """All settings as a page of Markdown, one table for each part."""
    lines = [PAGE]
    for part, members in groupby(settings().values(), lambda known: known.part):
        lines += [f"## {part or 'run'}", "", "| name | modern | paper | allowed | meaning |", "|---|---|---|---|---|"]
        lines += [_row(known) for known in members] + [""]
    return "\n".join(lines)


def _entry(known: Setting, width: int) -> str:
    about = f"{known.doc} [{_words(known.default)}; {_allowed(known)}]" + (f" ({known.source})" if known.source else "")
    lines = textwrap.wrap(about, max(20, width - INDENT))
    name = f"  {known.name}"
    if len(name) >= INDENT:
        return "\n".join([name, *(" " * INDENT + line for line in lines)])
    return "\n".join([name.ljust(INDENT) + lines[0], *(" " * INDENT + line for line in lines[1:])])


def _row(known: Setting) -> str:
    name = f"`{known.name}`" + (f" ({known.symbol})" if known.symbol else "")
    paper = _words(PAPER[known.name]) if known.name in PAPER else ""
    meaning = known.doc + (f" ({known.source})" if known.source else "")
    cells = (name, _words(known.default), paper, _allowed(known), meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _allowed(known: Setting) -> str:
    return known.allowed() + ("" if known.live else "; fixed")


def _words(value: object) -> str:
    if value is None or value == "":
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(list(value) if isinstance(value, tuple) else value)


if __name__ == "__main__":
    print(settings_page(), end="")

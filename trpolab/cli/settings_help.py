"""Every setting in a line or two, for `trpolab train --help` and for docs/settings.md."""

from __future__ import annotations

import shutil
import textwrap
from itertools import groupby
from pathlib import Path

from trpolab.settings import Setting
from trpolab.training.config import PAPER, settings

INDENT = 26  # columns left of the explanations
HEAD = Path(__file__).with_name("settings_head.md")  # of docs/settings.md


def settings_text(width: int | None = None) -> str:
    """All settings with their usual value, what they mean and what may be given, at most `width` columns wide."""
    width = shutil.get_terminal_size().columns if width is None else width
    head = "settings, for --set and --config (tasks and presets bring their own; fixed ones can't change during a run):"
    return "\n".join([*textwrap.wrap(head, width), "", *(_entry(known, width) for known in settings().values())])


def settings_page() -> str:
    """All settings as a page of Markdown, one table for each part."""
    lines = [HEAD.read_text(encoding="utf-8")]
    for part, members in groupby(settings().values(), lambda known: known.part):
        lines += [f"## {part or 'run'}", "", "| name | modern | paper | allowed | meaning |", "|---|---|---|---|---|"]
        lines += [_row(known) for known in members] + [""]
    return "\n".join(lines)


def _entry(known: Setting, width: int) -> str:
    about = f"{known.doc} [{_words(known.default)}; {_allowed(known)}]" + (f" ({known.source})" if known.source else "")
    name, margin = f"  {known.name}", " " * INDENT
    text = textwrap.fill(about, max(20 + INDENT, width), initial_indent=margin, subsequent_indent=margin)
    return f"{name}\n{text}" if len(name) >= INDENT else name + text[len(name) :]


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

"""The source of an exercise: a Markdown file with a head, cells, a stub, its solution, and hints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "exercises"
FENCE = re.compile(r"^```(python|hint)([ \w]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARKS = ("", "picture", "stub", "solution", "check", "real")


@dataclass(frozen=True)
class SourceBlock:
    """A piece of the source: `kind` is text, hint, or one of the marks of a cell of code."""

    kind: str
    text: str


@dataclass(frozen=True)
class Exercise:
    """One exercise. `functions` are those to be written: their arguments by name."""

    number: int
    name: str  # of its notebook: 05_conjugate_gradient
    title: str
    minutes: int
    functions: dict[str, tuple[str, ...]]
    blocks: tuple[SourceBlock, ...]

    @property
    def hints(self) -> list[str]:
        """Its hints, in their order."""
        return [block.text for block in self.blocks if block.kind == "hint"]

    def first_hint(self, check: str) -> int:
        """The number of the first hint after a line that checks, "check.NAME(...)"; 1 where there is none."""
        kinds = [block.kind if block.text != check else "here" for block in self.blocks]
        return kinds[: kinds.index("here")].count("hint") + 1 if "here" in kinds else 1

    def checks(self, function: str) -> Any:
        """The generator that checks one of its functions; it may need torch, which is then loaded."""
        return getattr(import_module(f"trpolab.workshop.exercises.e{self.name}"), function)


@cache
def exercises() -> tuple[Exercise, ...]:
    """All exercises, in the order of their numbers."""
    return tuple(parse(path.stem, path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("e*.md")))


def parse(stem: str, text: str) -> Exercise:
    """An exercise from its source. Raises ValueError where the source has a mark that there is not."""
    _, head, body = text.split("---\n", 2)
    about = dict(line.split(": ", 1) for line in head.splitlines() if line)
    signatures = re.findall(r"(\w+)\(([^)]*)\)", about["functions"])
    functions = {name: tuple(arguments.split(", ")) for name, arguments in signatures}
    number, name = int(stem[1:3]), stem[1:]
    return Exercise(number, name, about["title"], int(about["minutes"]), functions, tuple(blocks(stem, body)))


def blocks(stem: str, body: str) -> list[SourceBlock]:
    """The text and the fences of a source, in their order."""
    found, end = [], 0
    for fence in FENCE.finditer(body):
        found.append(SourceBlock("text", body[end : fence.start()].strip()))
        language, mark, content = fence[1], fence[2].strip(), fence[3].strip("\n")
        if mark not in MARKS or (language == "hint" and mark):
            raise ValueError(f"{stem}: a fence is marked {mark!r}; there are {', '.join(filter(None, MARKS))}")
        found.append(SourceBlock("hint" if language == "hint" else mark or "code", content))
        end = fence.end()
    found.append(SourceBlock("text", body[end:].strip()))
    return [block for block in found if block.text]

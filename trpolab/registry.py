"""Kinds: what trpolab can be given more of (update methods, samplers, networks, distributions, simulators).

Each kind has one `Registry` of entries. An entry says what it is, which settings it reads and what it can be combined
with; code that needs to know asks the entry, never its name. `trpolab.register` adds entries from outside the package.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from trpolab.settings import PlainError, registry

NAME = re.compile(r"[a-z][a-z0-9_-]*")


class RegistrationError(PlainError):
    """An entry that can't be registered; the message says what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One of a kind. `settings` is a frozen dataclass whose fields are declared with `trpolab.setting`."""

    functions: ClassVar[tuple[str, ...]] = ()  # fields that must be callable

    name: str  # in the terminal, in files and in Python
    label: str  # its name for people: a few words, shown in menus
    doc: str = ""  # one line: what it does
    source: str = ""  # the equation, section or publication that it comes from
    settings: type | None = None
    part: str = ""  # the settings' place: "mine" for `mine.size`; the name, if not given

    def __post_init__(self) -> None:
        if not self.part:
            object.__setattr__(self, "part", str(self.name).replace("-", "_"))

    @property
    def own(self) -> tuple[str, ...]:
        """Public names of its own settings, in the order in which they are declared."""
        declared = dataclasses.fields(self.settings) if self.settings is not None else ()
        return tuple(one.name if one.metadata.get("flat") else f"{self.part}.{one.name}" for one in declared)

    @property
    def module(self) -> str:
        """The module that defines it: worker processes and other sessions must import it."""
        function = getattr(self, self.functions[0])
        return str(getattr(function, "func", function).__module__)


E = TypeVar("E", bound=Entry)


class Registry(Mapping[str, E], Generic[E]):
    """The entries of one kind by name, in the order in which they were added."""

    def __init__(self, what: str, entry: type[E]):
        self.what, self.entry = what, entry
        self._entries: dict[str, E] = {}

    def add(self, entry: E) -> E:
        """Add an entry. Raises RegistrationError for a name that is taken, or an entry that is not whole."""
        self.refuse_unfit(entry)
        self._entries[entry.name] = entry
        return entry

    def refuse_unfit(self, entry: E) -> None:
        """Raise RegistrationError where `add` would."""
        for problem in self._problems(entry):
            raise RegistrationError(f"{self.what} {entry.name!r}: {problem}")

    def parts(self) -> dict[str, type]:
        """The settings of the entries that have some, by the name of their part."""
        return {entry.part: entry.settings for entry in self._entries.values() if entry.settings is not None}

    def __getitem__(self, name: str) -> E:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _problems(self, entry: E) -> Iterator[str]:
        if not isinstance(entry.name, str) or not NAME.fullmatch(entry.name):
            yield "a name has lower-case letters, digits, - and _, and begins with a letter"
        if entry.name in self._entries:
            yield f"the name is taken; there are {', '.join(self._entries)}"
        for name in entry.functions:
            if not callable(getattr(entry, name)):
                yield f"{name} = {getattr(entry, name)!r}: must be a function"
        if entry.settings is not None:
            yield from _settings_problems(entry.settings, entry.part)


def _settings_problems(settings: Any, part: str) -> Iterator[str]:
    if not isinstance(settings, type) or not dataclasses.is_dataclass(settings):
        yield f"settings = {settings!r}: must be a frozen dataclass"
        return
    if not settings.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        yield f"settings = {settings.__name__}: the dataclass must be frozen"
    for field in dataclasses.fields(settings):
        if "doc" not in field.metadata:
            yield f"{settings.__name__}.{field.name} has no metadata: use trpolab.setting(default, doc)"
    for about in registry(settings, {}, part).values():
        try:
            wrong = about.problem(about.default)
        except AttributeError:
            wrong = (
                f"{about.name} is a {about.kind}: must be a bool, int, float, str or tuple[int, ...], or one or None"
            )
        if wrong is not None:
            yield wrong

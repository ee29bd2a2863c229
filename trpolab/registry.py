"""Kinds: what trpolab can be given more of (update methods, samplers, networks, distributions, simulators).

Each kind has one `Registry` of entries. An entry says what it is, which settings it reads and what it can be combined
with; code that needs to know asks the entry, never its name. `trpolab.register` adds entries from outside the package.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from trpolab.settings import PlainError, parse_value, registry

NAME = re.compile(r"[a-z][a-z0-9_-]*")
REQUIRED: Any = None  # stands for what an entry must be given: `Registry.add` says in a sentence what is missing

T = TypeVar("T")


class RegistrationError(PlainError):
    """An entry that can't be registered; the message says what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One of a kind. `settings` is a frozen dataclass whose fields are declared with `trpolab.setting`."""

    functions: ClassVar[dict[str, str]] = {}  # fields that must be callable, each with what it is called with
    optional: ClassVar[dict[str, str]] = {}  # the same for fields that may be None

    name: str = REQUIRED  # in the terminal, in files and in Python
    label: str = REQUIRED  # its name for people: a few words, shown in menus
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
        return self._home[0]

    def again(self, other: Entry) -> bool:
        """Whether the same lines outside the package made both: a cell run again, a module loaded again."""
        return self._home == other._home and not self.module.startswith("trpolab.")

    def answer(self, function: str, value: T, wanted: type, fits: bool | None = None) -> T:
        """What one of its functions returned. Raises RegistrationError unless it is of the wanted type, or `fits`."""
        if not (isinstance(value, wanted) if fits is None else fits):
            told = f"{function} returned a {type(value).__name__}, not a {wanted.__name__}"
            raise RegistrationError(f"{type(self).__name__} {self.name!r}: its {told}")
        return value

    @property
    def _home(self) -> tuple[str, str]:
        """The module and the qualified name of its first function."""
        function = getattr(self, next(iter(self.functions)))
        function = getattr(function, "func", function)
        return str(function.__module__), str(getattr(function, "__qualname__", ""))


E = TypeVar("E", bound=Entry)


class Registry(Mapping[str, E], Generic[E]):
    """The entries of one kind by name, in the order in which they were added."""

    def __init__(self, what: str, entry: type[E]):
        self.what, self.entry = what, entry
        self._entries: dict[str, E] = {}

    def add(self, entry: E) -> E:
        """Add an entry; one of the same name that the same lines made before is replaced.

        Raises RegistrationError for a name that is taken, or an entry that is not whole.
        """
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
        if parse_value(entry.name) != entry.name:
            yield f"the name is a value of settings, {parse_value(entry.name)!r}: take another"
        if not isinstance(entry.label, str) or not entry.label:
            yield f"label = {entry.label!r}: must be a text, its name for people"
        for name, given in {**entry.functions, **entry.optional}.items():
            value = getattr(entry, name)
            if value is None and name in entry.optional:
                continue
            if not callable(value):
                yield f"{name} = {value!r}: must be a function"
            elif not takes(value, len(given.split())):
                yield f"{name} must be a function of ({given})"
        if entry.name in self._entries and not entry.again(self._entries[entry.name]):
            yield f"the name is taken; there are {', '.join(self._entries)}"
        if entry.settings is not None:
            yield from _settings_problems(entry.settings, entry.part)


def takes(function: Any, count: int) -> bool:
    """Whether a function can be called with so many arguments, as far as Python tells."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some that are written in C tell nothing
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


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

"""Settings: one name, one meaning and one set of bounds for the terminal, TOML, Python, the lab and run.json.

A field of a config dataclass is declared with `setting(...)`; everything that shows or reads settings walks the
registry that `registry()` builds from those declarations.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import operator
import tomllib
import traceback
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Self, get_type_hints

import numpy as np

LARGEST = 2**63 - 1  # of whole numbers that are given: seeds, sizes and counts
PACKAGE = str(Path(__file__).parent)


class PlainError(ValueError):
    """Bad input, told in a sentence. A notebook shows that sentence below the caller's own lines, without ours."""

    def _render_traceback_(self) -> list[str]:
        """What IPython prints in place of the whole traceback."""
        hidden = (PACKAGE, "/IPython/", "/ipykernel/")
        frames = traceback.extract_tb(self.__traceback__)
        theirs = [frame for frame in frames if not any(part in frame.filename for part in hidden)]
        text = str(self)
        said = type(self).__name__ + (":\n" if "\n" in text else ": ") + text
        return [*"".join(traceback.format_list(theirs)).splitlines(), said]


class ConfigError(PlainError):
    """A configuration that cannot be run; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: list[str]):
        self.problems = tuple(problems)
        super().__init__(problems[0] if len(problems) == 1 else "\n".join(f"- {text}" for text in problems))


def setting(
    default: Any,
    doc: str,
    *,
    symbol: str = "",
    low: float | None = None,
    high: float | None = None,
    open_low: bool = False,
    open_high: bool = False,
    scale: str = "linear",
    choices: tuple[Any, ...] | Callable[[], tuple[Any, ...]] | None = None,
    source: str = "",
    live: bool = True,
    of_machine: bool = False,
    flat: bool = False,
    shown: tuple[float, float] | None = None,
    needs: tuple[str, tuple[Any, ...], str] | None = None,
) -> Any:
    """A dataclass field with what a person needs to know about it.

    `low` and `high` are the bounds (open where said), `shown` the range of a slider within them, `scale` is `linear`
    or `log`, `source` the place in the paper, `live` whether a change applies at the next iteration (else at Reset),
    `of_machine` whether it is one of the machine: a run that is resumed may have another value; and `flat` whether the
    name stands without its part ("delta", not "trust.delta"). `choices` may be a function, called when settings are
    listed. `needs` is (another setting, values, reason): where the other one has none of these
    values, this one is not read, and the lab greys it with the reason.
    """
    metadata = {k: v for k, v in locals().items() if k != "default"}
    return dataclasses.field(default=default, metadata=metadata)


class Part:
    """Settings that stand together: its subclasses are frozen dataclasses, which know what they were `given`."""

    given: frozenset[str]  # fields that the constructor was given; the others stand at their defaults

    def __new__(cls, *values: Any, **named: Any) -> Self:
        """Called with what `__init__` is called with."""
        made = super().__new__(cls)
        by_place = [entry.name for entry in dataclasses.fields(cls)[: len(values)]]  # type: ignore[arg-type]
        object.__setattr__(made, "given", frozenset((*by_place, *named)))
        return made


@dataclass(frozen=True)
class Setting:
    """One setting as the registry knows it: its public name and where it sits in the config tree."""

    name: str
    path: tuple[str, ...]
    kind: Any  # the annotated type
    default: Any
    doc: str
    symbol: str = ""
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    scale: str = "linear"
    choices: tuple[Any, ...] | None = None
    source: str = ""
    live: bool = True
    of_machine: bool = False
    shown: tuple[float, float] | None = None
    needs: tuple[str, tuple[Any, ...], str] | None = None

    @property
    def kept(self) -> bool:
        """Whether a run that is resumed keeps its own value."""
        return not self.live and not self.of_machine

    @property
    def part(self) -> str:
        """The sub-config that holds it ("" for the run's own)."""
        return self.path[0] if len(self.path) > 1 else ""

    def allowed(self) -> str:
        """What may be given, in words."""
        if self.choices is not None:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        if self.kind is bool:
            return "true or false"
        left = "" if self.low is None else f"{'>' if self.open_low else '>='} {self.low:g}"
        right = "" if self.high is None else f"{'<' if self.open_high else '<='} {self.high:g}"
        return " and ".join(part for part in (left, right) if part) or describe_kind(self.kind)

    def problem(self, value: Any) -> str | None:
        """What is wrong with `value`, in one sentence, or None."""
        wrong = f"{self.name} = {value!r}: must be {self.allowed()}"
        if self.choices is not None:
            return None if value in self.choices else wrong
        if not fits(self.kind, value):
            return f"{self.name} = {value!r}: must be {describe_kind(self.kind)}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if isinstance(value, int) and abs(value) > LARGEST:
            return f"{self.name} = {value}: must be {self.allowed()}, and at most {LARGEST}"
        if not math.isfinite(value):
            return f"{self.name} = {value!r}: must be a finite number, {self.allowed()}"
        inside = True
        if self.low is not None:
            inside = inside and (value > self.low if self.open_low else value >= self.low)
        if self.high is not None:
            inside = inside and (value < self.high if self.open_high else value <= self.high)
        return None if inside else wrong


def describe_kind(kind: Any) -> str:
    """A type in words."""
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    if kind in names:
        return names[kind]
    if kind == tuple[int, ...]:
        return "a list of whole numbers >= 1, like [64, 64]"
    options = [describe_kind(option) for option in getattr(kind, "__args__", ()) if option is not type(None)]
    return " or ".join([*options, "none"])


def fits(kind: Any, value: Any) -> bool:
    """Whether a value has the annotated type (an int is a float, a bool is not an int)."""
    plain = {bool: bool, int: int, float: int | float, str: str}
    if kind in plain:
        return isinstance(value, plain[kind]) and (kind is bool or not isinstance(value, bool))
    if kind == tuple[int, ...]:
        return isinstance(value, tuple) and all(fits(int, width) and 1 <= width <= LARGEST for width in value)
    return any(value is None if option is type(None) else fits(option, value) for option in kind.__args__)


def registry(config_type: type, parts: Mapping[str, type], part: str = "") -> dict[str, Setting]:
    """Every setting of a config by its public name: its own fields in declaration order, then those of its parts.

    `part` is the config's own place, where it is itself a part.
    """
    found: dict[str, Setting] = {}

    def walk(cls: type, path: tuple[str, ...]) -> None:
        hints = get_type_hints(cls)
        for entry in fields(cls):
            here = (*path, entry.name)
            if "doc" not in entry.metadata:
                continue
            about = dict(entry.metadata)
            name = entry.name if about.pop("flat", False) or not path else ".".join(here)
            default = entry.default if entry.default is not MISSING else None
            if callable(about["choices"]):
                about["choices"] = about["choices"]()
            found[name] = Setting(name=name, path=here, kind=hints[entry.name], default=default, **about)

    walk(config_type, (part,) if part else ())
    for name, kind in parts.items():
        walk(kind, (name,))
    return found


def faults_of(part: str, config: Any) -> list[str]:
    """What is out of bounds in a part of the settings given as its dataclass, each a sentence."""
    known = registry(type(config), {}, part).values()
    return [problem for about in known if (problem := about.problem(getattr(config, about.path[-1])))]


def nearest(name: str, names: Any) -> str:
    """ "; did you mean a, b?" or an empty text."""
    lowered = {str(known).lower(): str(known) for known in names}
    close = [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.5)]
    return f"; did you mean {', '.join(close)}?" if close else ""


@functools.cache
def names_elsewhere() -> dict[str, str]:
    """Names that other libraries have for settings, each with our name or with a sentence."""
    table = tomllib.loads(Path(__file__).with_name("other_libraries.toml").read_text(encoding="utf-8"))
    return {theirs: ours for ours, names in table.items() for theirs in names}


def unknown_setting(name: str, known: Any) -> str:
    """Why a name that is none of the known settings is refused: what it is called here, or which names are near."""
    ours = names_elsewhere().get(name.rpartition(".")[2].lower().replace("-", "_"))
    if ours is None:
        return f"unknown setting {name!r}{nearest(name, known)}"
    return f"unknown setting: `{name}`: {ours}" if " " in ours else f"unknown setting: `{name}` is called `{ours}` here"


def parse_value(text: str) -> Any:
    """A value as typed after `--set KEY=`: TOML where it is TOML, else the text itself; `none` is None."""
    if text.lower() in ("none", "null"):
        return None
    try:
        return as_setting(tomllib.loads(f"value = {text}")["value"])
    except tomllib.TOMLDecodeError:
        return text


def as_setting(value: Any) -> Any:
    """A value as settings hold it: lists and arrays become tuples, NumPy's numbers Python's."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    return tuple(as_setting(item) for item in value) if isinstance(value, list | tuple) else value


def whole_number(name: str, value: Any, low: int = 0) -> int:
    """An argument that is a whole number, NumPy's included, as Python's. Raises PlainError."""
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if isinstance(value, bool) or not low <= number <= LARGEST:
        raise PlainError(f"{name} = {value!r}: must be a whole number, at least {low} and at most {LARGEST}")
    return number


def flatten(table: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """A TOML table with or without sub-tables as flat names: {"vine": {"trunks": 4}} is {"vine.trunks": 4}."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and key not in names:
            flat |= {f"{key}.{inner}": as_setting(item) for inner, item in value.items()}
        else:
            flat[key] = as_setting(value)
    return flat

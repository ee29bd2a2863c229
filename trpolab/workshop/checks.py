"""`check.NAME(your_function)` and `hint(1)`, as the notebooks use them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trpolab.own import OwnFunctionError, called
from trpolab.registry import takes
from trpolab.settings import nearest
from trpolab.workshop.attempt import Attempt
from trpolab.workshop.source import Exercise, exercises

Properties = Iterator[tuple[str, str]]  # (property, what is wrong with it, or "")
YES = "yes"


@dataclass(frozen=True)
class Judgement:
    """What a check found: true where every property holds. `properties` are (name, "yes" or what is wrong)."""

    name: str
    properties: tuple[tuple[str, str], ...] = ()
    fault: str = ""  # why the function could not be judged, or not any further
    printed: str = ""
    hint: int = 1  # the first one about it

    def __bool__(self) -> bool:
        return not self.fault and all(said == YES for _, said in self.properties)

    def __repr__(self) -> str:
        held = sum(said == YES for _, said in self.properties)
        lines = [f"  {'✓' if said == YES else '✗'} {what}: {said}" for what, said in self.properties]
        lines += [f"  ✗ {self.fault}"] if self.fault else []
        end = (
            "All of it holds."
            if self
            else f"{held} hold{'s' * (held == 1)}; not there yet. hint({self.hint}) gives a hint."
        )
        shown = [f"It printed: {self.printed.rstrip()}"] if self.printed.strip() else []
        return "\n".join([self.name, *lines, end, *shown])


class FunctionCheck:
    """The check of one function, to be called with it."""

    def __init__(self, exercise: Exercise, name: str):
        self._exercise, self.name = exercise, name

    def __repr__(self) -> str:
        return f"check.{self.name}(your_function)"

    def __call__(self, *given: Any) -> Judgement:
        """Which properties of the function hold; never raises because of it."""
        if why := self.unfit(given):
            return Judgement(self.name, fault=why)
        return self.judged(Attempt(given[0], self._exercise.functions[self.name]))

    def unfit(self, given: Sequence[Any]) -> str:
        """Why what was given is not one function that can be checked, or ""."""
        if len(given) != 1:
            return f"give one function: check.{self.name}({self.name})"
        names = self._exercise.functions[self.name]
        return _unfit(given[0], self.name, names, f"{self.name}({', '.join(names)})")

    def judged(self, attempt: Attempt) -> Judgement:
        """Which properties the answers have that the attempt gives."""
        found = list[tuple[str, str]]()
        try:
            for what, wrong in self._exercise.checks(self.name)(attempt):
                found.append((what, wrong or YES))
            fault = ""
        except OwnFunctionError as error:
            fault = str(error)
            if "NotImplementedError" in fault:
                fault = "still the stub: write its body in the cell above, then run both cells again"
        first = self._exercise.first_hint(f"check.{self.name}({self.name})")
        return Judgement(self.name, tuple(found), fault, attempt.printed.kept, first)


def _unfit(function: Any, name: str, names: tuple[str, ...], known: str) -> str:
    """Why what was given can't be this function, or ""."""
    if isinstance(function, type):
        return f"{function.__name__} is a class: give the function {known}"
    if not callable(function):
        return f"that is a {type(function).__name__}: give the function itself, {known}, without calling it"
    try:
        own = tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        own = names
    for exercise in exercises():
        for other, others in exercise.functions.items():
            if own == others != names:
                where = f"; that is check.{other}'s, of exercise {exercise.number}"
                return f"{called(function)} takes ({', '.join(own)}), {name} takes ({', '.join(names)}){where}"
    if not takes(function, len(names)):
        return f"{called(function)} takes ({', '.join(own)}): it must take ({', '.join(names)})"
    return ""


class Checks:
    """All checks by the name of the function: `check.conjugate_gradient(conjugate_gradient)`."""

    def __getattr__(self, name: str) -> FunctionCheck:
        for exercise in exercises():
            if name in exercise.functions:
                return FunctionCheck(exercise, name)
        raise AttributeError(f"there is no check.{name}{nearest(name, dir(self))}")

    def __dir__(self) -> list[str]:
        return [name for exercise in exercises() for name in exercise.functions]

    def __repr__(self) -> str:
        return "\n".join(f"check.{name}" for name in dir(self))


check = Checks()


def hint(number: int = 1, exercise: int | None = None) -> None:
    """Print one hint of an exercise: that of this notebook, which says `EXERCISE = 5` in its first cell."""
    chosen = sys._getframe(1).f_globals.get("EXERCISE") if exercise is None else exercise
    found = next((one for one in exercises() if one.number == chosen), None)
    if found is None:
        print("hint: run the notebook's first cell, or say which exercise: hint(1, exercise=5)")  # noqa: T201
    elif not isinstance(number, int) or not 1 <= number <= len(found.hints):
        print(f"hint({number!r}): exercise {found.number} has the hints 1 to {len(found.hints)}")  # noqa: T201
    else:
        print(f"Hint {number} of {len(found.hints)}: {found.hints[number - 1]}")  # noqa: T201

"""Every exercise: the stub is told to be one, the solution passes, and each usual mistake gets its own sentence."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("ipywidgets", reason='needs the lab: pip install "trpolab[lab]"')

from trpolab.workshop import check
from trpolab.workshop.source import Exercise, exercises

EXERCISES = [pytest.param(one, id=one.name) for one in exercises()]
FUNCTIONS = [pytest.param(one, name, id=name) for one in exercises() for name in one.functions]


def written(exercise: Exercise, version: str) -> dict[str, Any]:
    """What the cells define that always run, with the stubs or with the solutions."""
    names: dict[str, Any] = {}
    for block in exercise.blocks:
        if block.kind in ("code", version):
            exec(block.text, names)
    return names


def told(function: Callable[..., Any], name: str) -> tuple[bool, tuple[str, ...]]:
    """Whether the check passes, and every line that says what is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verdict = getattr(check, name)(function)
    return bool(verdict), tuple(line for line in repr(verdict).splitlines() if "✗" in line)


@pytest.mark.parametrize(("exercise", "name"), FUNCTIONS)
def test_the_stub_is_told_to_be_one(exercise: Exercise, name: str) -> None:
    passed, (line,) = told(written(exercise, "stub")[name], name)
    assert not passed and "still the stub" in line


@pytest.mark.parametrize(("exercise", "name"), FUNCTIONS)
def test_the_solution_passes(exercise: Exercise, name: str) -> None:
    assert told(written(exercise, "solution")[name], name) == (True, ())


@pytest.mark.parametrize(("exercise", "name"), FUNCTIONS)
def test_each_wrong_answer_gets_a_sentence_of_its_own(exercise: Exercise, name: str) -> None:
    planted = importlib.import_module(f"tests.workshop.wrong.e{exercise.name}").WRONG[name]
    assert len(planted) >= 5
    found = {label: told(function, name) for label, function in planted.items()}
    assert [label for label, (passed, _) in found.items() if passed] == []
    sentences = [lines for _, lines in found.values()]
    assert len(set(sentences)) == len(sentences), found


@pytest.mark.parametrize("exercise", EXERCISES)
def test_an_exercise_is_whole(exercise: Exercise) -> None:
    kinds = [block.kind for block in exercise.blocks]
    assert kinds.count("stub") == kinds.count("solution") >= 1 and kinds.count("check") == len(exercise.functions)
    assert {"picture", "hint"} <= set(kinds) and 10 <= exercise.minutes <= 20
    (setup, *_) = [block.text for block in exercise.blocks if block.kind == "code"]
    assert f"EXERCISE = {exercise.number}" in setup

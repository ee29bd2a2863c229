"""Checks survive whatever they are given, and say in a sentence what it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from trpolab.workshop import attempt, check, hint
from trpolab.workshop.attempt import Attempt
from trpolab.workshop.compare import near


def hangs(product, b, iterations):
    while True:
        pass


def hangs_and_catches(product, b, iterations):
    while True:
        try:
            time.sleep(10)
        except Exception:  # noqa: BLE001
            continue


def floods(product, b, iterations):
    while True:
        print("x" * 1000)


def floods_and_catches(product, b, iterations):
    for _ in range(1000):
        try:
            print("x" * 1000)
        except Exception:  # noqa: BLE001
            continue
    return b


def changes(product, b, iterations):
    b *= 2
    return b


def leaves(product, b, iterations):
    raise SystemExit(3)


def calls_with_too_much(product, b, iterations):
    return product(torch.ones(99))


MISUSE = {
    "hangs": (hangs, "still running"),
    "hangs and catches all": (hangs_and_catches, "still running"),
    "floods": (floods, "printed more than"),
    "floods and catches all": (floods_and_catches, "printed more than"),
    "changes its arguments": (changes, "changed its argument b"),
    "leaves": (leaves, "SystemExit"),
    "NaN": (lambda product, b, iterations: b * torch.nan, "NaN in 6 of 6"),
    "infinity": (lambda product, b, iterations: b / 0, "infinity"),
    "nothing": (lambda product, b, iterations: None, "gave None"),
    "a text": (lambda product, b, iterations: "x", "gave a str"),
    "numbers as texts": (lambda product, b, iterations: ["1"] * 6, "gave a list that is not a vector"),
    "one number": (lambda product, b, iterations: 3.0, "gave one number"),
    "two vectors": (lambda product, b, iterations: (b, b), "gave a tuple of shape (2, 6)"),
    "a set": (lambda product, b, iterations: {1.0}, "gave a set"),
    "ragged": (lambda product, b, iterations: [[1.0], [1.0, 2.0]], "gave a list"),
    "another shape": (lambda product, b, iterations: b[:2], "shape (2,)"),
    "a matrix": (lambda product, b, iterations: torch.outer(b, b), "shape (6, 6)"),
    "complex numbers": (lambda product, b, iterations: b * 1j, "complex"),
    "an error": (lambda product, b, iterations: 1 / 0, "ZeroDivisionError"),
    "a product of what is no vector": (calls_with_too_much, "called product with shape (99,)"),
    "a class": (int, "is a class"),
    "a number": (3.0, "that is a float"),
    "other arguments": (lambda a: a, "must take (product, b, iterations)"),
    "another exercise's": (lambda rewards, gamma: rewards, "takes (rewards, gamma)"),
    "a recursion without an end": (lambda product, b, iterations: endless(b), "RecursionError"),
}


def endless(b):
    return endless(b) + 1


@pytest.mark.parametrize("case", MISUSE)
def test_misuse_is_a_sentence(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "SECONDS", 0.5)
    function, said = MISUSE[case]
    began = time.perf_counter()
    verdict = check.conjugate_gradient(function)
    assert not verdict and said in verdict.fault, verdict
    assert len(repr(verdict)) < 1500 and "\n" not in verdict.fault
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize("given", [(), (len, len)])
def test_a_check_wants_one_function(given: tuple[Any, ...]) -> None:
    assert "check.conjugate_gradient(conjugate_gradient)" in check.conjugate_gradient(*given).fault


def test_what_a_function_prints_is_shown_below(capsys: pytest.CaptureFixture[str]) -> None:
    def chatty(product, b, iterations):
        print("I was here")
        raise ValueError("no idea")

    verdict = check.conjugate_gradient(chatty)
    assert "I was here" in repr(verdict) and 'raise ValueError("no idea")' in verdict.fault
    assert capsys.readouterr().out == ""


def test_an_unknown_check_names_the_near_ones() -> None:
    with pytest.raises(AttributeError, match="did you mean conjugate_gradient"):
        check.conjugate_gradients(len)
    assert "conjugate_gradient" in dir(check) and "check.conjugate_gradient" in repr(check)


def test_hints_come_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for number in (1, 2, 99, "x"):
        hint(number, exercise=5)
        told.append(capsys.readouterr().out)
    assert told[0].startswith("Hint 1 of") and told[1].startswith("Hint 2 of") and told[0] != told[1]
    assert "has the hints 1 to" in told[2] and "has the hints 1 to" in told[3]
    hint(1, exercise=99)
    assert "first cell" in capsys.readouterr().out


EXERCISE = 5


def test_a_hint_knows_its_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    hint(1)
    assert capsys.readouterr().out.startswith("Hint 1 of")


TRUE = np.array([1.0, -2.0, 3.0, 4.0])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (TRUE, ""),
        (TRUE * (1 + 1e-9), ""),
        (2 * TRUE, "off by a factor of 2"),
        (-TRUE, "wrong sign"),
        (0 * TRUE, "it is 0"),
        (TRUE + 0.5, "off by the same amount"),
        (TRUE * [1, 1, 1, 2], "one of 4 numbers is wrong, the last one"),
        (TRUE * [2, 1, 1, 1], "that at index 0"),
        (TRUE * [2, 2, 1, 1], "2 of 4 numbers are wrong, the first of them at index 0"),
        (TRUE + np.array([1e9, -1e9, 0, 3e9]), "far too large"),
        (TRUE**2, "that is its square"),
        (TRUE[::-1], "%"),
    ],
)
def test_near_says_what_is_wrong(found: np.ndarray, said: str) -> None:
    told = near(found, TRUE, {"that is its square": TRUE**2})
    assert told == said if not said else said in told


def test_a_function_gets_copies_of_what_the_check_goes_on_with() -> None:
    kept = np.ones(3)
    seen: list[Any] = []

    def keeps(a: np.ndarray) -> float:
        seen.append(a)
        return float(a.sum())

    assert Attempt(keeps, ["a"])(kept, like=0.0) == 3.0
    seen[0][:] = 7
    assert kept.tolist() == [1, 1, 1]


@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: Counted(f)])
def test_callable_objects_are_functions(wrap: Callable[..., Any]) -> None:
    from tests.workshop.test_exercises import exercises, written

    (five,) = [one for one in exercises() if one.number == 5]
    assert check.conjugate_gradient(wrap(written(five, "solution")["conjugate_gradient"]))


class Counted:
    def __init__(self, function: Callable[..., Any]):
        self.function = function

    def __call__(self, product: Any, b: Any, iterations: int) -> Any:
        return self.function(product, b, iterations)

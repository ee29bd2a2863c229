"""Calling a student's function so that nothing it does harms the notebook."""

from __future__ import annotations

import contextlib
import ctypes
import io
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from trpolab.own import OwnFunctionError, fitting, guarded
from trpolab.workshop.compare import near

SECONDS = 8.0  # that a function may take in all, over the calls of one check
MOST_PRINTED = 100_000  # characters
SHOWN = 400  # characters of what was printed that are shown


class TimeUp(BaseException):
    """Raised inside a function that takes too long; no Exception, so that `except Exception` does not catch it."""


class Printed(io.TextIOBase):
    """What a function printed: the beginning is kept, all is counted."""

    def __init__(self) -> None:
        self.kept, self.count = "", 0

    def write(self, text: str) -> int:
        """Keep what still fits. Raises OwnFunctionError where a function floods the page."""
        self.count += len(text)
        self.kept += text[: max(0, SHOWN - len(self.kept))]
        if self.count > MOST_PRINTED:
            raise OwnFunctionError(self.flood)
        return len(text)

    @property
    def flood(self) -> str:
        """What is said of too much."""
        return f"it printed more than {MOST_PRINTED:,} characters: take the `print` out of its loop"


class Attempt:
    """A student's function, called with limits: `attempt(*arguments, like=...)`.

    What it answers is like the example: a float, or an array or a tensor of that shape. Raises OwnFunctionError with a
    sentence where it raises, hangs, floods the page, changes its arguments, or answers what does not fit. `asked` is
    how often the last call called the functions that it was given; `told` is what came of all calls, for `Retold`.
    """

    def __init__(self, function: Callable[..., Any], names: Sequence[str]):
        self._function, self._names, self._left = function, names, SECONDS
        self.printed, self.asked, self.told = Printed(), 0, list[dict[str, Any]]()

    def __call__(self, *arguments: Any, like: Any, slope: bool = False) -> Any:
        """The answer to these arguments; with `slope`, that of the answer's sum in the first one, a tensor."""
        self.asked = 0
        try:
            answer = self._answer([self._counted(each) if callable(each) else each for each in arguments], like)
            answer = _slope(answer, arguments[0]) if slope else answer
        except OwnFunctionError as error:
            self.told.append({"error": str(error)})
            raise
        plain = answer.detach() if isinstance(answer, Tensor) else answer
        self.told.append({"answer": plain if isinstance(plain, float) else plain.tolist(), "asked": self.asked})
        return answer

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self.asked += 1
            return function(*arguments)

        return counted

    def _answer(self, arguments: Sequence[Any], like: Any) -> Any:
        found: list[Any] = []

        def work() -> None:
            try:
                found.append(guarded(self._function, self._names, arguments, like))
            except BaseException as error:  # noqa: BLE001  told in the caller's thread
                found.append(error)

        thread = threading.Thread(target=work, name="trpolab-attempt", daemon=True)
        began = time.perf_counter()
        with contextlib.redirect_stdout(self.printed), contextlib.redirect_stderr(self.printed):
            try:
                thread.start()
                thread.join(self._left)
            finally:
                _end(thread)
        self._left -= time.perf_counter() - began
        if self.printed.count > MOST_PRINTED:
            raise OwnFunctionError(self.printed.flood)
        answer = found[0] if found else TimeUp()
        if isinstance(answer, TimeUp):
            raise OwnFunctionError(f"it was still running after {SECONDS:g} seconds: does its loop end?")
        if isinstance(answer, OwnFunctionError):
            raise answer
        if isinstance(answer, BaseException):
            raise OwnFunctionError(f"it ended with {type(answer).__name__}")
        return answer

    def gives(self, true: Any, *arguments: Any, mistakes: Mapping[str, Any] | None = None, within: float = 1e-6) -> str:
        """What is wrong with the answer to these arguments, which should be `true`, or ""; see `near`."""
        try:
            return near(self(*arguments, like=true), true, mistakes, within)
        except OwnFunctionError as error:
            return str(error)


class Retold(Attempt):
    """The answers that an attempt in another process gave, once more: nothing is called, and nothing is trusted."""

    def __init__(self, told: Sequence[Any]):
        self._told = iter(told)
        self.printed, self.asked = Printed(), 0

    def __call__(self, *arguments: Any, like: Any, slope: bool = False) -> Any:
        """The next answer."""
        said = next(self._told, None)
        if not isinstance(said, dict) or "error" in said:
            raise OwnFunctionError(str(said["error"]) if isinstance(said, dict) else "it did not answer")
        self.asked = said["asked"] if isinstance(said.get("asked"), int) else 0
        return fitting(said.get("answer"), arguments[0] if slope else like)


def _slope(answer: Tensor, at: Tensor) -> Tensor:
    """∂ Σ answer / ∂ at. Raises OwnFunctionError where torch finds none."""
    if not answer.requires_grad:
        raise OwnFunctionError("torch finds none: is it made of the weights, without float, numpy or detach?")
    try:
        return torch.autograd.grad(answer.sum(), at)[0]
    except RuntimeError as error:
        raise OwnFunctionError(f"torch finds none: {error}") from error


def _end(thread: threading.Thread) -> None:
    """Raise TimeUp in a thread that is still at work; one that does not listen is left behind."""
    for _ in range(3):
        if thread.is_alive() and thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(TimeUp))
            thread.join(0.3)

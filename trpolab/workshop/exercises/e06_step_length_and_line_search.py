"""β and the line search, on toys whose right answers are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trpolab.own import OwnFunctionError, vectors
from trpolab.workshop.attempt import Attempt
from trpolab.workshop.checks import Properties
from trpolab.workshop.compare import near

DELTA = 0.02


def step_length(attempt: Attempt) -> Properties:
    """½ β² sᵀAs = δ, solved by bisection."""
    s = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    As = torch.tensor([4.0, -3.0, 1.0], dtype=torch.float64)
    bend, own = float(s @ As), float(s @ s)
    low, high = 0.0, 10.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if 0.5 * middle**2 * bend < DELTA else (low, middle)
    mistakes = {
        "the 2 of ½β²sᵀAs = δ is missing": math.sqrt(DELTA / bend),
        "the root is missing": 2 * DELTA / bend,
        "it is upside down": math.sqrt(bend / (2 * DELTA)),
        "it takes sᵀs in place of sᵀAs: as if A were I": math.sqrt(2 * DELTA / own),
        "it takes the norm of As in place of sᵀAs": math.sqrt(2 * DELTA / float(As.norm())),
        "it is the step's length in parameters, √δ over the norm of s": math.sqrt(DELTA / own),
    }
    yield "the step βs spends δ of the model ½ΔᵀAΔ", near(attempt(s, As, DELTA, like=0.0), low, mistakes)
    yield "four times δ, twice the length", attempt.gives(2 * low, s, As, 4 * DELTA)
    yield "twice s, half of β", attempt.gives(low / 2, 2 * s, 2 * As, DELTA)


def line_search(attempt: Attempt) -> Properties:
    """Where the first fraction lies that passes both tests is known for each toy."""
    theta = torch.tensor([2.0, -1.0], dtype=torch.float64)
    step = torch.tensor([0.6, 0.8], dtype=torch.float64)
    toys = Toys(attempt, theta, step)
    yield "a full step that is good is taken", toys.tried(lambda f: f, lambda f: 0.01 * f, 0.999, 1.0)
    yield "a KL above δ is refused", toys.tried(lambda f: f, lambda f: 0.1 * f * f, 0.09, math.sqrt(0.2))
    yield "a KL just above δ is refused, too", toys.tried(lambda f: f, lambda f: 1.3 * DELTA * f, 0.15, 1 / 1.3)
    yield "a surrogate that has fallen is refused", toys.tried(lambda f: f - 2 * f * f, lambda f: 0.001 * f, 0.1, 0.5)
    yield (
        "what counts is the gain over theta, not the sign",
        toys.tried(lambda f: f - 2 * f * f - 5, lambda f: 0.0, 0.1, 0.5),
    )
    yield "of a surrogate above 0 as well", toys.tried(lambda f: f - 2 * f * f + 5, lambda f: 0.0, 0.1, 0.5)
    yield "NaN is no gain", toys.tried(lambda f: math.nan if f > 0.4 else f, lambda f: 0.0, 0.08, 0.4)
    yield "the tenth try counts as well", toys.tried(lambda f: f, lambda f: 20 * DELTA * f, 0.02, 0.05)
    yield "the same surrogate is no gain", toys.tried(lambda f: 0.0, lambda f: 0.0, 0.0, 0.0)
    yield "where nothing will do, theta stays", toys.tried(lambda f: -f, lambda f: 0.0, 0.0, 0.0)


class Toys:
    """Line searches whose surrogate and KL are functions of the fraction of the step."""

    def __init__(self, attempt: Attempt, theta: Tensor, step: Tensor):
        self._attempt, self._theta, self._step = attempt, theta, step
        self._first = True

    def tried(self, gain: Callable[[float], float], kl: Callable[[float], float], least: float, most: float) -> str:
        """What is wrong with the point that is chosen: its fraction should lie between `least` and `most`."""

        def of(function: Callable[[float], float]) -> Callable[[Any], Any]:
            return vectors(lambda point: function(self._along(point)), self._theta, "surrogate")

        try:
            given = (of(gain), of(kl), self._theta, self._step, DELTA)
            found = self._attempt(*given, like=self._theta)
        except OwnFunctionError as error:
            if self._first:
                raise
            return str(error)
        self._first = False
        return self._fault(found, least, most, self._attempt.asked)

    def _along(self, point: Tensor) -> float:
        return float((point - self._theta) @ self._step / (self._step @ self._step))

    def _fault(self, found: Tensor, least: float, most: float, asked: int) -> str:
        fraction = self._along(found)
        if (found - self._step).norm() < 1e-9 or (found - 0.5 * self._step).norm() < 1e-9:
            return "it gave the step: the point is asked, theta plus a part of the step"
        if (found - self._theta - fraction * self._step).norm() > 1e-6:
            return "it gave a point that is not on the way from theta along the step"
        if asked > 400:
            return f"it asked {asked} times: shrink the step faster"
        if fraction < -1e-9:
            return "it went backwards"
        if fraction > most * (1 + 1e-9):
            return f"it took {fraction:.3g} of the step, where only up to {most:.3g} passes" if most else "it moved"
        if fraction < least * (1 - 1e-9):
            if fraction < 1e-9:
                return f"it stayed at theta, where up to {most:.3g} of the step passes"
            none = f"it took {fraction:.3g} of the step, where up to {most:.3g} passes"
            return f"{none}: try the full step first, and shrink it by a half or less"
        return ""

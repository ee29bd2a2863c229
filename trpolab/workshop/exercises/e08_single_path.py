"""Q̂ and GAE, against sums written out term by term."""

from __future__ import annotations

import numpy as np

from trpolab.workshop.attempt import Attempt
from trpolab.workshop.checks import Properties
from trpolab.workshop.compare import near

REWARDS = np.array([1.0, -2.0, 3.0, 0.5, 4.0])
VALUES = np.array([0.7, 1.9, -1.1, 2.3, 0.4])
LAST, GAMMA, LAM = 1.7, 0.9, 0.8


def q_hat(attempt: Attempt) -> Properties:
    """Q̂_t = Σ γ^l r_{t+l}, and γ^{T-t} V after the last step."""
    ended, cut = sums(REWARDS, GAMMA), sums(np.append(REWARDS, LAST), GAMMA)[:-1]
    mistakes = {
        "it has no discount: that is the plain sum of what comes": sums(REWARDS, 1.0),
        "it counts what came before a step, not what comes after": sums(REWARDS[::-1], GAMMA)[::-1],
        "the reward of the step itself is missing": ended - REWARDS,
        "each sum is discounted from the beginning of the piece, not from its own step": ended * GAMMA ** np.arange(5),
        "all steps get the sum of the first": np.full(5, ended[0]),
        "that is in the wrong order: the last step's first": ended[::-1],
    }
    yield "an episode that ended", near(attempt(REWARDS, 0.0, GAMMA, like=ended), ended, mistakes)
    after = GAMMA ** np.arange(5, 0, -1) * LAST
    wrong = {
        "last_value is not in it: a cut is not an end": ended,
        "last_value is not discounted: it comes one step after the last reward": ended + after / GAMMA,
        "last_value is taken off, not added": ended - after,
        "last_value is discounted by one step everywhere: how far is it from the first step?": ended + GAMMA * LAST,
        "last_value is not discounted at all": ended + LAST,
        "only the last step knows of last_value": ended + np.append(np.zeros(4), after[-1]),
    }
    yield "a piece that was cut", attempt.gives(cut, REWARDS, LAST, GAMMA, mistakes=wrong)
    yield "γ = 0 sees the step's own reward alone", attempt.gives(REWARDS, REWARDS, LAST, 0.0)
    yield "a piece of one step", attempt.gives(np.array([2.0 + GAMMA * LAST]), np.array([2.0]), LAST, GAMMA)


def advantages(attempt: Attempt) -> Properties:
    """A_t = Σ (γλ)^l δ_{t+l} with δ_t = r_t + γ V_{t+1} - V_t."""
    deltas = surprises(VALUES)
    mistakes = {
        "V of the state itself is missing": deltas + VALUES,
        "V of the next state is missing": REWARDS - VALUES,
        "V of the next state is not discounted": REWARDS + np.append(VALUES[1:], LAST) - VALUES,
        "last_value is not in it: a cut is not an end": REWARDS + GAMMA * np.append(VALUES[1:], 0.0) - VALUES,
        "V of the step before stands where V of the step after belongs": REWARDS
        + GAMMA * np.append(LAST, VALUES[:-1])
        - VALUES,
        "with λ = 0 nothing of the later steps must be in it": sums(deltas, GAMMA),
    }
    found = attempt(REWARDS, VALUES, LAST, GAMMA, 0.0, like=deltas)
    yield "with λ = 0, the surprise of one step", near(found, deltas, mistakes)
    whole = sums(np.append(REWARDS, LAST), GAMMA)[:-1] - VALUES
    wrong = {
        "with λ = 1 it must be Q̂ - V: V is missing": whole + VALUES,
        "the surprises to come are not discounted by γ": sums(deltas, 1.0),
        "the surprises to come are missing": deltas,
    }
    yield (
        "with λ = 1, Q̂ with V as its baseline",
        attempt.gives(whole, REWARDS, VALUES, LAST, GAMMA, 1.0, mistakes=wrong),
    )
    between = {
        "later surprises count λ, not γλ": sums(deltas, LAM),
        "later surprises count γ, not γλ": sums(deltas, GAMMA),
        "later surprises count γ²λ, not γλ: is γ in there twice?": sums(deltas, GAMMA**2 * LAM),
        "it is the mixture (1 - λ)·δ + λ·(Q̂ - V), which is another estimate": (1 - LAM) * deltas + LAM * whole,
        "it runs forward: what came before is added instead of what comes": sums(deltas[::-1], GAMMA * LAM)[::-1],
        "it is standardised: that is done later, over the whole batch": standard(sums(deltas, GAMMA * LAM)),
    }
    true = sums(deltas, GAMMA * LAM)
    yield "between the two", attempt.gives(true, REWARDS, VALUES, LAST, GAMMA, LAM, mistakes=between)
    pay, worth = np.array([1.0, -2.0, 4.0]), np.array([3.0, 4.0, 12.0])  # in halves: nothing is rounded
    yield "a perfect V is never surprised", attempt.gives(np.zeros(3), pay, worth, 16.0, 0.5, 0.75)


def sums(rewards: np.ndarray, gamma: float) -> np.ndarray:
    """Σ γ^l r_{t+l} for each t, term by term."""
    T = len(rewards)
    return np.array([sum(gamma ** (k - t) * rewards[k] for k in range(t, T)) for t in range(T)])


def surprises(values: np.ndarray) -> np.ndarray:
    """δ of each step."""
    return REWARDS + GAMMA * np.append(values[1:], LAST) - values


def standard(x: np.ndarray) -> np.ndarray:
    """Mean 0, deviation 1."""
    return (x - x.mean()) / x.std()

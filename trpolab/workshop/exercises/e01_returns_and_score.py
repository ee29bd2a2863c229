"""Discounted returns and the score-function gradient, against sums written out and finite differences."""

from __future__ import annotations

import numpy as np

from trpolab.workshop.attempt import Attempt
from trpolab.workshop.checks import Properties
from trpolab.workshop.compare import near

REWARDS = np.array([1.0, -2.0, 0.5, 3.0, 4.0])


def returns(attempt: Attempt) -> Properties:
    """q_t = Σ_k γ^k r_{t+k}, written out."""
    gamma, steps = 0.9, np.arange(len(REWARDS))
    powers = gamma ** (steps[None] - steps[:, None]) * (steps[None] >= steps[:, None])
    true = powers @ REWARDS
    absolute = gamma**steps * REWARDS
    mistakes = {
        "each step's future is weighed from the first step on, not from its own": np.cumsum(absolute[::-1])[::-1],
        "it sums what came before each step, not what comes after": np.cumsum(REWARDS),
        "it sums the past, discounted": powers.T @ REWARDS,
        "the rewards are not discounted": np.cumsum(REWARDS[::-1])[::-1],
        "each step's own reward is left out": true - REWARDS,
        "each step's own reward is discounted already": gamma * true,
        "the rewards are discounted, but not summed": absolute,
        "the steps come in reverse order": true[::-1],
        "every step has the return of the first": np.full(len(steps), true[0]),
    }
    yield "each step gets what comes from it on, discounted", near(attempt(REWARDS, gamma, like=true), true, mistakes)
    yield "the last step gets its own reward", attempt.gives(REWARDS[-1:], REWARDS[-1:], gamma)
    yield "γ = 0 sees the step's own reward alone", attempt.gives(REWARDS, REWARDS, 0.0)
    yield "γ = 1 sums all that comes", attempt.gives(REWARDS[::-1].cumsum()[::-1], REWARDS, 1.0)


def score_gradient(attempt: Attempt) -> Properties:
    """The gradient in θ of (1/N) Σ_n q_n log π_θ(a_n|s_n), by central differences."""
    generator = np.random.default_rng(1)
    theta = generator.normal(size=(3, 4))
    states, actions = np.array([0, 2, 0, 2, 2, 0]), np.array([1, 3, 1, 0, 3, 2])
    q = generator.normal(size=6)
    true = differences(theta, states, actions, q)
    taken = np.zeros_like(theta)
    np.add.at(taken, (states, actions), q / len(q))
    last = np.zeros_like(theta)
    for n in range(len(q)):  # of several visits of a state the last one alone
        chosen = np.eye(4)[actions[n]] - softmax(theta[states[n]])
        last[states[n]] = q[n] * chosen / len(q)
    mistakes = {
        "it is a sum over the samples, not their mean": len(q) * true,
        "it is the slope of log π for unnormalised probabilities: the other actions don't move": taken,
        "of a state that was visited several times only one visit counts": last,
        "q has no effect": differences(theta, states, actions, np.ones(6)),
    }
    found = attempt(theta, states, actions, q, like=true)
    yield "the slope of the mean of q·log π", near(found, true, mistakes, 1e-5)
    once = attempt.gives(
        differences(theta, states[:1], actions[:1], q[:1]), theta, states[:1], actions[:1], q[:1], within=1e-5
    )
    yield "one sample alone", once
    if (found.sum(1) > 1e-9).any() or (found.sum(1) < -1e-9).any():
        yield "what one action of a state gains the others lose", "in some state the slopes do not add up to 0"
    far = theta + 1000.0
    yield "large logits do no harm", attempt.gives(true, far, states, actions, q, within=1e-5)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits [..., A]."""
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


def differences(theta: np.ndarray, states: np.ndarray, actions: np.ndarray, q: np.ndarray) -> np.ndarray:
    """∂/∂θ of the mean of q·log π, entry by entry."""
    slope, h = np.zeros_like(theta), 1e-5
    for place in np.ndindex(theta.shape):
        moved = []
        for sign in (1, -1):
            at = theta.copy()
            at[place] += sign * h
            moved.append(float((q * np.log(softmax(at)[states, actions])).mean()))
        slope[place] = (moved[0] - moved[1]) / (2 * h)
    return slope

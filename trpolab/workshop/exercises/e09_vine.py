"""Eq. 15, Eq. 16 and common random numbers, against loops over states and actions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from trpolab.own import OwnFunctionError
from trpolab.workshop.attempt import Attempt
from trpolab.workshop.checks import Properties
from trpolab.workshop.compare import near

Q = torch.tensor([[1.0, -2.0, 0.5, 3.0], [4.0, 4.5, -1.0, 0.25], [0.3, 0.1, 0.7, -5.0]], dtype=torch.float64)
PI = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.4, 0.1]], dtype=torch.float64)
W = torch.tensor([[0.4, 2.0, 1.1, 0.7], [1.9, 0.2, 0.6, 1.0], [0.8, 1.5, 0.9, 0.3]], dtype=torch.float64)


def every_action(attempt: Attempt) -> Properties:
    """L_n = Σ_k π(a_k|s_n) Q̂_nk."""
    true = torch.stack([sum(PI[n, k] * Q[n, k] for k in range(4)) for n in range(3)])  # type: ignore[misc]
    mistakes = {
        "it is a mean over the actions: π already weighs them": true / 4,
        "the policy is not in it": Q.sum(1),
        "the policy is not in it: that is the mean of Q̂": Q.mean(1),
        "it takes the best action instead of the policy's mean": Q.max(1).values,
        "the mean of all states is taken off": true - true.mean(),
        "the probabilities are taken as logarithms": (PI.log() * Q).sum(1),
        "the probabilities stand in the wrong order": (PI.flip(1) * Q).sum(1),
    }
    yield "one number a state: the policy's mean of Q̂", near(attempt(PI, Q, like=true), true, mistakes)
    yield "Q̂ all alike: L is that, whatever the policy", attempt.gives(7.0 + 0 * true, PI, torch.full_like(Q, 7.0))
    sure = torch.eye(4, dtype=torch.float64)[[2, 0, 3]]
    yield "a policy that is sure", attempt.gives(Q[torch.arange(3), torch.tensor([2, 0, 3])], sure, Q)
    two, of_two = PI[:, :2], (PI[:, :2] * Q[:, :2]).sum(1)
    divided = {"it is divided by the sum of the probabilities: that is Eq. 16": of_two / two.sum(1)}
    yield "two of the four actions: nothing is divided", attempt.gives(of_two, two, Q[:, :2], mistakes=divided)


def vine_estimate(attempt: Attempt) -> Properties:
    """L_n = Σ_k w Q̂ / Σ_k w."""
    true = normalised(W, Q)
    mistakes = {
        "that is Eq. 14, a mean of w·Q̂: Eq. 16 divides by the sum of its own weights": (W * Q).mean(1),
        "the weights are not divided by their sum": (W * Q).sum(1),
        "it divides by the weights of all states together": (W * Q).sum(1) / W.sum(),
        "it divides by K times the sum": true / 4,
        "the weights are turned over: π_θ/q, not q/π_θ": normalised(1 / W, Q),
        "the mean Q̂ of the state is taken off: the division does that to the slopes by itself": true - Q.mean(1),
        "the weights are not in it": Q.mean(1),
        "the weights are squared": normalised(W**2, Q),
    }
    yield "the mean of Q̂, weighed and divided by the weights", near(attempt(W, Q, like=true), true, mistakes)
    lifted = attempt.gives(true + 100, W, Q + 100)
    yield "100 more for every action of a state: L rises by 100", lifted
    yield "all weights three times as large: L stays", attempt.gives(true, 3 * W, Q)
    yield "its slope in the weights", sloped(attempt)


def branch_noise(attempt: Attempt) -> Properties:
    """Standard normal noise [N, K, T], the same along K."""
    shape, generator = (40, 3, 25), np.random.default_rng(3)
    noise = attempt(generator, *shape, like=np.zeros(shape))
    apart = np.abs(noise - noise[:, :1]).max() > 0
    yield "the branches of a state share their noise", "they have noise of their own" if apart else ""
    alike = np.abs(noise - noise[:1]).max() == 0 and shape[0] > 1
    yield "other states have other noise", "all states have the same noise" if alike else ""
    still = np.abs(noise - noise[:, :, :1]).max() == 0
    yield "each step has noise of its own", "all steps of a branch have the same noise" if still else ""
    yield "standard normal", shaped(noise)
    again = attempt(np.random.default_rng(3), *shape, like=noise)
    other = attempt(np.random.default_rng(4), *shape, like=noise)
    same, moved = np.array_equal(noise, again), not np.array_equal(noise, other)
    fault = "" if same else "the same generator gave other numbers: all of it has to come from `generator`"
    yield "drawn from the generator", fault or ("" if moved else "another generator gave the same numbers")


def sloped(attempt: Attempt) -> str:
    """What is wrong with ∂ΣL/∂w, or ""."""
    at = W.clone().requires_grad_()
    try:
        slope = attempt(at, Q, like=normalised(W, Q), slope=True)
    except OwnFunctionError as error:
        return str(error)
    total = W.sum(1, keepdim=True)
    true = (Q - normalised(W, Q)[:, None]) / total
    return near(slope, true, {"the sum that is divided by has lost its gradient": Q / total})


def normalised(weights: Tensor, q_values: Tensor) -> Tensor:
    """Σ w Q̂ / Σ w of each state, one by one."""

    def terms() -> Iterator[Tensor]:
        for w, q in zip(weights, q_values, strict=True):
            yield sum((a * b for a, b in zip(w, q, strict=True)), torch.zeros(())) / sum(w, torch.zeros(()))

    return torch.stack(list(terms()))


def shaped(noise: np.ndarray) -> str:
    """Why numbers are not standard normal, as far as a thousand of them can tell, or ""."""
    drawn = noise[:, 0].ravel()
    if abs(drawn.mean()) > 0.15:
        return f"their mean is {drawn.mean():.2f}, not 0"
    if abs(drawn.std() - 1) > 0.12:
        return f"their deviation is {drawn.std():.2f}, not 1"
    return "" if np.abs(drawn).max() > 2.2 else "none of them is beyond 2.2: are they uniform?"

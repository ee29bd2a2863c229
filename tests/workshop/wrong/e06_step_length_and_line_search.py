"""What students write instead of β and the line search."""

import math

import torch


def search(
    L, kl, theta, step, delta, first=0, last=9, room=1.0, gains=lambda new, old: new > old, factor=0.7, give=None
):
    before = L(theta)
    for k in range(first, last + 1):
        candidate = theta + factor**k * step
        if kl(candidate) <= room * delta and gains(L(candidate), before):
            return candidate
    return theta if give is None else give(theta, step)


def accepts_nan(L, kl, theta, step, delta):
    before = L(theta)
    for k in range(10):
        candidate = theta + 0.7**k * step
        if not (kl(candidate) > delta or L(candidate) <= before):
            return candidate
    return theta


def the_step(L, kl, theta, step, delta):
    for k in range(10):
        if kl(theta + 0.7**k * step) <= delta and L(theta + 0.7**k * step) > L(theta):
            return 0.7**k * step
    return theta


def backwards(L, kl, theta, step, delta):
    return search(L, kl, theta, -step, delta)


def slow(L, kl, theta, step, delta):
    for k in range(10_000):
        candidate = theta + 0.999**k * step
        if kl(candidate) <= delta and L(candidate) > L(theta):
            return candidate
    return theta


WRONG = {
    "step_length": {
        "forgets the 2": lambda s, As, delta: math.sqrt(delta / (s @ As)),
        "forgets the root": lambda s, As, delta: 2 * delta / (s @ As),
        "upside down": lambda s, As, delta: torch.sqrt((s @ As) / (2 * delta)),
        "sᵀs": lambda s, As, delta: torch.sqrt(2 * delta / (s @ s)),
        "by element": lambda s, As, delta: torch.sqrt(2 * delta / (s * As)),
        "minus": lambda s, As, delta: -torch.sqrt(2 * delta / (s @ As)),
        "the norm of As": lambda s, As, delta: torch.sqrt(2 * delta / As.norm()),
        "for δ = 0.02 alone": lambda s, As, delta: torch.sqrt(0.04 / (s @ As)),
    },
    "line_search": {
        "ignores the KL": lambda *given: search(*given, room=math.inf),
        "ignores the surrogate": lambda *given: search(*given, gains=lambda new, old: True),
        "takes 1.5 δ": lambda *given: search(*given, room=1.5),
        "compares with 0": lambda *given: search(*given, gains=lambda new, old: new > 0),
        "takes the last in the end": lambda *given: search(*given, give=lambda theta, step: theta + 0.7**9 * step),
        "begins with 0.7": lambda *given: search(*given, first=1),
        "tries nine times": lambda *given: search(*given, last=8),
        "takes what gains nothing": lambda *given: search(*given, gains=lambda new, old: new >= old),
        "accepts NaN": accepts_nan,
        "gives the step": the_step,
        "goes backwards": backwards,
        "shrinks too fast": lambda *given: search(*given, factor=0.1),
        "shrinks too slowly": slow,
        "gives a number": lambda L, kl, theta, step, delta: L(theta),
        "wants it lower": lambda *given: search(*given, gains=lambda new, old: new < old),
    },
}

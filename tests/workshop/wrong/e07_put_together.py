"""What students write instead of a TRPO step."""

import torch

import trpolab


def step(g, product, L, kl, theta, delta, direction=None, length=None, search=True):
    s = trpolab.conjugate_gradient(product, g).x if direction is None else direction(g, product)
    beta = torch.sqrt(2 * delta / (s @ product(s))) if length is None else length(s, product, delta)
    if not search:
        return theta + beta * s
    return trpolab.backtrack(L, kl, theta, beta * s, bound=delta, shrink=0.7).x


def the_step_alone(g, product, L, kl, theta, delta):
    return step(g, product, L, kl, theta, delta) - theta


def without_the_gain(g, product, L, kl, theta, delta):
    asked = iter(range(10**6))
    return trpolab.backtrack(
        lambda point: float(next(asked)),
        kl,
        theta,
        step(g, product, L, kl, theta, delta, search=False) - theta,
        bound=delta,
    ).x


WRONG = {
    "trpo_step": {
        "plain gradient": lambda *given: step(*given, direction=lambda g, product: g),
        "Ag": lambda *given: step(*given, direction=lambda g, product: product(g)),
        "downhill": lambda *given: step(*given, direction=lambda g, product: -trpolab.conjugate_gradient(product, g).x),
        "β = 1": lambda *given: step(*given, length=lambda s, product, delta: 1.0, search=False),
        "β without its 2": lambda *given: step(
            *given, length=lambda s, product, delta: (delta / (s @ product(s))) ** 0.5
        ),
        "β of sᵀs": lambda *given: step(
            *given, length=lambda s, product, delta: (2 * delta / (s @ s)) ** 0.5, search=False
        ),
        "no length": lambda *given: step(*given, length=lambda s, product, delta: 0.1),
        "no line search": lambda *given: step(*given, search=False),
        "no gain asked": without_the_gain,
        "the step alone": the_step_alone,
        "too few iterations": lambda *given: step(
            *given, direction=lambda g, product: trpolab.conjugate_gradient(product, g, iterations=2).x
        ),
    }
}

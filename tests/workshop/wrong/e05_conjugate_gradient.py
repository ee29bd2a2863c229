"""What students write instead of conjugate gradient."""

import torch

from trpolab.numerics import conjugate_gradient as ours


def forgets_the_old_direction(product, b, iterations):
    x, r = torch.zeros_like(b), b.clone()
    for _ in range(iterations):
        if (rr := r @ r) <= 1e-20 * (b @ b):
            break
        Ap = product(r)
        alpha = rr / (r @ Ap)
        x, r = x + alpha * r, r - alpha * Ap
    return x


def shares_one_vector(product, b, iterations):
    x, r = torch.zeros_like(b), b.clone()
    p, rr = r, r @ r
    for _ in range(iterations):
        if rr <= 1e-20 * (b @ b):
            break
        Ap = product(p)
        alpha = rr / (p @ Ap)
        x += alpha * p
        r -= alpha * Ap
        before, rr = rr, r @ r
        p *= rr / before
        p += r
    return x


def aliases_and_copies_late(product, b, iterations):
    x, r = torch.zeros_like(b), b.clone()
    p, rr = r, r @ r
    for _ in range(iterations):
        if rr <= 1e-20 * (b @ b):
            break
        Ap = product(p)
        alpha = rr / (p @ Ap)
        x = x + alpha * p
        r -= alpha * Ap
        before, rr = rr, r @ r
        p = r + rr / before * p
        r = p if before == rr else r
    return x


def general(product, b, iterations, share=lambda new, old: new / old, sign=-1, start=0.0):
    x = start * b
    r = b - product(x) if start else b.clone()
    p, rr = r.clone(), r @ r
    for _ in range(iterations):
        if rr <= 1e-20 * (b @ b):
            break
        Ap = product(p)
        alpha = rr / (p @ Ap)
        x, r = x + alpha * p, r + sign * alpha * Ap
        before, rr = rr, r @ r
        p = r + share(rr, before) * p
    return x


def writes_into_b(product, b, iterations):
    x, r = torch.zeros_like(b), b
    for _ in range(iterations):
        step = product(r)
        r -= step * (r @ r) / (r @ step)
    return x


def divides_by_nothing(product, b, iterations):
    x, r, p = torch.zeros_like(b), b.clone(), b.clone()
    for _ in range(iterations):
        Ap, rr = product(p), r @ r
        alpha = rr / (p @ Ap)
        x, r = x + alpha * p, r - alpha * Ap
        p = r + (r @ r) / rr * p
    return x


def multiplies_twice(product, b, iterations):
    return ours(lambda v: 0 * product(v) + product(v), b, iterations=iterations).x


WRONG = {
    "conjugate_gradient": {
        "forgets the old direction": forgets_the_old_direction,
        "shares one vector": shares_one_vector,
        "aliases r and p": aliases_and_copies_late,
        "turns the share over": lambda product, b, iterations: general(
            product, b, iterations, lambda new, old: old / new
        ),
        "adds to the residual": lambda product, b, iterations: general(product, b, iterations, sign=1),
        "is one iteration short": lambda product, b, iterations: general(product, b, iterations - 1),
        "is one iteration long": lambda product, b, iterations: general(product, b, iterations + 1),
        "starts at b": lambda product, b, iterations: general(product, b, iterations, start=1.0),
        "writes into b": writes_into_b,
        "divides by nothing": divides_by_nothing,
        "multiplies twice": multiplies_twice,
        "returns b": lambda product, b, iterations: b,
    }
}

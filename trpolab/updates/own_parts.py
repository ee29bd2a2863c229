"""A person's own functions as parts of an update: what they are handed, and what is made of their answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trpolab.numerics import CGResult, CGStatus
from trpolab.own import OwnFunctions, vectors
from trpolab.policies import Policy
from trpolab.updates.diagnostics import Outcome, Refusal

Product = Callable[[Tensor], Tensor]  # v [D] float64 -> Av [D] float64


def own_solution(own: OwnFunctions, product: Product, b: Tensor, *, iterations: int, tolerance: float) -> CGResult:
    """x by a person's `conjugate_gradient`; one product more tells its residual and curvature."""
    count = 0

    def counted(v: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return product(v)

    x = own.call("conjugate_gradient", vectors(counted, b, "product"), b, iterations, like=b)
    reached = product(x)
    norms = (float(b.norm()), float((b - reached).norm()))
    status = CGStatus.CONVERGED if norms[1] ** 2 <= tolerance * norms[0] ** 2 else CGStatus.ITERATION_LIMIT
    status = status if math.isfinite(norms[1]) else CGStatus.NONFINITE
    return CGResult(x, status, count, float(x @ reached), norms, ())


def own_product(policy: Policy, features: Any, own: OwnFunctions) -> Product:
    """v ↦ Av by a person's `fisher_product`, which gets the mean KL(old‖·) over features [M, F] as a function of θ."""
    theta, dtype = policy.theta.double(), policy.theta.dtype
    old = policy.parameters(features, policy.theta).detach()

    def mean_kl(candidate: Tensor) -> Tensor:
        u = policy.parameters(features, candidate.to(policy.theta.device, dtype))
        return policy.distribution.kl(old, u).mean()

    return lambda v: own.call("fisher_product", vectors(mean_kl, theta, "mean_kl"), theta, v, like=v)


def own_theta(
    own: OwnFunctions, name: str, problem: Any, *last: Any, first: tuple[Tensor, Product] | None = None
) -> Tensor:
    """θ' [D] by a person's `line_search` or `trpo_step`. Raises Refusal if it stays at θ_old.

    It gets the gradient and the product that are `first`, then L, KL and θ_old of the problem, then what is `last`.
    """
    start, dtype = problem.theta.double(), problem.theta.dtype

    def of(function: Callable[[Tensor], float], called: str) -> Callable[[Any], Any]:
        return vectors(lambda candidate: function(candidate.to(dtype)), start, called)

    before = () if first is None else (first[0], vectors(first[1], first[0], "product"))
    functions = of(problem.surrogate, "surrogate"), of(problem.mean_kl, "mean_kl")
    theta = own.call(name, *before, *functions, start, *last, like=start)
    if torch.equal(theta, start):
        raise Refusal(Outcome.REJECTED_LINE_SEARCH, f"{name} of this run's own stayed at θ: it found no step to accept")
    return theta.to(dtype)


def own_terms(log_w: Tensor, q_values: Tensor, own: OwnFunctions) -> Tensor:
    """L_n [N] by a person's `vine_estimate`, from log w [N, K] and Q̂ [N, K]."""
    return own.call("vine_estimate", log_w.double().exp(), q_values.double(), like=q_values[:, 0])


def own_slope(log_w: Tensor, q_values: Tensor, own: OwnFunctions) -> tuple[Tensor, Tensor]:
    """∂L_n/∂log w [N, K] of a person's estimate, differentiated by torch; and the terms L_n [N]."""
    at = log_w.detach().requires_grad_()
    with torch.enable_grad():
        terms = own_terms(at, q_values, own)
        if not terms.requires_grad:
            raise own.fault("vine_estimate", "what it gave has no gradient: use torch alone on the weights")
        (slope,) = torch.autograd.grad(terms.sum(), at)
    return slope, terms.detach()

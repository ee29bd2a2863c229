"""Fisher-vector products: A v without A, A = ∂²/∂θ² of the mean KL(old‖θ) at θ_old (Appendix C.1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from trpolab.numerics.arrays import QUIET, Array, as_array
from trpolab.numerics.workers import SERIAL, Workers
from trpolab.policies import Policy
from trpolab.policies.networks import Linearized

KEPT_ROWS = 2**18  # beyond, activations are computed again for each product instead of kept (about 1 kB a row)

Product = Callable[[Tensor], Tensor]  # v [D] float64 -> Av [D] float64


def gauss_newton_product(policy: Policy, features: Tensor, chunk: int, workers: Workers = SERIAL) -> Product:
    """v ↦ (1/M) Σ_m J_mᵀ M_m J_m v at the policy's θ, over all rows of features [M, F].

    J_m = ∂u/∂θ at state m, M_m the KL's second derivative in u; positive semidefinite by construction. Activations are
    computed once; rows go through in chunks, summed in float64. The parameters that the distribution owns have a block
    of their own, diagonal and the same in every state.
    """
    network, distribution = policy.network, policy.distribution
    theta, own = as_array(policy.theta[: network.size]), as_array(policy.theta[network.size :])
    own_metric = as_array(distribution.own_metric(policy.theta[network.size :]))
    chunks = [as_array(x) for x in features.split(chunk)]

    def part(x: Array) -> Callable[[Array], Array]:
        linearized = Linearized.at(network, theta, x)
        metric = distribution.output_metric(linearized.out, own)
        return QUIET(lambda v: linearized.vjp(metric(linearized.jvp(v))))

    kept = workers.map(part, chunks) if len(features) <= KEPT_ROWS else None

    def product(v: Tensor) -> Tensor:
        direction = as_array(v.to(policy.theta.device, policy.theta.dtype))
        inner, outer = direction[: network.size], direction[network.size :]
        if kept is not None:
            products = workers.map(lambda multiply: multiply(inner), kept)
        else:
            products = workers.map(lambda x: part(x)(inner), chunks)
        total = torch.empty_like(v, device=policy.theta.device)
        result = as_array(total)
        result[: network.size] = products[0]
        for summand in products[1:]:
            result[: network.size] += summand
        result[: network.size] /= len(features)
        result[network.size :] = own_metric * outer
        return total.to(v.device)

    return product


def hessian_product(policy: Policy, features: Tensor, chunk: int, old: Tensor | None = None) -> Product:
    """v ↦ ∇(∇KL · v): the mean KL(old‖θ) over features [M, F], differentiated twice at the policy's θ.

    The twin of `gauss_newton_product`: equal at θ_old (where `old`, u of π_old [M, U], is what the policy gives, which
    is the default), and another matrix anywhere else, as the term with ∂²u/∂θ² then stays.
    """
    theta = policy.theta.detach().clone().requires_grad_()
    gradients = []
    with torch.enable_grad():
        for start in range(0, len(features), chunk):
            u = policy.parameters(features[start : start + chunk], theta)
            u_old = u.detach() if old is None else old[start : start + chunk]
            kl = policy.distribution.kl(u_old, u).sum()
            gradients.append(torch.autograd.grad(kl, theta, create_graph=True)[0])

    def product(v: Tensor) -> Tensor:
        direction = v.to(theta.dtype)
        total = torch.zeros_like(v)
        for gradient in gradients:
            total += torch.autograd.grad(gradient, theta, grad_outputs=direction, retain_graph=True)[0]
        return total.div_(len(features))

    return product


def damped(product: Product, damping: float) -> Product:
    """v ↦ (A + damping·I) v."""
    return lambda v: product(v).add_(v, alpha=damping)

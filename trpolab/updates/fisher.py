"""Fisher-vector products: A v without A, A = ∂²/∂θ² of the mean KL(old‖θ) at θ_old (Appendix C.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trpolab.numerics.arrays import QUIET, Array, as_array
from trpolab.numerics.threads import SERIAL, ThreadTeam, in_chunks, summed
from trpolab.policies import Policy
from trpolab.policies.frames import Frames
from trpolab.updates.surrogate import Samples, log_weights

Features = Tensor | Frames  # M rows
Product = Callable[[Tensor], Tensor]  # v [D] float64 -> Av [D] float64


def gauss_newton_product(
    policy: Policy, features: Features, chunk: int, workers: ThreadTeam = SERIAL, kept: int | None = None,
    weights: Tensor | None = None,
) -> Product:  # fmt: skip
    """v ↦ (1/M) Σ_m J_mᵀ M_m J_m v at the policy's θ, over all rows of features [M, F].

    J_m = ∂u/∂θ at state m, M_m the KL's second derivative in u; positive semidefinite by construction. Activations are
    computed once, or anew for each product where there are more than `kept` rows (None: the network's `kept_rows`);
    rows go through in chunks, summed in float64. The parameters that the distribution owns have a block of their own,
    diagonal and the same in every state. `weights` [M], summing to 1, take the place of 1/M.
    """
    network, distribution = policy.network, policy.distribution
    theta, own = as_array(policy.theta[: network.size]), as_array(policy.theta[network.size :])
    own_metric = as_array(distribution.own_metric(policy.theta[network.size :]))

    def prepare(rows: tuple[Any, ...]) -> Callable[[Array], Array]:
        x, *weighted = rows
        linearized = network.linearized(theta, x)
        metric = distribution.output_metric(linearized.out, own)
        if not weighted:
            return QUIET(lambda v: linearized.vjp(metric(linearized.jvp(v))))
        share = as_array(weighted[0])[:, None]
        return QUIET(lambda v: linearized.vjp(share * metric(linearized.jvp(v))))

    chunks = in_chunks(chunk, features) if weights is None else in_chunks(chunk, features, weights)
    add = summed(prepare, chunks, workers, keep=len(features) <= (network.kept_rows if kept is None else kept))

    def product(v: Tensor) -> Tensor:
        direction = as_array(v.to(policy.theta.device, policy.theta.dtype))
        total = torch.zeros_like(v, device=policy.theta.device)
        result = as_array(total)
        add(direction[: network.size], result[: network.size])
        if weights is None:
            result[: network.size] /= len(features)
        result[network.size :] = own_metric * direction[network.size :]
        return total.to(v.device)

    return product


def hessian_product(policy: Policy, features: Features, chunk: int, kept: int | None = None) -> Product:
    """v ↦ ∇(∇KL · v): the mean KL(old‖θ) over features [M, F], differentiated twice at θ = θ_old, the policy's θ.

    The twin of `gauss_newton_product`. The two are equal at θ_old; elsewhere a term with ∂²u/∂θ² would stay.
    """
    theta = policy.theta.detach().clone().requires_grad_()

    @torch.enable_grad()
    def prepare(rows: tuple[Any, ...]) -> Callable[[Tensor], Tensor]:
        u = policy.parameters(rows[0], theta)
        kl = policy.distribution.kl(u.detach(), u).sum()
        gradient = torch.autograd.grad(kl, theta, create_graph=True)[0]
        return lambda v: torch.autograd.grad(gradient, theta, grad_outputs=v, retain_graph=True)[0]

    add = summed(prepare, in_chunks(chunk, features), SERIAL, keep=kept is None or len(features) <= kept)
    return lambda v: add(v.to(theta.dtype), torch.zeros_like(v)).div_(len(features))


def empirical_product(
    policy: Policy, features: Features, samples: Samples, chunk: int, workers: ThreadTeam = SERIAL,
    kept: int | None = None,
) -> Product:  # fmt: skip
    """v ↦ (1/N) Σ_n mean_k w_nk (∇log π(a_nk|s_n)·v) ∇log π(a_nk|s_n) at the policy's θ (Section 6).

    The uncentred second moment of the score at the sampled actions, over all rows of features [N, F]; w = π_θ/q makes
    it an estimate of the Fisher matrix whatever q drew the actions, and is 1 for q = π_θ. No advantage enters.
    """
    distribution, k = policy.distribution, samples.log_q.shape[1]

    def prepare(rows: tuple[Any, Samples]) -> Callable[[Tensor], Tensor]:
        x, tried = rows
        u, jvp, vjp = policy.linearize(x)
        weight = log_weights(distribution, u, tried).exp() / k  # [n, K]
        score = distribution.score(u.repeat_interleave(k, dim=0), tried.actions).view(len(x), k, -1)

        def multiply(v: Tensor) -> Tensor:
            along = weight * (score @ jvp(v).unsqueeze(2)).squeeze(2)  # [n, K]
            return vjp((along.unsqueeze(1) @ score).squeeze(1))

        return multiply

    keep = len(features) <= (policy.network.kept_rows if kept is None else kept)
    add = summed(prepare, in_chunks(chunk, features, samples), workers, keep)

    def product(v: Tensor) -> Tensor:
        total = torch.zeros_like(v, device=policy.theta.device)
        return add(v.to(policy.theta.device, policy.theta.dtype), total).div_(len(features)).to(v.device)

    return product


def damped(product: Product, damping: float) -> Product:
    """v ↦ (A + damping·I) v."""
    return lambda v: product(v).add_(v, alpha=damping)

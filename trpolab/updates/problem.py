"""The constrained problem of one update (Eq. 14): L(θ) and the mean KL(old‖θ) of a batch, ready to be evaluated."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trpolab.numerics.arrays import QUIET, Array, as_array, as_tensor
from trpolab.numerics.workers import SERIAL, Workers
from trpolab.policies import Policy
from trpolab.policies.networks import CHUNK, Linearized
from trpolab.policies.rows import random_rows
from trpolab.sampling.batch import Batch
from trpolab.updates.fisher import Product, gauss_newton_product, hessian_product
from trpolab.updates.surrogate import Samples, log_weights, state_values, surrogate_slope

STALE_KL = 1e-4  # mean KL between the batch's π_old and the policy that is beyond rounding


@dataclass(frozen=True)
class Evaluation:
    """The surrogate and the KL of one candidate."""

    surrogate: float  # L(θ)
    kl_mean: float  # KL(old‖θ) over the constraint states
    kl_max: float


class Problem:
    """maximise L(θ) subject to mean KL(old‖θ) <= δ, around the policy that collected the batch.

    Holds tensors made once from the batch, and the last evaluation, so that objective and constraint of a candidate
    share one forward pass. The policy and the batch are only read.

    >>> problem = Problem(policy, batch)                                       # doctest: +SKIP
    >>> direction = conjugate_gradient(problem.fisher(), problem.gradient()).x  # doctest: +SKIP
    """

    def __init__(self, policy: Policy, batch: Batch, device: str = "cpu", workers: Workers = SERIAL):
        where = torch.device(device)
        self.chunk = CHUNK if where.type == "cpu" else 2**16
        self.policy = policy.replace(theta=policy.theta.to(where))
        dtype = policy.theta.dtype
        self.features = torch.as_tensor(policy.features(batch.obs)).to(where, dtype)
        self.samples = Samples.of(batch, dtype, where)
        self.old = torch.as_tensor(batch.old).to(where, dtype)
        self.constraint_old = torch.as_tensor(batch.constraint_old).to(where, dtype)
        self._shared = batch.constraint_obs is batch.obs  # single path: one forward pass serves both
        self.constraint_features = (
            self.features if self._shared else torch.as_tensor(policy.features(batch.constraint_obs)).to(where, dtype)
        )
        self._workers = workers
        self._last: tuple[Tensor, Evaluation] | None = None

    @property
    def theta(self) -> Tensor:
        """θ_old [D]."""
        return self.policy.theta

    def gradient(self) -> Tensor:
        """g = ∇L(θ_old) [D] float64, on the full batch; also evaluates θ_old.

        Raises ValueError if the batch was collected by another policy.
        """
        network, distribution = self.policy.network, self.policy.distribution
        theta, own = as_array(self.theta[: network.size]), self.theta[network.size :]
        slope, values = surrogate_slope(distribution, self.old, self.samples)  # u at θ_old was stored while sampling
        outputs_slope, own_slope = distribution.assemble_vjp(own, slope)

        @QUIET
        def part(chunk: tuple[Tensor, Tensor]) -> tuple[Array, Array]:
            x, cotangent = (as_array(rows) for rows in chunk)
            linearized = Linearized.at(network, theta, x)
            return linearized.out, linearized.vjp(cotangent)

        chunks = list(zip(self.features.split(self.chunk), outputs_slope.split(self.chunk), strict=True))
        outputs, gradients = zip(*self._workers.map(part, chunks), strict=True)
        total = torch.zeros_like(self.theta, dtype=torch.float64)
        inner = as_array(total)[: network.size]
        for gradient in gradients:
            inner += gradient
        total[network.size :] = own_slope
        kl = distribution.kl(self.old, distribution.assemble(torch.cat([as_tensor(o) for o in outputs]), own))
        if kl.mean() > STALE_KL:
            raise ValueError(f"the batch is not from this policy: mean KL(old‖θ) = {kl.mean():.3g} before any step")
        self._last = (self.theta, self._summary(values, kl))
        return total

    def evaluate(self, theta: Tensor) -> Evaluation:
        """L and KL at a candidate θ [D]; asked twice for the same tensor, it answers from memory."""
        if self._last is None or self._last[0] is not theta:
            self._last = (theta, self._evaluation(theta, self.policy.evaluate(self.features, theta, self._workers)))
        return self._last[1]

    def surrogate(self, theta: Tensor) -> float:
        """L(θ)."""
        return self.evaluate(theta).surrogate

    def mean_kl(self, theta: Tensor) -> float:
        """Mean KL(old‖θ) over the constraint states."""
        return self.evaluate(theta).kl_mean

    def entropy(self) -> float:
        """Mean entropy of π_old over the constraint states, in nats."""
        return float(self.policy.distribution.entropy(self.constraint_old).mean(dtype=torch.float64))

    def fisher(
        self, fraction: float = 1.0, generator: np.random.Generator | None = None, kind: str = "gauss_newton"
    ) -> Product:
        """v ↦ Av, undamped, on a random share of the constraint states drawn by `generator` (needed if it is < 1)."""
        x = self.constraint_features
        if fraction < 1:
            if generator is None:
                raise ValueError(f"fisher: fraction = {fraction} needs a generator to draw its states")
            x = x[torch.from_numpy(random_rows(len(x), fraction, generator)).to(x.device)]
        if kind == "hessian":
            return hessian_product(self.policy, x, self.chunk)
        return gauss_newton_product(self.policy, x, self.chunk, self._workers)

    def _evaluation(self, theta: Tensor, u: Tensor) -> Evaluation:
        """From u [N, U], what the policy gives at the states for θ."""
        distribution, samples = self.policy.distribution, self.samples
        values = state_values(log_weights(distribution, u, samples), samples.q_values, samples.estimator)
        if not self._shared:
            u = self.policy.evaluate(self.constraint_features, theta, self._workers)
        kl = distribution.kl(self.constraint_old, u)  # KL(old‖θ): the order matters at a finite step
        return self._summary(values, kl)

    def _summary(self, values: Tensor, kl: Tensor) -> Evaluation:
        """From L_n [N] and the KL of each state; means in float64."""
        value = float((values.double() * self.samples.weights).sum())
        return Evaluation(value, float(kl.mean(dtype=torch.float64)), float(kl.max()))


def step_length(delta: float, curvature: float) -> float:
    """β = √(2δ / sᵀAs): the step β·s spends δ of the KL's quadratic model (Appendix C). NaN unless sᵀAs > 0."""
    return math.sqrt(2 * delta / curvature) if curvature > 0 else math.nan

"""The constrained problem of one update (Eq. 14): L(θ) and the mean KL(old‖θ) of a batch, ready to be evaluated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trpolab.numerics.arrays import QUIET, Array, as_array
from trpolab.numerics.threads import SERIAL, ThreadTeam, in_chunks
from trpolab.own import LIBRARY, OwnFunctions
from trpolab.policies import Policy
from trpolab.policies.frames import Frames
from trpolab.policies.rows import random_rows
from trpolab.sampling.batch import Batch
from trpolab.updates.fisher import Features, Product, empirical_product, gauss_newton_product, hessian_product
from trpolab.updates.own_parts import own_product
from trpolab.updates.surrogate import Samples, log_weights, state_terms, surrogate, surrogate_slope

PORTION = 64  # chunks that are evaluated before a candidate's KL is compared with its bound
STALE_KL = 1e-4  # mean KL between the batch's π_old and the policy that is beyond rounding


@dataclass(frozen=True)
class CandidateEvaluation:
    """The surrogate and the KL of one candidate."""

    surrogate: float  # L(θ); NaN where the KL was above a bound before all states were seen
    kl_mean: float  # KL(old‖θ) over the constraint states, or over those seen
    kl_max: float
    whole: bool = True  # whether all states were seen


class Problem:
    """maximise L(θ) subject to mean KL(old‖θ) <= δ, around the policy that collected the batch.

    Holds tensors made once from the batch, and the last evaluation, so that objective and constraint of a candidate
    share one forward pass. The policy and the batch are only read. `features` [M, F] are the policy's at the constraint
    states, where they are known already. `own` may hold a person's Fisher product and estimate of L_n.

    >>> problem = Problem(policy, batch)                                       # doctest: +SKIP
    >>> direction = conjugate_gradient(problem.fisher(), problem.gradient()).x  # doctest: +SKIP
    """

    def __init__(
        self, policy: Policy, batch: Batch, device: str = "cpu", workers: ThreadTeam = SERIAL, features: Any = None,
        own: OwnFunctions = LIBRARY,
    ):  # fmt: skip
        where = torch.device(device)
        self.policy = policy.replace(theta=policy.theta.to(where))
        dtype = policy.theta.dtype
        self.samples, self._own = Samples.of(batch, dtype, where, own), own
        self.old = torch.as_tensor(batch.old).to(where, dtype)
        self.constraint_old = torch.as_tensor(batch.constraint_old).to(where, dtype)
        self._shared = batch.constraint_obs is batch.obs  # single path: one forward pass serves both
        known = policy.features(batch.constraint_obs) if features is None else features
        if len(known) != len(batch.constraint_obs):
            raise ValueError(f"features has {len(known)} rows for {len(batch.constraint_obs)} constraint states")
        self.constraint_features = _on(where, dtype, known)
        self.features = self.constraint_features if self._shared else _on(where, dtype, policy.features(batch.obs))
        self.chunk, self.kept = policy.network.rows_at_once(
            self.policy.theta[: policy.network.size], self.constraint_features
        )
        self.workers = workers if where.type == "cpu" else SERIAL  # of a GPU, one thread makes full use
        self._gradient: Tensor | None = None
        self._at_old: CandidateEvaluation | None = None  # known with the gradient
        self._last: tuple[Tensor, CandidateEvaluation] | None = None
        self._bound = math.inf  # of the last evaluation

    @property
    def theta(self) -> Tensor:
        """θ_old [D]."""
        return self.policy.theta

    def gradient(self) -> Tensor:
        """g = ∇L(θ_old) [D] float64, on the full batch, computed once; also evaluates θ_old.

        Raises ValueError if the batch was collected by another policy.
        """
        if self._gradient is not None:
            return self._gradient
        network, distribution = self.policy.network, self.policy.distribution
        theta, own = as_array(self.theta[: network.size]), self.theta[network.size :]
        slope, terms = surrogate_slope(distribution, self.old, self.samples)  # u at θ_old was stored while sampling
        outputs_slope, own_slope = distribution.assemble_vjp(own, slope)
        outputs = outputs_slope.new_empty(outputs_slope.shape)

        @QUIET
        def part(rows: tuple[Any, Tensor, Tensor]) -> Array:
            x, cotangent, out = rows
            linearized = network.linearized(theta, x)
            as_array(out)[...] = linearized.out
            return linearized.vjp(as_array(cotangent))

        total = torch.zeros_like(self.theta, dtype=torch.float64)
        chunks = in_chunks(self.chunk, self.features, outputs_slope, outputs)
        self.workers.add(part, chunks, as_array(total)[: network.size])
        total[network.size :] = own_slope
        kl = distribution.kl(self.old, distribution.assemble(outputs, own))
        if kl.mean() > STALE_KL:
            raise ValueError(f"the batch is not from this policy: mean KL(old‖θ) = {kl.mean():.3g} before any step")
        self._at_old, self._gradient = self._summary(terms, kl), total
        return total

    def evaluate(self, theta: Tensor, bound: float = math.inf) -> CandidateEvaluation:
        """L and KL at a candidate θ [D]; what was found for the last tensor, and for θ_old, is kept.

        Evaluation stops early when the KLs of the states seen so far already add up to more than M · `bound`: no KL is
        negative, so the mean over all M states is above the bound, too. Then both KLs returned are above it.
        """
        if theta is self.theta and self._at_old is not None:
            return self._at_old
        known = self._last is not None and self._last[0] is theta and (self._last[1].whole or bound <= self._bound)
        if self._last is None or not known:
            self._last, self._bound = (theta, self._evaluation(theta, bound)), bound
        return self._last[1]

    def surrogate(self, theta: Tensor, bound: float = math.inf) -> float:
        """L(θ)."""
        return self.evaluate(theta, bound).surrogate

    def mean_kl(self, theta: Tensor, bound: float = math.inf) -> float:
        """Mean KL(old‖θ) over the constraint states."""
        return self.evaluate(theta, bound).kl_mean

    def max_kl(self, theta: Tensor, bound: float = math.inf) -> float:
        """Largest KL(old‖θ) of a constraint state: Eq. 11's constraint, over the states that were sampled."""
        return self.evaluate(theta, bound).kl_max

    def penalized_slope(self, theta: Tensor, penalty: float) -> Tensor:
        """∇(L - penalty · mean KL(old‖·)) [D] float64 at any θ [D], on the full batch."""
        distribution = self.policy.distribution
        u = self.parameters(self.features, theta)
        slope, _ = surrogate_slope(distribution, u, self.samples)
        if not self._shared:
            u = self.parameters(self.constraint_features, theta)
        of_kl = distribution.kl_slope(self.constraint_old, u) * (-penalty / len(u))
        if self._shared:
            return self.pull_back(theta, self.features, slope + of_kl)
        return self.pull_back(theta, self.features, slope) + self.pull_back(theta, self.constraint_features, of_kl)

    def parameters(self, features: Features, theta: Tensor) -> Tensor:
        """u [B, U] at features [B, F] and any θ [D], without a graph."""
        return self.policy.evaluate(features, theta, self.workers, self.chunk)

    def pull_back(self, theta: Tensor, features: Features, cotangent: Tensor) -> Tensor:
        """Jᵀc [D] float64, J = ∂u/∂θ at θ [D], summed over rows: features [B, F], c [B, U]."""
        chunks, total = in_chunks(self.chunk, features, cotangent), torch.zeros_like(theta, dtype=torch.float64)
        return self.workers.add(lambda rows: self.policy.linearize(rows[0], theta)[2](rows[1]), chunks, total)

    def largest_curvature(self, v: Tensor) -> float:
        """max_m vᵀ A_m v over the constraint states, A_m the Fisher matrix of state m at θ_old, undamped."""
        network, distribution = self.policy.network, self.policy.distribution
        direction = as_array(v.to(self.theta.device, self.theta.dtype))
        inner, own = as_array(self.theta[: network.size]), as_array(self.theta[network.size :])

        @QUIET
        def part(features: Any) -> float:
            linearized = network.linearized(inner, features)
            moved = linearized.jvp(direction[: network.size])
            return float((moved * distribution.output_metric(linearized.out, own)(moved)).sum(1).max())

        largest = max(self.workers.map(part, list(self.constraint_features.split(self.chunk))))
        outer = v[network.size :].to(self.theta.dtype)
        return largest + float((outer * outer * distribution.own_metric(self.theta[network.size :])).sum())

    def entropy(self) -> float:
        """Mean entropy of π_old over the constraint states, in nats."""
        return float(self.policy.distribution.entropy(self.constraint_old).mean(dtype=torch.float64))

    def fisher(
        self,
        fraction: float = 1.0,
        generator: np.random.Generator | None = None,
        kind: str = "gauss_newton",
        theta: Tensor | None = None,
    ) -> Product:
        """v ↦ Av, undamped, on a random share of the constraint states drawn by `generator` (needed if it is < 1).

        `kind` is gauss_newton (JᵀMJ), hessian (the KL differentiated twice), or empirical: the second moment of the
        score at the sampled actions, over a share of the states that have some. A is taken at θ_old unless another
        `theta` [D] is given.
        """
        policy = self.policy if theta is None else self.policy.replace(theta=theta)
        x = self.features if kind == "empirical" else self.constraint_features
        samples = self.samples
        if fraction < 1:
            if generator is None:
                raise ValueError(f"fisher: fraction = {fraction} needs a generator to draw its states")
            rows = torch.from_numpy(random_rows(len(x), fraction, generator)).to(x.device)
            x = x[rows]
            samples = samples.take(rows) if kind == "empirical" else samples
        if kind == "empirical":
            return empirical_product(policy, x, samples, self.chunk, self.workers, self.kept)
        if self._own.fisher_product is not None:
            return own_product(policy, x, self._own)
        if kind == "hessian":
            return hessian_product(policy, x, self.chunk, self.kept)
        return gauss_newton_product(policy, x, self.chunk, self.workers, self.kept)

    def _evaluation(self, theta: Tensor, bound: float) -> CandidateEvaluation:
        """The KL over the constraint states, portion by portion; then L, from the same outputs if they will do."""
        distribution, samples = self.policy.distribution, self.samples
        x, old, rows = self.constraint_features, self.constraint_old, PORTION * self.chunk
        outputs, divergences, total = [], [], 0.0
        for start in range(0, len(x), rows):
            u = self.parameters(x[start : start + rows], theta)
            kl = distribution.kl(old[start : start + rows], u)  # KL(old‖θ): the order matters at a finite step
            outputs.append(u)
            divergences.append(kl)
            total += float(kl.sum(dtype=torch.float64))
            if start + rows < len(x) and total > bound * len(x):
                return CandidateEvaluation(
                    math.nan, total / (start + rows), max(float(kl.max()) for kl in divergences), False
                )
        u = torch.cat(outputs) if self._shared else self.parameters(self.features, theta)
        terms = state_terms(log_weights(distribution, u, samples), samples.q_values, samples.estimator)
        return self._summary(terms, torch.cat(divergences))

    def _summary(self, terms: Tensor, kl: Tensor) -> CandidateEvaluation:
        """From L_n [N] and the KL of each state; means in float64."""
        value = float(surrogate(terms, self.samples.weights))
        return CandidateEvaluation(value, float(kl.mean(dtype=torch.float64)), float(kl.max()))


def _on(device: torch.device, dtype: torch.dtype, features: Any) -> Features:
    """Features where the update runs; frames stay bytes."""
    return features.to(device) if isinstance(features, Frames) else torch.as_tensor(features).to(device, dtype)

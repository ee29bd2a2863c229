"""The surrogate objective: Eq. 14, Eq. 15 and Eq. 16 in torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trpolab.own import LIBRARY, OwnFunctions
from trpolab.policies import Distribution
from trpolab.sampling.batch import Batch, Estimator
from trpolab.updates.own_parts import own_slope, own_terms


@dataclass(frozen=True, eq=False)
class Samples:
    """What the surrogate reads of a batch, as tensors: N states with K actions each."""

    actions: Tensor  # [N·K, *A]
    log_q: Tensor  # [N, K]
    q_values: Tensor  # [N, K]
    weights: Tensor  # [N], summing to 1
    estimator: Estimator | OwnFunctions  # a person's `vine_estimate`

    @classmethod
    def of(cls, batch: Batch, dtype: torch.dtype, device: torch.device, own: OwnFunctions = LIBRARY) -> Samples:
        """The batch's samples in the policy's precision (whole numbers stay whole)."""
        n, k = batch.log_q.shape
        actions = torch.as_tensor(np.ascontiguousarray(batch.actions.reshape(n * k, *batch.actions.shape[2:])))
        weights = torch.as_tensor(batch.weights / batch.weights.sum())
        return cls(
            actions=actions.to(device, dtype if actions.is_floating_point() else None),
            log_q=torch.as_tensor(batch.log_q).to(device, dtype),
            q_values=torch.as_tensor(batch.q_values).to(device, dtype),
            weights=weights.to(device, dtype),
            estimator=batch.estimator if own.vine_estimate is None or k == 1 else own,
        )

    def split(self, rows: int) -> list[Samples]:
        """The same in chunks of `rows` states; the weights of all chunks together sum to 1."""
        k = self.log_q.shape[1]
        parts = zip(self.log_q.split(rows), self.q_values.split(rows), self.weights.split(rows), strict=True)
        pairs = zip(self.actions.split(rows * k), parts, strict=True)
        return [Samples(actions, *part, self.estimator) for actions, part in pairs]

    def take(self, rows: Tensor) -> Samples:
        """The given states alone, an index [n] on the same device; weights as they are."""
        k = self.log_q.shape[1]
        actions = self.actions.unflatten(0, (-1, k))[rows].flatten(0, 1)
        return Samples(actions, self.log_q[rows], self.q_values[rows], self.weights[rows], self.estimator)


def surrogate(terms: Tensor, weights: Tensor) -> Tensor:
    """L(θ) = Σ_n weight_n L_n [] float64, from the terms L_n [N] and the states' weights [N]; differentiable."""
    return (terms.double() * weights).sum()


def log_weights(distribution: Distribution, u: Tensor, samples: Samples) -> Tensor:
    """log(π_θ(a_nk|s_n) / q(a_nk|s_n)) [N, K]; q need not be π_old."""
    n, k = samples.log_q.shape
    per_action = u if k == 1 else u.repeat_interleave(k, dim=0)
    return distribution.log_prob(per_action, samples.actions).view(n, k) - samples.log_q


def state_terms(log_w: Tensor, q_values: Tensor, estimator: Estimator | OwnFunctions) -> Tensor:
    """L_n [N] from log w [N, K] and Q̂ [N, K]."""
    if isinstance(estimator, OwnFunctions):
        return own_terms(log_w, q_values, estimator)
    if estimator is Estimator.IMPORTANCE:  # Eq. 14: mean_k w_k Q̂_k; Eq. 15 is the same with log q = -log K
        return (log_w.exp() * q_values).mean(1)
    return (log_w.softmax(1) * q_values).sum(1)  # Eq. 16: Σ_k w_k Q̂_k / Σ_k w_k, stable whatever the weights


def surrogate_slope(distribution: Distribution, u: Tensor, samples: Samples) -> tuple[Tensor, Tensor]:
    """∂L/∂u [N, U] written out, the chain rule through log π without a graph; and the terms L_n [N].

    Held to autograd of `surrogate` by tests.
    """
    n, k = samples.log_q.shape
    log_w = log_weights(distribution, u, samples)
    if isinstance(samples.estimator, OwnFunctions):
        per_log_prob, terms = own_slope(log_w, samples.q_values, samples.estimator)
    elif samples.estimator is Estimator.IMPORTANCE:
        per_log_prob, terms = (
            log_w.exp() * samples.q_values / k,
            state_terms(log_w, samples.q_values, samples.estimator),
        )
    else:
        terms = state_terms(log_w, samples.q_values, samples.estimator)
        per_log_prob = log_w.softmax(1) * (samples.q_values - terms.unsqueeze(1))
    per_log_prob = per_log_prob * samples.weights.unsqueeze(1)
    per_action = u if k == 1 else u.repeat_interleave(k, dim=0)
    slope = distribution.score(per_action, samples.actions) * per_log_prob.reshape(-1, 1)
    return (slope if k == 1 else slope.view(n, k, -1).sum(1)), terms

"""The one batch type of both samplers, and the episodes that a batch finished."""

from __future__ import annotations

import dataclasses
import enum
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from trpolab.numerics.arrays import hardly_varies

FAR = 30  # standard deviations of Q̂ from 0 beyond which its mean costs float32 digits that are needed


class Estimator(enum.Enum):
    """How the K actions of a state become its surrogate L_n (implementers of Eq. 14-16)."""

    IMPORTANCE = "importance"  # mean_k w_k Q̂_k, w = π_θ / q: Eq. 14; Eq. 15 with log_q = -log K
    SELF_NORMALIZED = "self_normalized"  # sum_k w_k Q̂_k / sum_k w_k: Eq. 16


@dataclass(frozen=True)
class Episodes:
    """Complete episodes, raw and undiscounted: the scores that are reported. E episodes."""

    returns: np.ndarray  # [E] float64
    lengths: np.ndarray  # [E] int64
    dropped: int = 0  # unfinished episodes given up (sampler or method changed)
    unstable: int = 0  # episodes cut because the physics blew up


@dataclass(frozen=True)
class Batch:
    """What an update learns from; axes N, K, M, U, *O, *A as in the README. Arrays are never written to."""

    obs: Any  # [N, *O] states visited under π_old; has len() and take(rows)
    actions: np.ndarray  # [N, K, *A] a_nk ~ q(.|s_n), in the policy's units and unclipped
    log_q: np.ndarray  # [N, K] natural log of q(a_nk | s_n)
    q_values: np.ndarray  # [N, K] Q̂, or an advantage
    weights: np.ndarray  # [N] state weights: equal, or γ^t
    path: np.ndarray  # [N] which path
    t: np.ndarray  # [N] which time step
    old: np.ndarray  # [N, U] distribution parameters of π_old at obs
    constraint_obs: Any  # [M, *O] states of the KL constraint and the Fisher matrix
    constraint_old: np.ndarray  # [M, U]
    estimator: Estimator
    episodes: Episodes
    sim_steps: int  # every simulator step of this batch, branches included
    paths: Any = None  # trunks and branches, kept only for drawing

    def __post_init__(self) -> None:
        n, k = self.actions.shape[:2]
        expected = {"log_q": (n, k), "q_values": (n, k), "weights": (n,), "path": (n,), "t": (n,)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"Batch.{name} has shape {getattr(self, name).shape}, expected {shape}")
        if len(self.obs) != n or len(self.old) != n:
            raise ValueError(f"Batch.obs and Batch.old need {n} rows, got {len(self.obs)} and {len(self.old)}")
        if len(self.constraint_obs) != len(self.constraint_old):
            raise ValueError("Batch.constraint_obs and Batch.constraint_old differ in length")
        if self.estimator is Estimator.SELF_NORMALIZED and k == 1:
            raise ValueError("Eq. 16 with K = 1 has zero gradient: roll out at least two actions per state")

    @property
    def compares_within_states(self) -> bool:
        """Whether only differences between the actions of one state count: Eq. 16, and Eq. 15 over all actions."""
        k = self.log_q.shape[1]
        enumerated = k > 1 and bool(np.allclose(self.log_q, -math.log(k)))
        return self.estimator is Estimator.SELF_NORMALIZED or enumerated

    def without_offset(self) -> Batch:
        """The same without a mean of Q̂ that is far from 0, where that changes nothing of the surrogate's slope."""
        q = self.q_values
        if hardly_varies(q, q) or abs(q.mean()) <= FAR * q.std() or not self.compares_within_states:
            return self
        return dataclasses.replace(self, q_values=q - q.mean())

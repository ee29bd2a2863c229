"""What the tests of methods that follow the gradient share: a step, and its gradient and KL by other means."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from tests import reference
from tests.reference import step
from trpolab.policies import Learner, Policy
from trpolab.sampling.batch import Batch
from trpolab.training.config import Config

KINDS = list(reference.ACTION_SPACES)
EXACT = {"fisher_fraction": 1.0, "damping": 0.0, "cg_iterations": 200}


def update(method: str, policy: Policy, batch: Batch, seed: int = 0, state=None, **settings):
    config = Config().replace(method=method, **{"delta": 0.01, "fisher_fraction": 1.0, **settings})
    return step(Learner(policy, state=state or {}), batch, config, np.random.default_rng(seed))


def true_gradient(policy: Policy, batch: Batch) -> torch.Tensor:
    return reference.numeric_gradient(lambda t: reference.surrogate_by_loops(policy, batch, t), policy.theta)


def kl_of(policy: Policy, batch: Batch, theta: torch.Tensor) -> torch.Tensor:
    new = policy.parameters(reference.features64(policy, batch.constraint_obs), theta)
    return reference.torch_kl(policy.distribution, torch.from_numpy(batch.constraint_old), new)


def under_uniform_proposals(batch: Batch, n: int = 3, k: int = 6, seed: int = 4) -> Batch:
    """The same states with K actions each drawn uniformly from n."""
    drawn = np.random.default_rng(seed).integers(0, n, size=(len(batch.obs), k))
    q_values = np.random.default_rng(seed + 1).normal(size=drawn.shape)
    return dataclasses.replace(batch, actions=drawn, log_q=np.full(drawn.shape, -math.log(n)), q_values=q_values)

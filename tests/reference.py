"""Slow, obvious twins of the fast code, and small policies and batches to try both on: one notion of truth for tests.

Dense matrices come from torch.autograd.functional, probabilities from torch.distributions, estimators from loops.
Nothing here shares code with what it judges, apart from the policy's forward pass.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch import distributions as td

from trpolab import updates
from trpolab.policies import DiagonalGaussian, Distribution, FactoredCategorical, Learner, Policy, make_policy
from trpolab.sampling.batch import Batch, Episodes, Estimator
from trpolab.training.config import Config, PolicyConfig

ACTION_SPACES = {
    "gaussian": spaces.Box(-1, 1, (2,)),
    "categorical": spaces.Discrete(3),
    "factored": spaces.MultiDiscrete([3, 2]),
}


def small_policy(kind: str = "gaussian", hidden: tuple[int, ...] = (4,), seed: int = 0, **config: Any) -> Policy:
    """A float64 policy of some dozens of parameters on 3 observed numbers, its outputs away from zero."""
    space = spaces.Box(-np.inf, np.inf, (3,), dtype=np.float64)
    settings = {"hidden": hidden, "output_scale": 1.0, "normalize_observations": False, **config}
    generator = np.random.default_rng(seed)
    policy = make_policy(space, ACTION_SPACES[kind], PolicyConfig(**settings), generator)
    noise = torch.from_numpy(generator.normal(size=policy.size))
    return policy.replace(theta=policy.theta.double() + 0.1 * noise)


def small_batch(
    policy: Policy, states: int = 12, actions: int = 1, seed: int = 1, estimator: Estimator = Estimator.IMPORTANCE
) -> Batch:
    """States at random, actions from the policy itself, values Q̂ that depend on both."""
    generator = np.random.default_rng(seed)
    obs = generator.normal(size=(states, *policy.obs_shape))
    old = policy.parameters(features64(policy, obs)).detach()
    repeated = old.repeat_interleave(actions, 0)
    noise = policy.distribution.noise(generator, (states * actions,))
    tried = policy.distribution.sample_from(repeated.numpy(), noise)
    log_q = torch_log_prob(policy.distribution, repeated, torch.from_numpy(tried)).numpy()
    q_values = generator.normal(size=(states, actions)) + tried.reshape(states, actions, -1).sum(-1)
    return Batch(
        obs=obs,
        actions=tried.reshape(states, actions, *tried.shape[1:]),
        log_q=log_q.reshape(states, actions),
        q_values=q_values,
        weights=generator.uniform(0.5, 1.5, size=states),
        path=np.zeros(states, np.int64),
        t=np.arange(states),
        old=old.numpy(),
        constraint_obs=obs,
        constraint_old=old.numpy(),
        estimator=estimator,
        episodes=Episodes(np.zeros(0), np.zeros(0, np.int64)),
        sim_steps=states,
    )


def features64(policy: Policy, obs: np.ndarray) -> Tensor:
    """The policy's features [N, F] (made in float32) as float64."""
    return torch.from_numpy(policy.features(obs)).double()


def torch_distributions(distribution: Distribution, u: Tensor) -> list[tuple[td.Distribution, slice | int]]:
    """The same distribution by torch, as independent parts, each with the columns of the action that it draws."""
    if isinstance(distribution, DiagonalGaussian):
        mean, log_std = u[..., : distribution.size], u[..., distribution.size :]
        return [(td.Independent(td.Normal(mean, log_std.exp()), 1), slice(None))]
    if isinstance(distribution, FactoredCategorical):
        parts = torch.split(u, list(distribution.nvec), dim=-1)
        return [(td.Categorical(logits=part), index) for index, part in enumerate(parts)]
    return [(td.Categorical(logits=u), slice(None))]


def torch_log_prob(distribution: Distribution, u: Tensor, actions: Tensor) -> Tensor:
    """log π(a) [B]."""
    if isinstance(distribution, FactoredCategorical):
        parts = torch_distributions(distribution, u)
        return torch.stack([part.log_prob(actions[..., column]) for part, column in parts]).sum(0)
    return torch_distributions(distribution, u)[0][0].log_prob(actions)


def torch_kl(distribution: Distribution, u_old: Tensor, u_new: Tensor) -> Tensor:
    """KL(old‖new) [B]."""
    pairs = zip(torch_distributions(distribution, u_old), torch_distributions(distribution, u_new), strict=True)
    return torch.stack([td.kl_divergence(old, new) for (old, _), (new, _) in pairs]).sum(0)


def torch_entropy(distribution: Distribution, u: Tensor) -> Tensor:
    """Entropy [B]."""
    return torch.stack([part.entropy() for part, _ in torch_distributions(distribution, u)]).sum(0)


def jacobian(policy: Policy, features: Tensor) -> Tensor:
    """∂u/∂θ [N, U, D] of every state."""
    return torch.autograd.functional.jacobian(lambda theta: policy.parameters(features, theta), policy.theta)


def dense_metric(distribution: Distribution, u: Tensor) -> Tensor:
    """M [U, U] at one u [U]: the second derivative of KL(u‖u') in u' at u' = u."""
    return torch.autograd.functional.hessian(lambda new: torch_kl(distribution, u, new), u)


def dense_fisher(policy: Policy, features: Tensor) -> Tensor:
    """(1/N) Σ_n J_nᵀ M_n J_n [D, D]."""
    j, u = jacobian(policy, features), policy.parameters(features)
    metrics = torch.stack([dense_metric(policy.distribution, row) for row in u])
    return torch.einsum("nud,nuv,nve->de", j, metrics, j) / len(features)


def dense_kl_hessian(policy: Policy, features: Tensor, old: Tensor | None = None) -> Tensor:
    """∂²/∂θ² of the mean KL(old‖θ) at the policy's θ [D, D]; `old` [N, U] is the policy's own u unless given."""
    old = policy.parameters(features).detach() if old is None else old
    return torch.autograd.functional.hessian(
        lambda theta: torch_kl(policy.distribution, old, policy.parameters(features, theta)).mean(), policy.theta
    )


def empirical_fisher(policy: Policy, batch: Batch) -> Tensor:
    """(1/N) Σ_n mean_k π_θ/q · ∇log π(a_nk|s_n) ∇log π(a_nk|s_n)ᵀ [D, D], one score after another."""
    features, total = features64(policy, batch.obs), torch.zeros(policy.size, policy.size, dtype=torch.float64)
    n, k = batch.log_q.shape
    for row in range(n):
        for tried in range(k):
            theta = policy.theta.clone().requires_grad_()
            action = torch.from_numpy(np.asarray(batch.actions[row, tried])).unsqueeze(0)
            u = policy.parameters(features[row : row + 1], theta)
            log_pi = torch_log_prob(policy.distribution, u, action).squeeze()
            (score,) = torch.autograd.grad(log_pi, theta)
            weight = math.exp(log_pi.item()) / math.exp(batch.log_q[row, tried])
            total += weight / (n * k) * torch.outer(score, score)
    return total


def matrix_of(product: Any, size: int) -> Tensor:
    """The matrix [D, D] of v ↦ Av, column by column."""
    return torch.stack([product(column) for column in torch.eye(size, dtype=torch.float64)], dim=1)


def surrogate_by_loops(policy: Policy, batch: Batch, theta: Tensor) -> float:
    """L(θ) written out: Eq. 14 or Eq. 16, weights π_θ/q, states by their weights."""
    u = policy.parameters(features64(policy, batch.obs), theta).detach()
    total = 0.0
    for n in range(len(u)):
        ratios = []
        for k in range(batch.log_q.shape[1]):
            action = torch.from_numpy(np.asarray(batch.actions[n, k])).unsqueeze(0)
            log_pi = float(torch_log_prob(policy.distribution, u[n : n + 1], action))
            ratios.append(math.exp(log_pi) / math.exp(batch.log_q[n, k]))
        weighted = sum(ratio * q for ratio, q in zip(ratios, batch.q_values[n], strict=True))
        inner = weighted / len(ratios) if batch.estimator is Estimator.IMPORTANCE else weighted / sum(ratios)
        total += batch.weights[n] / batch.weights.sum() * inner
    return total


def numeric_gradient(function: Any, theta: Tensor, width: float = 1e-5) -> Tensor:
    """Central differences [D] of a scalar function of θ."""
    steps = torch.eye(len(theta), dtype=theta.dtype) * width
    return torch.tensor([(function(theta + step) - function(theta - step)) / (2 * width) for step in steps])


def random_spd(generator: np.random.Generator, eigenvalues: np.ndarray) -> np.ndarray:
    """A random symmetric matrix [n, n] with this spectrum."""
    q, _ = np.linalg.qr(generator.normal(size=(len(eigenvalues), len(eigenvalues))))
    return (q * eigenvalues) @ q.T


def conv_total(h: int, w: int, outputs: int, frames: int = 4, filters: int = 16, hidden: int = 20) -> int:
    """Parameters, biases too, of two convolutions of 4 x 4 at stride 2 without padding, a hidden layer, the output."""
    total, channels = 0, frames
    for _ in range(2):
        total += filters * (channels * 4 * 4 + 1)
        h, w, channels = (h - 4) // 2 + 1, (w - 4) // 2 + 1, filters
    return total + hidden * (channels * h * w + 1) + outputs * (hidden + 1)


def step(
    learner: Learner, data: Any, config: Config, generator: np.random.Generator
) -> tuple[Learner, updates.Diagnostics]:
    """One update by the config's method."""
    return updates.step(learner, data, *config.of_method(), config.context(generator))


def propose(learner: Learner, config: Config, generator: np.random.Generator) -> np.ndarray:
    """Candidates by the config's method."""
    return updates.propose(learner, *config.of_method(), config.context(generator))

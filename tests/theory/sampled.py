"""Gradients by the real samplers and `Problem` on a finite MDP, beside the exact ones: for tests and planted faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tests.theory import twins
from trpolab import theory
from trpolab.policies import Learner, Policy
from trpolab.sampling.config import SinglePath, Vine
from trpolab.sampling.sampler import Resources, Returns
from trpolab.sampling.single_path import SinglePathSampler, single_path_batch
from trpolab.sampling.streams import Streams
from trpolab.sampling.vine.sampler import VineSampler
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators import find_task
from trpolab.theory import FiniteMDP
from trpolab.training.config import resolve
from trpolab.training.loop import start_learner
from trpolab.updates import Problem

HORIZON = 8  # steps of a path, and of a trunk
ROLLOUT = 6  # steps of a branch
PATHS = 48
REPEATS = 120  # independent batches: enough for their spread to be known


def never() -> bool:
    return False


def small_mdp() -> FiniteMDP:
    """Four states, three actions, no end: every path of a batch has the same length.

    Each action leads mostly to one state, and what a state earns is its own, so that the future matters.
    """
    rng = np.random.default_rng(80)
    made = theory.random_mdp(4, 3, branching=1, gamma=0.85, generator=rng)
    moves, rewards = 0.9 * made.transitions + 0.1 / 4, np.array([0.0, 1.0, -2.0, 3.0])
    return FiniteMDP(moves, rewards, [0.7, 0.2, 0.1, 0.0], 0.85, name="finite/sampled", time_limit=None)


def peaked_learner(mdp: FiniteMDP) -> Learner:
    """A soft-max policy away from uniform."""
    config = resolve(find_task(mdp))  # type: ignore[arg-type]
    learner = start_learner(find_task(mdp), config, Streams(0))
    theta = torch.from_numpy(0.7 * np.random.default_rng(81).normal(size=learner.policy.size)).float()
    return learner.replace(policy=learner.policy.with_theta(theta))


def gradient_of(mdp: FiniteMDP, policy: Policy, by_logit: np.ndarray) -> np.ndarray:
    """∂/∂θ [D] from ∂/∂logits [S, A]."""
    features = policy.features(np.eye(mdp.states, dtype=np.float32))
    theta = policy.theta.double().requires_grad_()
    logits = policy.parameters(torch.from_numpy(features).double(), theta)
    (gradient,) = torch.autograd.grad((logits * torch.from_numpy(by_logit)).sum(), theta)
    return gradient.numpy()


def slope_in_logits(pi: np.ndarray, state_weights: np.ndarray, q: np.ndarray) -> np.ndarray:
    """∂/∂logits of Σ_s w(s) Σ_a π(a|s) Q(s, a), the weights held still: [S, A]."""
    return state_weights[:, None] * pi * (q - (pi * q).sum(1, keepdims=True))


def exact_single_path(mdp: FiniteMDP, policy: Policy, discounted: bool) -> np.ndarray:
    """What single path's gradient estimates: at step t only HORIZON - t rewards are still to come."""
    pi = theory.tabulate(mdp, policy)
    states, q = twins.states_at(mdp, pi, HORIZON), twins.q_to_go(mdp, pi, HORIZON)
    weights = mdp.gamma ** np.arange(HORIZON) if discounted else np.ones(HORIZON)
    weights /= weights.sum()
    parts = [slope_in_logits(pi, weights[t] * states[t], q[HORIZON - t]) for t in range(HORIZON)]
    return gradient_of(mdp, policy, np.sum(parts, axis=0))


def exact_vine(mdp: FiniteMDP, policy: Policy, discounted: bool) -> np.ndarray:
    """What the vine's gradient estimates: states of trunks, ROLLOUT rewards from each."""
    pi = theory.tabulate(mdp, policy)
    weights = mdp.gamma ** np.arange(HORIZON) if discounted else np.ones(HORIZON)
    states = weights / weights.sum() @ twins.states_at(mdp, pi, HORIZON)
    return gradient_of(mdp, policy, slope_in_logits(pi, states, twins.q_to_go(mdp, pi, ROLLOUT)[-1]))


def by_single_path(mdp: FiniteMDP, learner: Learner, weighting: str) -> np.ndarray:
    """Gradients [REPEATS, D] of whole paths with Monte-Carlo returns (Eq. 14, q = π_old)."""
    sampler = SinglePathSampler(SimulatorPool(mdp, PATHS, 1), Streams(1))  # type: ignore[arg-type]
    config = SinglePath(
        steps_per_iteration=PATHS * HORIZON, advantage="monte_carlo", standardize=False, whole=True, horizon=HORIZON
    )

    def collect(iteration: int) -> Any:
        paths = sampler.trajectories(learner.policy, config, iteration, never)
        return single_path_batch(paths, learner, config, mdp.gamma, weighting)

    return gradients(learner.policy, collect)


def by_vine(mdp: FiniteMDP, learner: Learner, weighting: str = "equal", **settings: Any) -> np.ndarray:
    """Gradients [REPEATS, D] of vines whose rollout set is every state of their trunks."""
    sampler = VineSampler(Resources(mdp, find_task(mdp), 1, 1, Streams(2)))  # type: ignore[arg-type]
    config = Vine(
        trunks=3, trunk_length=HORIZON, states=3 * HORIZON, rollout_length=ROLLOUT, tail_value=False, **settings
    )
    return gradients(
        learner.policy,
        lambda iteration: sampler.collect(learner, config, Returns(mdp.gamma, weighting), iteration, never),
    )


def gradients(policy: Policy, collect: Callable[[int], Any]) -> np.ndarray:
    """One gradient an iteration, by the class that training uses."""
    return np.stack([Problem(policy, collect(i).batch).gradient().numpy() for i in range(1, REPEATS + 1)])


def worst_deviation(found: np.ndarray, exact: np.ndarray) -> float:
    """Largest |mean - exact| over parameters, in standard errors of the mean; 0 where neither moves."""
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    off = np.abs(found.mean(axis=0) - exact)
    return float((off / np.maximum(error, 1e-6 * np.abs(exact).max())).max())

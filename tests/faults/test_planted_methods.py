"""Faults in the compared methods, planted one at a time: each must make a check fail that the true code passes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from tests import reference
from trpolab.policies import DiagonalGaussian, Learner
from trpolab.training.config import Config
from trpolab.updates import Problem, fisher, kl_penalty, reward_weighted, step, trust_region

pytestmark = pytest.mark.reliability


def take(method: str, **settings):
    policy = reference.small_policy(hidden=())
    batch = reference.small_batch(policy, states=60)
    config = Config().replace(method=method, **{"delta": 0.01, "fisher_fraction": 1.0, **settings})
    learner, found = step(Learner(policy), batch, config, np.random.default_rng(0))
    assert found.outcome.accepted, found.message
    new = learner.policy.parameters(reference.features64(policy, batch.obs))
    kl = reference.torch_kl(policy.distribution, torch.from_numpy(batch.old), new)
    return policy, batch, learner, kl


def test_a_natural_gradient_that_is_rescaled_to_delta(monkeypatch: pytest.MonkeyPatch) -> None:
    """Truncated natural policy gradient: TRPO without its line search, which the paper's baseline is not."""

    def spent() -> float:
        return float(take("natural_gradient", **{"natural_gradient.step": 2.0})[3].mean())

    assert spent() > 0.05
    honest = trust_region.conjugate_gradient

    def rescaled(*given, **named):
        cg = honest(*given, **named)
        return dataclasses.replace(cg, x=cg.x * math.sqrt(0.02 / cg.curvature) / 2.0)

    monkeypatch.setattr(trust_region, "conjugate_gradient", rescaled)
    assert spent() < 0.05


def test_a_max_kl_that_tests_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    def breach() -> float:
        return float(take("max_kl", damping=0.0)[3].max()) - 0.01

    assert breach() <= 1e-9
    monkeypatch.setattr(Problem, "max_kl", Problem.mean_kl)
    monkeypatch.setattr(Problem, "largest_curvature", lambda self, v: float(v @ self.fisher()(v)))
    assert breach() > 1e-3


def uniform_error() -> float:
    """Distance of the empirical Fisher matrix under uniform q from the loop, as a share."""
    policy = reference.small_policy("categorical")
    batch = reference.small_batch(policy, states=30)
    drawn = np.random.default_rng(0).integers(0, 3, size=(30, 4))
    batch = dataclasses.replace(
        batch, actions=drawn, log_q=np.full((30, 4), -math.log(3)), q_values=drawn.astype(np.float64)
    )
    dense = reference.empirical_fisher(policy, batch)
    found = reference.matrix_of(Problem(policy, batch).fisher(kind="empirical"), policy.size)
    return float((found - dense).norm() / dense.norm())


def test_scores_of_another_proposal_without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    assert uniform_error() < 1e-9
    monkeypatch.setattr(fisher, "log_weights", lambda distribution, u, samples: torch.zeros_like(samples.log_q))
    assert uniform_error() > 0.05


def test_scores_that_carry_the_advantages(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = fisher.log_weights
    assert uniform_error() < 1e-9
    monkeypatch.setattr(
        fisher, "log_weights", lambda d, u, samples: honest(d, u, samples) + samples.q_values.abs().log1p()
    )
    assert uniform_error() > 0.05


def test_a_penalty_whose_kl_slope_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later ascents then only see L, and C·KL is no longer paid for."""

    def left() -> float:
        given = {"kl_penalty.coefficient": "fixed", "kl_penalty.penalty": 20.0, "kl_penalty.ascents": 60}
        policy, batch, learner, _ = take("kl_penalty", damping=1e-3, **given)
        at_end = learner.policy.theta

        def objective(theta: torch.Tensor) -> float:
            new = policy.parameters(reference.features64(policy, batch.obs), theta)
            kl = reference.torch_kl(policy.distribution, torch.from_numpy(batch.old), new).mean()
            return reference.surrogate_by_loops(policy, batch, theta) - 20.0 * float(kl)

        return float(reference.numeric_gradient(objective, at_end).norm())

    assert left() < 0.02
    monkeypatch.setattr(DiagonalGaussian, "kl_slope", lambda self, old, new: torch.zeros_like(new))
    assert left() > 0.05


def test_an_adaptive_penalty_that_turns_the_wrong_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def next_penalty() -> float:
        return float(take("kl_penalty", delta=1e-6, **{"kl_penalty.penalty": 4.0})[2].state[kl_penalty.STATE][0])

    assert next_penalty() > 4.0
    monkeypatch.setattr(kl_penalty, "BAND", 1e9)
    assert next_penalty() == 4.0


def test_a_regression_that_counts_all_actions_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain maximum likelihood of its own actions: the policy stays where it was."""

    def spread() -> float:
        return float(take("rwr", **{"rwr.temperature": 0.5, "rwr.steps": 10})[3].mean())

    honest = reward_weighted.regression_weights
    good = spread()
    monkeypatch.setattr(reward_weighted, "regression_weights", lambda begun, t: torch.ones_like(honest(begun, t)) / 60)
    assert spread() < good / 3  # all alike: nothing was learned from Q̂

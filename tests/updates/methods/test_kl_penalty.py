"""KL penalty: the maximum of L - C·KL."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests import reference
from tests.updates.methods.steps import KINDS, kl_of, update
from trpolab.sampling.batch import Estimator
from trpolab.settings import ConfigError
from trpolab.simulators import find_task
from trpolab.training.config import resolve
from trpolab.updates import Problem
from trpolab.updates.methods.kl_penalty import STATE


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("penalty", [30.0, 100.0])
def test_ends_where_the_penalised_objective_is_flat(kind: str, penalty: float) -> None:
    policy = reference.small_policy(kind)
    batch = reference.small_batch(policy, states=20)
    settings = {"kl_penalty.coefficient": "fixed", "kl_penalty.penalty": penalty, "kl_penalty.ascents": 300}
    learner, _ = update("kl_penalty", policy, batch, damping=1e-3, cg_iterations=50, **settings)
    x, actions = reference.features64(policy, batch.obs), torch.from_numpy(batch.actions[:, 0])
    log_q, q_values = torch.from_numpy(batch.log_q[:, 0]), torch.from_numpy(batch.q_values[:, 0])
    weights = torch.from_numpy(batch.weights / batch.weights.sum())

    def objective(theta: torch.Tensor) -> torch.Tensor:
        log_pi = reference.torch_log_prob(policy.distribution, policy.parameters(x, theta), actions)
        gained = (weights * (log_pi - log_q).exp() * q_values).sum()
        return gained - penalty * kl_of(policy, batch, theta).mean()

    at_start, at_end = (
        torch.autograd.functional.jacobian(objective, theta).norm() for theta in (policy.theta, learner.policy.theta)
    )
    assert objective(learner.policy.theta) > objective(policy.theta)
    assert float(at_end) < 0.03 * float(at_start)


def test_the_slope_is_that_of_the_loops() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=9, actions=2, estimator=Estimator.SELF_NORMALIZED)
    trunk = reference.small_batch(policy, states=7, seed=9)
    for other in (batch, dataclasses.replace(batch, constraint_obs=trunk.obs, constraint_old=trunk.old)):
        away = policy.theta + 0.1
        expected = reference.numeric_gradient(
            lambda t, b=other: reference.surrogate_by_loops(policy, b, t) - 2.5 * float(kl_of(policy, b, t).mean()),
            away,
        )
        assert torch.allclose(Problem(policy, other).penalized_slope(away, 2.5), expected, atol=1e-7)


def test_one_ascent_with_a_large_c_is_the_natural_gradient_with_lambda_c() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    given = {"kl_penalty.coefficient": "fixed", "kl_penalty.penalty": 1000.0, "kl_penalty.ascents": 1}
    penalised = update("kl_penalty", policy, batch, **given)[0].policy.theta
    natural = update("natural_gradient", policy, batch, **{"natural_gradient.step": 1e-3})[0].policy.theta
    assert torch.allclose(penalised, natural, rtol=1e-9)


@pytest.mark.parametrize(("delta", "factor"), [(1e-5, 2.0), (10.0, 0.5)])
def test_an_adaptive_c_turns_towards_delta(delta: float, factor: float) -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    spread = batch.q_values.std()
    learner, found = update("kl_penalty", policy, batch, delta=delta, **{"kl_penalty.penalty": 4.0})
    assert found.penalty == pytest.approx(4.0 * spread)
    assert learner.state[STATE].tolist() == pytest.approx([4.0 * factor])
    assert update("kl_penalty", policy, batch, state=learner.state)[1].penalty == pytest.approx(4.0 * factor * spread)


@pytest.mark.parametrize("scale", [2.0**-30, 2.0**30])
def test_an_adaptive_c_follows_the_unit_of_the_rewards(scale: float) -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    other = dataclasses.replace(batch, q_values=scale * batch.q_values)
    (one, _), (scaled, found) = (update("kl_penalty", policy, each) for each in (batch, other))
    assert torch.equal(one.policy.theta, scaled.policy.theta) and one.state == scaled.state
    assert found.kl_mean > 0


def test_the_theorys_c_allows_hardly_any_step() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    _, found = update("kl_penalty", policy, batch, gamma=0.99, **{"kl_penalty.coefficient": "theory"})
    largest = np.abs(batch.q_values - batch.q_values.mean()).max()
    assert found.penalty == pytest.approx((1 - 0.99) * 39_600 * largest)
    assert 0 < found.kl_mean < 1e-4


def test_the_theorys_c_needs_a_discount() -> None:
    with pytest.raises(ConfigError, match="gamma = 1"):
        resolve(
            find_task("CartPole-v1"),
            overrides={"method": "kl_penalty", "kl_penalty.coefficient": "theory", "gamma": 1.0},
        )

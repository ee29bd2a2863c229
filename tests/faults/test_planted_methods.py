"""Faults in the compared methods, planted one at a time: each must make a check fail that the true code passes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from tests import reference
from tests.faults.points import plant
from tests.reference import propose, step
from trpolab.policies import Learner
from trpolab.sampling.batch import Episodes
from trpolab.sampling.population import Population
from trpolab.training.config import Config
from trpolab.updates import Problem
from trpolab.updates.methods import kl_penalty, reps

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
    plant("a natural gradient rescaled to δ", monkeypatch)
    assert spent() < 0.05


def test_a_max_kl_that_tests_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    def breach() -> float:
        return float(take("max_kl", damping=0.0)[3].max()) - 0.01

    assert breach() <= 1e-9
    plant("a max KL that tests the mean", monkeypatch)
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
    plant("scores of another proposal without weights", monkeypatch)
    assert uniform_error() > 0.05


def test_scores_that_carry_the_advantages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert uniform_error() < 1e-9
    plant("scores that carry the advantages", monkeypatch)
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
    plant("a penalty whose KL slope is forgotten", monkeypatch)
    assert left() > 0.05


def test_an_adaptive_penalty_that_turns_the_wrong_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def next_penalty() -> float:
        return float(take("kl_penalty", delta=1e-6, **{"kl_penalty.penalty": 4.0})[2].state[kl_penalty.STATE][0])

    assert next_penalty() > 4.0
    plant("an adaptive penalty that does not adapt", monkeypatch)
    assert next_penalty() == 4.0


def test_a_regression_that_counts_all_actions_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain maximum likelihood of its own actions: the policy stays where it was."""

    def spread() -> float:
        return float(take("rwr", **{"rwr.temperature": 0.5, "rwr.steps": 10})[3].mean())

    good = spread()
    plant("a regression that counts all actions alike", monkeypatch)
    assert spread() < good / 3  # all alike: nothing was learned from Q̂


def missed_by_cem() -> float:
    """Distance of CEM's mean from an optimum ten starting deviations away, after 60 iterations."""
    learner = Learner(reference.small_policy(hidden=()))
    config = Config().replace(method="cem", **{"cem.noise": 1.0, "cem.noise_iterations": 30})
    for iteration in range(60):
        candidates = propose(learner, config, np.random.default_rng(iteration))
        returns = -np.abs(candidates - 10).sum(axis=1)
        episodes = Episodes(returns, np.ones(len(returns), np.int64))
        data = Population(candidates, returns, episodes, len(returns), 0.0)
        learner, _ = step(learner, data, config, np.random.default_rng(0))
    return float(np.abs(learner.state["cem.mean"] - 10).max())


def test_an_elite_of_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missed_by_cem() < 1.0
    plant("an elite of the worst", monkeypatch)
    assert missed_by_cem() > 5.0


def continues(method: str) -> bool:
    """Whether 6 iterations are the same as 3 and 3 more by a learner made anew from the state."""

    def run(learner: Learner, iterations: range) -> Learner:
        for iteration in iterations:
            config = Config().replace(method=method)
            candidates = propose(learner, config, np.random.default_rng(iteration))
            returns = -np.square(candidates - 1).sum(axis=1)
            data = Population(candidates, returns, Episodes(returns, np.ones(len(returns), np.int64)), 1, 0.0)
            learner, _ = step(learner, data, config, np.random.default_rng(iteration))
        return learner

    begin = Learner(reference.small_policy(hidden=()))
    whole, half = run(begin, range(6)), run(begin, range(3))
    resumed = run(Learner(half.policy, state={k: v.copy() for k, v in half.state.items()}), range(3, 6))
    return torch.equal(whole.policy.theta, resumed.policy.theta)


def test_a_stochastic_search_with_a_generator_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert continues("cem")
    plant("a search with a generator of its own", monkeypatch)
    assert not continues("cem")


def test_a_dual_that_is_not_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    returns = np.random.default_rng(0).normal(size=40)
    assert reps.reweight(returns, 0.5).kl == pytest.approx(0.5, rel=1e-6)
    plant("a dual that is not solved", monkeypatch)
    assert reps.reweight(returns, 0.5).kl == 0.0

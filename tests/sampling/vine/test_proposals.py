"""Proposals: where first actions come from, what log q says of them, and what the surrogate makes of it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from trpolab.policies import Categorical, DiagonalGaussian, FactoredCategorical
from trpolab.sampling.batch import Estimator
from trpolab.sampling.config import Vine
from trpolab.sampling.vine.proposals import different_indices, draw_first_actions
from trpolab.updates.surrogate import state_terms

# The running example of a four-armed state: soft-max of THETA, and Q.
THETA = np.array([1.2, -0.3, 0.1, -1.0])
Q = np.array([1.0, 3.0, -2.0, 0.5])
PI = np.exp(THETA) / np.exp(THETA).sum()
VALUE = PI @ Q
GRADIENT = PI * (Q - VALUE)  # ∂ Σ_a π(a) Q(a) / ∂θ


def spread_evenly(counts, expected=None):
    """Pearson's statistic within four standard deviations of its mean."""
    expected = counts.sum() / len(counts) if expected is None else expected
    freedom = len(counts) - 1
    return ((counts - expected) ** 2 / expected).sum() < freedom + 4 * math.sqrt(2 * freedom)


def normal_log_density(x, mean, std):
    return (
        torch.distributions.Normal(torch.tensor(mean), torch.tensor(std)).log_prob(torch.from_numpy(x)).sum(1).numpy()
    )


def rng(seed=0):
    return np.random.default_rng(seed)


def slope(actions, log_q, q_values, estimator):
    """Value and gradient in θ of the surrogate of one state at θ_old, by autograd in float64."""
    theta = torch.tensor(THETA, requires_grad=True)
    log_p = theta.log_softmax(0)[torch.as_tensor(np.array(actions))]
    log_w = (log_p - torch.as_tensor(np.array(log_q))).unsqueeze(0)
    value = state_terms(log_w, torch.as_tensor(np.array(q_values)).unsqueeze(0), estimator)[0]
    (gradient,) = torch.autograd.grad(value, theta)
    return value.item(), gradient.numpy()


def draw(distribution, u, seed=0, **settings):
    return draw_first_actions(distribution, np.asarray(u, np.float32), Vine(**settings), rng(seed))


@pytest.mark.reliability("R33")
def test_enumerating_gives_the_exact_value_and_gradient():
    first = draw(Categorical(4), THETA[None], proposal="all")
    assert first.estimator is Estimator.IMPORTANCE
    assert first.actions.tolist() == [[0, 1, 2, 3]]
    value, gradient = slope(first.actions[0], np.full(4, -math.log(4)), Q, first.estimator)
    assert np.allclose(first.log_q, -math.log(4))
    assert value == pytest.approx(VALUE, abs=1e-12)
    np.testing.assert_allclose(gradient, GRADIENT, atol=1e-12)


@pytest.mark.reliability("R33")
@pytest.mark.parametrize("k", [2, 3, 4])
def test_self_normalised_policy_draws_have_k_minus_1_over_k_of_the_gradient(k):
    """Exactly, by all 4^K outcomes of K independent draws from π_old."""
    total = np.zeros(4)
    for actions in itertools.product(range(4), repeat=k):
        chance = PI[list(actions)].prod()
        _, gradient = slope(actions, np.log(PI)[list(actions)], Q[list(actions)], Estimator.SELF_NORMALIZED)
        total += chance * gradient
    np.testing.assert_allclose(total, (k - 1) / k * GRADIENT, atol=1e-12)


@pytest.mark.reliability("R33")
@pytest.mark.parametrize("k", [1, 2, 3])
def test_plain_importance_of_different_uniform_actions_is_unbiased(k):
    """Exactly, by all ordered choices of K different actions."""
    choices = list(itertools.permutations(range(4), k))
    found = [slope(c, np.full(k, -math.log(4)), Q[list(c)], Estimator.IMPORTANCE) for c in choices]
    assert np.mean([value for value, _ in found]) == pytest.approx(VALUE, abs=1e-12)
    np.testing.assert_allclose(np.mean([gradient for _, gradient in found], axis=0), GRADIENT, atol=1e-12)


def uniform_error(k, log_q_of=lambda actions: np.full(len(actions), -math.log(4))):
    """Distance of the mean self-normalised value from the truth, over all choices of K different actions."""
    choices = list(itertools.combinations(range(4), k))
    values = [slope(c, log_q_of(list(c)), Q[list(c)], Estimator.SELF_NORMALIZED)[0] for c in choices]
    return abs(np.mean(values) - VALUE)


@pytest.mark.reliability("R33")
def test_self_normalised_uniform_draws_are_consistent_and_those_over_the_old_policy_are_not():
    errors = [uniform_error(k) for k in (2, 3, 4)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-12
    wrong = [uniform_error(k, lambda actions: np.log(PI)[actions]) for k in (2, 3, 4)]
    assert wrong[2] == pytest.approx(abs(Q.mean() - VALUE))  # the plain mean of Q, whatever K


@pytest.mark.parametrize("proposal", ["policy", "uniform", "all"])
def test_a_constant_added_to_the_q_of_a_state_changes_no_gradient(proposal):
    first = draw(Categorical(4), THETA[None], proposal=proposal, actions=3)
    actions, log_q = first.actions[0], first.log_q[0].astype(float)
    _, gradient = slope(actions, log_q, Q[actions], first.estimator)
    _, moved = slope(actions, log_q, Q[actions] + 1000.0, first.estimator)
    np.testing.assert_allclose(moved, gradient, atol=1e-9)


def test_policy_draws_carry_the_policys_log_probability():
    u = np.tile(THETA, (20_000, 1))
    first = draw(Categorical(4), u, actions=2)
    assert first.estimator is Estimator.SELF_NORMALIZED
    np.testing.assert_allclose(first.log_q, np.log(PI)[first.actions], rtol=1e-5)
    counts = np.bincount(first.actions.ravel(), minlength=4)
    assert spread_evenly(counts, PI * counts.sum())


def test_gaussian_draws_and_widened_ones():
    u = np.array([[0.5, -1.0, math.log(0.3), math.log(0.7)]]).repeat(4000, axis=0)
    plain, wide = (draw(DiagonalGaussian(2), u, proposal=p, actions=4, widening=2.0) for p in ("policy", "widened"))
    for first, factor in ((plain, 1.0), (wide, 2.0)):
        flat = first.actions.reshape(-1, 2)
        expected = normal_log_density(flat, [0.5, -1.0], [0.3 * factor, 0.7 * factor])
        np.testing.assert_allclose(first.log_q.ravel(), expected, atol=1e-4)
        np.testing.assert_allclose(flat.std(axis=0), np.array([0.3, 0.7]) * factor, rtol=0.03)
        np.testing.assert_allclose(flat.mean(axis=0), [0.5, -1.0], atol=0.03)
    # E_q[π/q] = 1: q covers π
    ratio = normal_log_density(wide.actions.reshape(-1, 2), [0.5, -1.0], [0.3, 0.7]) - wide.log_q.ravel()
    assert np.exp(ratio).mean() == pytest.approx(1, abs=0.03)


def test_widened_logits_are_flatter_and_nothing_is_left_out():
    wide = Categorical(4).widened(THETA[None].astype(np.float32), 2.0)
    probabilities = np.exp(wide[0]) / np.exp(wide[0]).sum()
    np.testing.assert_allclose(probabilities, np.sqrt(PI) / np.sqrt(PI).sum(), rtol=1e-6)


@pytest.mark.parametrize("proposal", ["policy", "widened", "uniform", "all"])
def test_no_proposal_leaves_out_an_action_that_the_policy_takes(proposal):
    distribution = FactoredCategorical((2, 3))
    u = rng(1).normal(size=(4000, 5))
    first = draw(distribution, u, proposal=proposal, actions=4)
    assert np.isfinite(first.log_q).all()
    seen = {tuple(action) for action in first.actions.reshape(-1, 2).tolist()}
    assert seen == set(itertools.product(range(2), range(3)))


def test_uniform_draws_differ_within_a_state_and_are_uniform_in_every_place():
    first = draw(Categorical(5, start=3), np.zeros((6000, 5)), proposal="uniform", actions=3)
    assert all(len(set(row)) == 3 for row in first.actions.tolist())
    assert np.allclose(first.log_q, -math.log(5))
    for place in range(3):
        counts = np.bincount(first.actions[:, place] - 3, minlength=5)
        assert spread_evenly(counts)


def test_uniform_enumerates_once_k_reaches_all_actions():
    few, enough, more = (draw(Categorical(3), np.zeros((2, 3)), proposal="uniform", actions=k) for k in (2, 3, 8))
    assert few.estimator is Estimator.SELF_NORMALIZED
    for first in (enough, more):
        assert first.actions.tolist() == [[0, 1, 2]] * 2
        assert first.estimator is Estimator.IMPORTANCE


def test_every_pair_of_different_numbers_is_equally_likely():
    found = different_indices(rng(), 12_000, 2, 4)
    counts = np.bincount(found[:, 0] * 4 + found[:, 1], minlength=16).reshape(4, 4)
    assert np.diag(counts).sum() == 0
    assert spread_evenly(counts[~np.eye(4, dtype=bool)])


def test_joint_actions_of_factors_count_every_combination_once():
    distribution = FactoredCategorical((2, 3), start=(0, 5))
    assert distribution.action_count == 6
    assert distribution.joint_action(np.arange(6)).tolist() == [[0, 5], [0, 6], [0, 7], [1, 5], [1, 6], [1, 7]]
    first = draw(distribution, np.zeros((2, 5)), proposal="all")
    assert first.actions.shape == (2, 6, 2)
    assert np.allclose(first.log_q, -math.log(6))


def test_enumerating_continuous_actions_is_refused():
    with pytest.raises(ValueError, match="proposal = 'all': continuous actions can't be enumerated"):
        draw(DiagonalGaussian(1), np.zeros((1, 2)), proposal="all")


def test_the_plain_estimator_can_be_asked_for():
    first = draw(Categorical(4), THETA[None], estimator="importance", actions=1)
    assert first.estimator is Estimator.IMPORTANCE
    assert first.actions.shape == (1, 1)

"""Exact values against sums over time; and what is no policy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.theory import twins
from trpolab import theory
from trpolab.policies import make_policy
from trpolab.policies.config import PolicyConfig
from trpolab.simulators import find_task
from trpolab.theory import FiniteMDP


def test_eta_is_the_discounted_sum_of_rewards() -> None:
    for mdp, old, _ in twins.random_cases(40, seed=1):
        assert theory.eta(mdp, old) == pytest.approx(twins.eta_by_steps(mdp, old, twins.steps_for(mdp.gamma)), abs=1e-9)


def test_q_and_advantage_follow_their_definitions() -> None:
    for mdp, old, _ in twins.random_cases(30, seed=2):
        values = theory.evaluate(mdp, old)
        q = twins.q_to_go(mdp, old, twins.steps_for(mdp.gamma))[-1]
        np.testing.assert_allclose(values.q, q, atol=1e-9)
        np.testing.assert_allclose(values.v, (old * q).sum(1) * mdp.living, atol=1e-9)
        np.testing.assert_allclose(values.advantages, values.q - values.v[:, None], atol=0)
        np.testing.assert_allclose((old * values.advantages).sum(1), 0, atol=1e-9)


def test_visits_are_unnormalised_and_leave_out_where_it_is_over() -> None:
    for mdp, old, _ in twins.random_cases(30, seed=3):
        steps = twins.steps_for(mdp.gamma)
        expected = mdp.gamma ** np.arange(steps) @ twins.states_at(mdp, old, steps)
        visits = theory.evaluate(mdp, old).visits
        np.testing.assert_allclose(visits[mdp.living], expected[mdp.living], atol=1e-9)
        assert (visits[mdp.terminal] == 0).all()
        if not mdp.terminal.any():
            assert visits.sum() == pytest.approx(1 / (1 - mdp.gamma))
        assert theory.evaluate(mdp, old).state_weights.sum() == pytest.approx(1)


def test_a_reward_of_the_state_is_earned_in_the_state() -> None:
    """The paper's r(s): η = E Σ γ^t r(s_t), the first state's included."""
    mdp = FiniteMDP(np.array([[[0.0, 1.0]], [[0.0, 1.0]]]), np.array([5.0, 1.0]), np.array([1.0, 0.0]), 0.5)
    assert theory.eta(mdp, np.ones((2, 1))) == pytest.approx(5 + 0.5 / (1 - 0.5))


def test_without_a_discount_an_episode_that_ends_has_a_return() -> None:
    """Two cells, a step succeeds with probability ¾ · p(right): its number of steps is geometric."""
    mdp = theory.gridworld(1, 2, slip=0.0, gamma=1.0)
    policy = np.array([[0.25, 0.5, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]])
    assert theory.eta(mdp, policy) == pytest.approx(-2)
    assert theory.evaluate(mdp, policy).visits[0] == pytest.approx(2)


def test_without_a_discount_a_policy_that_never_ends_is_refused() -> None:
    mdp = theory.gridworld(2, 2, slip=0.0, gamma=1.0)
    with pytest.raises(ValueError, match=r"gamma = 1: under this policy no terminal state is reached from state 0"):
        theory.eta(mdp, np.tile([1.0, 0, 0, 0], (4, 1)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda p: p[:, :1], r"policy: shape \(8, 1\), must be \(8, 2\)"),
        (lambda p: p * 0.9, r"policy\[0\] sums to 0.9: probabilities must be >= 0 and sum to 1"),
        (lambda p: p + np.array([-1, 1]), r"policy\[0\] holds -0.5"),
        (lambda p: p * np.nan, r"policy\[0\] holds nan"),
    ],
)
def test_what_is_no_policy_is_refused_in_a_sentence(change, told) -> None:
    mdp = theory.chain(8)
    with pytest.raises(ValueError, match=told):
        theory.evaluate(mdp, change(theory.uniform_policy(mdp)))


class TestTabulate:
    def test_it_is_what_the_policy_says_in_each_state(self) -> None:
        task, mdp = find_task("finite/chain-8"), theory.finite_mdp("finite/chain-8")
        config = PolicyConfig(hidden=(5,), normalize_observations=False, output_scale=2.0)
        policy = make_policy(task.observation_space, task.action_space, config, np.random.default_rng(0))
        table = theory.tabulate(mdp, policy)
        noise = np.random.default_rng(1).random((20_000, 1))
        for state in (0, 5):
            obs = np.tile(np.eye(8, dtype=np.float32)[state], (20_000, 1))
            u = policy.actor(20_000).parameters(obs)
            drawn = policy.distribution.sample_from(u, noise)
            assert drawn.mean() == pytest.approx(table[state, 1], abs=0.02)

    def test_a_policy_of_another_task_is_refused(self) -> None:
        task = find_task("CartPole-v1")
        policy = make_policy(task.observation_space, task.action_space, PolicyConfig(), np.random.default_rng(0))
        with pytest.raises(ValueError, match=r"observes \(4,\).*finite/chain-8 has 8 states, one-hot, and 2 actions"):
            theory.tabulate(theory.chain(8), policy)

"""Branches that end where chance outweighs their first action: what is measured, and what is rolled out then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.sampling.vine.checks import GAMMA, SMALL, Setting, finite
from tests.sampling.vine.test_every_step import with_value
from trpolab.sampling.sampler import Returns
from trpolab.sampling.vine.adaptive import agreement, cut, length_that_tells, q_by_length
from trpolab.sampling.vine.sampler import q_values
from trpolab.settings import ConfigError
from trpolab.simulators import find_task
from trpolab.training.config import cost, resolve
from trpolab.training.session import Session

ADAPTIVE = replace(SMALL, actions=4, states=9, adaptive_length=True)
EVERY = replace(SMALL, learn_from="all")  # whose branches keep their steps


def test_agreement_is_the_share_of_signal():
    """Q̂ = signal + noise of known variances, whatever each state has besides: signal² / (signal² + noise²)."""
    rng = np.random.default_rng(0)
    signal, offset = rng.normal(size=(1, 4000, 4)), 50 * rng.normal(size=(1, 4000, 1))
    noise = np.array([0.0, 0.5, 1.0, 2.0])[:, None, None]
    one, other = (signal + offset + noise * rng.normal(size=(4, 4000, 4)) for _ in range(2))
    np.testing.assert_allclose(agreement(one, other), [1, 0.8, 0.5, 0.2], atol=0.02)
    np.testing.assert_array_equal(agreement(np.ones((2, 3, 4)), np.ones((2, 3, 4))), 1)  # nothing has varied yet


@pytest.mark.parametrize(
    ("share", "length"),
    [([1, 0.9, 0.6, 0.4, 0.2], 3), ([1, 0.6, 0.4, 0.9], 2), ([0.9] * 5, 5), ([0.2, 0.1], 1)],
)
def test_a_branch_goes_on_until_noise_exceeds_signal(share, length):
    assert length_that_tells(np.array(share)) == length


@pytest.mark.parametrize("task", ["Hopper-v5", "CartPole-v1"])
@pytest.mark.parametrize("tail", [True, False])
def test_each_length_is_as_if_branches_had_been_rolled_out_so_far(task, tail):
    """Against branches that really had this horizon, some of which the task ends."""
    horizon = 25
    with Setting(task, sampler="vine") as setting:
        with_value(setting)
        if tail:  # a value function that was fitted
            setting.learner = Session(task, out=None, iterations=1, sampler="vine").run().learner
        policy, value = setting.learner.policy, setting.learner.value if tail else None
        _, roots = setting.roots()
        first = setting.first(roots)
        whole = setting.roll_out(roots, first, replace(EVERY, rollout_length=horizon))
        found = q_by_length(whole.rolled, policy, value, GAMMA, horizon)
        for length in (1, 2, 9, 24, 25):
            short = setting.roll_out(roots, first, replace(SMALL, rollout_length=length))
            np.testing.assert_allclose(
                found[length - 1][whole.of],
                q_values(short, policy, value, GAMMA),
                rtol=1e-5,
                atol=1e-9,  # V is float32
            )
            trimmed = cut(whole.rolled, length, GAMMA)
            for name in ("lengths", "terminated", "unstable", "last_obs"):
                np.testing.assert_array_equal(getattr(trimmed, name), getattr(short.rolled, name))
            np.testing.assert_allclose(trimmed.returns, short.rolled.returns, rtol=1e-12)
            assert trimmed.sim_steps == whole.rolled.sim_steps, "what was played is paid for"


def test_the_states_rolled_out_are_those_of_a_vine_with_the_length_that_was_found():
    with Setting("Hopper-v5", sampler="vine") as setting:
        with_value(setting)
        found = setting.sample(ADAPTIVE).batch
        _, roots = setting.roots(ADAPTIVE)
        first = setting.first(roots, ADAPTIVE)
        rollouts = setting.roll_out(roots, first, ADAPTIVE)
        length = int(rollouts.rolled.lengths[rollouts.of].max())
        plain = setting.roll_out(roots, first, replace(ADAPTIVE, adaptive_length=False, rollout_length=length))
        np.testing.assert_allclose(setting.q(rollouts), setting.q(plain), rtol=1e-12)
        pilots, k = len(ADAPTIVE.pilots), ADAPTIVE.actions
        assert len(rollouts.state) == (len(roots) + pilots) * k
        most = (2 * pilots * SMALL.rollout_length + (len(roots) - pilots) * length) * k
        assert plain.rolled.sim_steps < rollouts.rolled.sim_steps <= most
    assert found.log_q.shape == (ADAPTIVE.states, k)
    assert found.paths.branches == (ADAPTIVE.states + pilots) * k


def test_futures_differ_and_noise_cuts_branches_short():
    """On a noisy ring of three states the first action is forgotten within a few steps."""
    vine = replace(ADAPTIVE, actions=2, proposal="all", states=400, trunks=10, rollout_length=40)
    with Setting(finite, sampler="vine") as setting:
        _, roots = setting.roots(vine)
        rollouts = setting.roll_out(roots, setting.first(roots, vine), vine)
    assert 1 <= rollouts.rolled.lengths[rollouts.of].max() < 10


@pytest.mark.parametrize("learn_from", ["first", "trunks", "all"])
def test_it_learns_with_every_other_option(learn_from):
    given = {"vine.adaptive_length": True, "vine.choose": "advantage", "vine.learn_from": learn_from, "vine.states": 9}
    given |= {"vine.trunks": 2, "vine.trunk_length": 60, "vine.rollout_length": 20, "iterations": 3}
    session = Session("Hopper-v5", out=None, sampler="vine", **given)
    most = cost(session.config, session.task)
    for done in session.iterate():
        assert done.diagnostics.outcome.accepted
        assert done.batch.sim_steps <= most


def test_the_batch_does_not_depend_on_threads():
    batches = []
    for threads in (1, 3):
        with Setting("Hopper-v5", threads=threads, sampler="vine") as setting:
            with_value(setting)
            vine = replace(ADAPTIVE, learn_from="all", choose="advantage")
            batches.append(setting.sampler.collect(setting.learner, vine, Returns(GAMMA), 1, lambda: False).batch)
    for name in ("obs", "actions", "log_q", "q_values", "weights", "path", "t", "constraint_obs"):
        np.testing.assert_array_equal(*(getattr(batch, name) for batch in batches))


def test_one_action_a_state_is_refused():
    given = {"sampler": "vine", "vine.actions": 1, "vine.adaptive_length": True, "vine.estimator": "importance"}
    with pytest.raises(ConfigError, match=r"vine\.actions = 1: vine.adaptive_length compares"):
        resolve(find_task("Hopper-v5"), overrides=given)

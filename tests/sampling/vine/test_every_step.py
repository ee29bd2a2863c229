"""A vine that learns from every step: its estimates against exact gradients, its rows against what was played."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.sampling.vine.checks import GAMMA, SMALL, Setting
from tests.sampling.vine.test_proposals import GRADIENT, PI, THETA, Q, rng, slope
from trpolab.policies import Categorical, make_value
from trpolab.sampling.batch import Estimator
from trpolab.sampling.config import Vine
from trpolab.sampling.sampler import Returns
from trpolab.sampling.vine.budget import states_kept
from trpolab.sampling.vine.every_step import against_others
from trpolab.sampling.vine.proposals import draw_first_actions
from trpolab.settings import ConfigError
from trpolab.simulators import find_task
from trpolab.training.config import resolve
from trpolab.training.session import Session

ALL = replace(SMALL, actions=4, learn_from="all")


def with_value(setting: Setting) -> None:
    """The learner of a setting is given a value function."""
    value = make_value(setting.learner.policy.network.inputs, setting.config.value, rng())
    setting.learner = replace(setting.learner, value=value)


@pytest.mark.parametrize(
    ("proposal", "settings"),
    [
        ("policy", {"actions": 2}),
        ("policy", {"actions": 4, "antithetic": True}),
        ("widened", {"actions": 3, "widening": 1.5}),
        ("uniform", {"actions": 2}),
        ("all", {}),
    ],
)
def test_a_baseline_of_the_other_actions_adds_no_bias(proposal, settings):
    """The mean gradient over many draws is the exact one, whatever offset Q has."""
    vine, count = Vine(proposal=proposal, **settings), 60_000
    u = np.tile(THETA.astype(np.float32), (count, 1))
    first = draw_first_actions(Categorical(4), u, vine, rng())
    found = []
    for offset in (0.0, 50.0):
        q = against_others(Q[first.actions] + offset, vine, 4)
        weight = np.exp(np.log(PI)[first.actions] - first.log_q)
        per_action = np.eye(4)[first.actions] - PI  # the gradient of log π
        found.append((weight * q)[..., None] * per_action)
        one = slope(first.actions[0], first.log_q[0], q[0], Estimator.IMPORTANCE)[1]
        np.testing.assert_allclose(found[-1][0].mean(axis=0), one, atol=1e-5)
    np.testing.assert_allclose(*found, atol=1e-4)
    gradients = found[0].mean(axis=1)
    error = gradients.std(axis=0) / np.sqrt(count)
    assert (np.abs(gradients.mean(axis=0) - GRADIENT) < 4 * error + 1e-5).all()


def test_antithetic_pairs_lie_on_both_sides_of_the_mean_and_each_draw_is_from_the_policy():
    with Setting("Hopper-v5") as setting:
        _, roots = setting.roots()
        distribution, old = setting.learner.policy.distribution, setting.learner.policy.actor(8).evaluate(roots.obs)
        old = np.repeat(old[:1], 4000, axis=0)
        vine = replace(SMALL, actions=4, antithetic=True)
        actions = draw_first_actions(distribution, old, vine, rng()).actions
    mean, std = old[0, :3], np.exp(old[0, 3:])
    np.testing.assert_allclose(actions[:, :2] + actions[:, 2:], np.broadcast_to(2 * mean, (4000, 2, 3)), atol=1e-5)
    for k in range(4):
        scaled = (actions[:, k] - mean) / std
        assert np.abs(scaled.mean(axis=0)).max() < 0.07 and np.abs(scaled.std(axis=0) - 1).max() < 0.05


def test_an_antithetic_draw_of_a_discrete_action_has_its_probability():
    vine = Vine(actions=4, antithetic=True)
    actions = draw_first_actions(Categorical(4), np.tile(THETA.astype(np.float32), (40_000, 1)), vine, rng()).actions
    for k in range(4):
        np.testing.assert_allclose(np.bincount(actions[:, k], minlength=4) / 40_000, PI, atol=0.012)
    assert np.corrcoef(actions[:, 0], actions[:, 2])[0, 1] < -0.2


@pytest.mark.parametrize("task", ["Hopper-v5", "CartPole-v1"])
@pytest.mark.parametrize("learn_from", ["trunks", "all"])
def test_each_step_that_was_played_is_a_sample_once(task, learn_from):
    vine = replace(ALL, learn_from=learn_from)
    with Setting(task, sampler="vine") as setting:
        with_value(setting)
        collected = setting.sample(vine)
        plain = setting.sample(replace(vine, learn_from="first")).batch
        trunks, roots = setting.roots(vine)
        rollouts = setting.roll_out(roots, setting.first(roots, vine), vine)
    batch, n, k, length = collected.batch, *plain.log_q.shape, SMALL.trunks * SMALL.trunk_length
    lengths = plain.sim_steps - length  # of all branches, each run once
    branches = lengths if learn_from == "all" else 0
    assert len(collected.observed) == length + branches == len(collected.targets)
    assert batch.log_q.shape[1] == 1 and batch.estimator is Estimator.IMPORTANCE
    distinct = branches and len(rollouts.state)  # their first steps are samples as actions of their states
    assert len(batch.log_q) == n * k + length + branches - distinct
    np.testing.assert_array_equal(batch.actions[: n * k, 0], plain.actions.reshape(n * k, *plain.actions.shape[2:]))
    np.testing.assert_array_equal(batch.actions[n * k : n * k + length, 0], trunks.actions)
    np.testing.assert_array_equal(batch.obs[n * k : n * k + length], trunks.obs)
    assert batch.sim_steps == plain.sim_steps
    assert abs(batch.q_values.mean()) < 1e-9 and batch.q_values.std() == pytest.approx(1)


def test_the_steps_of_branches_add_up_to_what_they_earned():
    with Setting("CartPole-v1", sampler="vine") as setting:
        vine = replace(ALL, rollout_length=30)
        _, roots = setting.roots(vine)
        rolled = setting.roll_out(roots, setting.first(roots, vine), vine).rolled
    steps = rolled.steps
    np.testing.assert_array_equal(steps.path, np.arange(len(rolled.returns)))
    np.testing.assert_array_equal(np.diff(steps.start), rolled.lengths)
    np.testing.assert_array_equal(steps.terminated, rolled.terminated)
    earned = np.add.reduceat(steps.rewards * GAMMA**steps.t, steps.start[:-1])
    np.testing.assert_allclose(earned, rolled.returns, rtol=1e-12)


def test_the_batch_does_not_depend_on_threads():
    batches = []
    for threads in (1, 3):
        with Setting("Hopper-v5", threads=threads, sampler="vine") as setting:
            with_value(setting)
            batches.append(setting.sampler.collect(setting.learner, ALL, Returns(GAMMA), 1, lambda: False).batch)
    for name in ("obs", "actions", "log_q", "q_values", "path", "t", "constraint_obs"):
        np.testing.assert_array_equal(*(getattr(batch, name) for batch in batches))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"vine.antithetic": True, "vine.actions": 3}, "vine.actions = 3: antithetic"),
        ({"vine.antithetic": True, "vine.actions": 2}, "vine.actions = 2: antithetic"),
        ({"vine.learn_from": "all", "vine.tail_value": False}, "vine.learn_from = 'all': GAE needs the value function"),
        ({"vine.learn_from": "trunks", "vine.actions": 1}, "vine.actions = 1: vine.learn_from = 'trunks' compares"),
    ],
)
def test_what_can_not_be_is_refused(settings, told):
    with pytest.raises(ConfigError, match=told.replace("(", r"\(")):
        resolve(find_task("Hopper-v5"), overrides={"sampler": "vine", **settings})


def test_the_frames_of_games_are_counted_before_they_are_kept():
    pytest.importorskip("ale_py")
    vine = {"trunks": 2, "trunk_length": 40, "states": 4, "actions": 3, "rollout_length": 8, "learn_from": "all"}
    settings = {f"vine.{name}": value for name, value in vine.items()} | {"vine.tail_value": True}
    session = Session(
        "ALE/Breakout-v5", out=None, iterations=1, sampler="vine", proposal="uniform", threads=1, **settings
    )
    (done,) = session.iterate()
    promised, named = states_kept(session.config.vine, session.task)
    assert 0.9 * promised < len(done.batch.obs.frames) <= promised
    assert "vine.learn_from = all" in named

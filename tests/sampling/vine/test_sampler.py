"""The vine: what it restores, draws, shares, counts and refuses, against exact values where there are any."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from tests.sampling.vine import checks
from tests.sampling.vine.checks import GAMMA, SMALL, FiniteEnv, Setting, factored, finite
from trpolab.sampling.batch import Estimator
from trpolab.sampling.config import Vine
from trpolab.sampling.errors import Interrupted, NonFinite
from trpolab.sampling.sampler import Returns
from trpolab.sampling.vine.branches import BranchPlan, draw_noise, run_branches
from trpolab.sampling.vine.budget import branches_per_state, vine_cost
from trpolab.sampling.vine.common_random_numbers import noise_ratio
from trpolab.sampling.vine.proposals import FirstActions
from trpolab.sampling.vine.trunks import choose_states
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.settings import ConfigError
from trpolab.simulators import find_task, make
from trpolab.simulators.base import Transition
from trpolab.training.config import cost, resolve
from trpolab.training.loop import start_learner
from trpolab.training.session import Session, train
from trpolab.updates import Outcome
from trpolab.updates.checks import unusable

ENUMERATED = replace(SMALL, proposal="all")


def batches_equal(one, two):
    names = ("obs", "actions", "log_q", "q_values", "path", "t", "old", "constraint_obs", "constraint_old")
    return all(np.array_equal(getattr(one, name), getattr(two, name)) for name in names)


# Restoring


@pytest.mark.reliability("R18")
@pytest.mark.parametrize("task", ["Hopper-v5", "Walker2d-v5", "paper/Swimmer", "InvertedPendulum-v5", "CartPole-v1"])
def test_a_branch_that_repeats_the_trunk_is_the_trunk(task):
    """Restore every chosen state and play the trunk's own next actions: its rewards come back bit for bit."""
    with Setting(task) as setting:
        trunks, roots = setting.roots()
        simulator = setting.sampler.branch_pool(SMALL.states).simulators[0]
        space = simulator.action_space
        assert len(trunks) == SMALL.trunks * SMALL.trunk_length
        for n in range(len(roots)):
            row = int(roots.trunk[n]) * SMALL.trunk_length + int(roots.step[n])  # pieces lie trunk after trunk
            end = trunks.start[np.searchsorted(trunks.start, row, side="right")]
            slot = np.array([n % simulator.width])
            obs = simulator.restore(slot, roots.snapshot.take([n]))
            np.testing.assert_array_equal(obs[0], trunks.obs[row])
            np.testing.assert_array_equal(roots.obs[n], trunks.obs[row])
            assert roots.t[n] == trunks.t[row]
            for at in range(row, min(row + 10, end)):
                action = trunks.actions[at : at + 1]
                action = np.clip(action, space.low, space.high) if action.ndim > 1 else action
                assert simulator.step(slot, action).reward[0] == trunks.rewards[at]


@pytest.mark.reliability("R18")
def test_restoring_forgets_nothing():
    for task in ("Walker2d-v5", "CartPole-v1"):
        assert checks.replay_difference(task) == 0
    assert checks.steps_to_the_limit() == 10


def test_a_branch_takes_no_more_steps_than_the_task_has():
    with Setting("CartPole-v1") as setting:
        batch = setting.sample(replace(ENUMERATED, rollout_length=100_000)).batch
        assert batch.paths.branch_length <= 500


def test_uniform_draws_carry_their_own_probability():
    assert checks.uniform_log_q_error() < 1e-6


def test_fewer_branches_than_blocks():
    with Setting("CartPole-v1") as setting:
        expected = setting.sample(replace(ENUMERATED, states=1)).batch
        pool = SimulatorPool("CartPole-v1", 8, threads=1, width=2)
        setting.sampler.branch_pool = lambda branches: pool
        batch = setting.sample(replace(ENUMERATED, states=1)).batch  # two branches for four blocks
        pool.close()
        np.testing.assert_array_equal(batch.q_values, expected.q_values)


# Where branches start


def test_the_rollout_set_is_drawn_uniformly_without_replacement():
    streams = Setting("CartPole-v1").sampler.streams
    counts = np.zeros(60)
    for iteration in range(600):
        chosen = choose_states(streams, iteration, 3, 20, 15)
        assert len(set(chosen.tolist())) == 15
        counts[chosen] += 1
    assert abs(counts - 150).max() < 5 * np.sqrt(150 * 0.75)


def test_a_stratified_rollout_set_leaves_no_part_of_a_trunk_out():
    streams = Setting("CartPole-v1").sampler.streams
    counts = np.zeros(60)
    for iteration in range(600):
        chosen = choose_states(streams, iteration, 3, 20, 15, "stratified")
        np.testing.assert_array_equal(chosen // 4, np.arange(15))  # one in each stretch of four
        counts[chosen] += 1
    assert abs(counts - 150).max() < 5 * np.sqrt(150 * 0.75)
    for states in (1, 7, 59, 60):  # also where the stretches can't be equally long
        chosen = choose_states(streams, 0, 3, 20, states, "stratified")
        assert len(set(chosen.tolist())) == states and chosen.min() >= 0 and chosen.max() < 60


def test_the_sampler_chooses_as_it_is_told():
    with Setting("CartPole-v1") as setting:
        vine = replace(ENUMERATED, trunks=2, trunk_length=40, states=80, choose="stratified")
        batch = setting.sample(vine).batch  # as many stretches as steps: every state is chosen
        np.testing.assert_array_equal(batch.obs, batch.constraint_obs)


def test_trunks_are_refilled_and_all_their_states_carry_the_constraint():
    with Setting("CartPole-v1") as setting:
        vine = replace(ENUMERATED, trunks=3, trunk_length=200)
        batch = setting.sample(vine).batch
        assert len(batch.constraint_obs) == len(batch.constraint_old) == 600
        assert len(batch.obs) == vine.states
        assert len(batch.episodes.returns) > 10, "an untrained pole falls after some 20 steps"
        np.testing.assert_array_equal(batch.episodes.returns, batch.episodes.lengths)
        seen = {row.tobytes() for row in batch.constraint_obs}
        assert all(row.tobytes() in seen for row in batch.obs)
        u = setting.learner.policy.parameters(setting.learner.policy.features(batch.constraint_obs))
        np.testing.assert_allclose(batch.constraint_old, u.detach().numpy(), atol=1e-6)


# Estimates


def exact_q(policy, horizon):
    """Q_H [S, A] of FiniteEnv under a policy, by H sweeps."""
    one_hot = np.eye(3, dtype=np.float32)
    pi = torch.softmax(policy.parameters(policy.features(one_hot)), dim=1).detach().numpy().astype(float)
    value = np.zeros(3)
    for _ in range(horizon):
        q = FiniteEnv.REWARD + GAMMA * FiniteEnv.MOVES @ value
        value = (pi * q).sum(1)
    return q, pi


@pytest.mark.reliability("R33")
@pytest.mark.parametrize("common", [True, False])
def test_branches_estimate_the_exact_action_values_of_the_old_policy(common):
    """Enumerated on a noisy chain whose policy is far from uniform: only the first action is q's."""
    horizon = 6
    vine = Vine(trunks=4, trunk_length=250, states=250, rollout_length=horizon, proposal="all",
                common_random_numbers=common)  # fmt: skip
    with Setting(finite, **{"policy.output_scale": 2.0}) as setting:
        q, pi = exact_q(setting.learner.policy, horizon)
        assert abs(pi - 0.5).max() > 0.1
        batches = [setting.sample(vine, iteration).batch for iteration in (1, 2)]
    states = np.concatenate([batch.obs.argmax(1) for batch in batches])
    found = np.concatenate([batch.q_values for batch in batches])
    for state in range(3):
        rows = found[states == state]
        error = 4.5 * rows.std(axis=0) / np.sqrt(len(rows))
        assert (abs(rows.mean(axis=0) - q[state]) < error).all(), (state, rows.mean(axis=0), q[state])
    assert batches[0].estimator is Estimator.IMPORTANCE


def test_the_discounted_sum_starts_at_the_branch_and_ends_with_the_task():
    with Setting(factored) as setting:
        vine = replace(SMALL, trunks=2, trunk_length=30, states=12, rollout_length=4, proposal="all")
        batch = setting.sample(vine).batch
        assert batch.q_values.shape == (12, 6)
        # the first reward is 10·a_0 + a_1; what follows is shared by the six branches of a state
        rest = batch.q_values - (10 * batch.actions[:, :, 0] + batch.actions[:, :, 1])
        np.testing.assert_allclose(rest, rest[:, :1].repeat(6, axis=1), atol=1e-9)
        np.testing.assert_allclose(rest[batch.t == 9], 0, atol=1e-12)
        assert (rest[batch.t < 9] >= 0).all()


@pytest.mark.reliability("R33")
def test_a_tail_value_goes_on_where_a_branch_was_cut_and_not_where_it_ended():
    @dataclass(frozen=True)
    class Constant:
        fits: int = 1

        def values(self, features):
            return np.full(len(features), 100.0)

    with Setting("CartPole-v1") as setting:
        vine = replace(ENUMERATED, trunk_length=60, states=40, rollout_length=12)
        _, roots = setting.roots(vine)
        rollouts = setting.roll_out(roots, setting.first(roots, vine), vine)
        plain, tailed = setting.q(rollouts), setting.q(rollouts, Constant())
        cut = ~rollouts.rolled.terminated[rollouts.of]
        assert cut.any()
        assert not cut.all()
        np.testing.assert_allclose((tailed - plain)[cut], 100 * GAMMA**12)
        np.testing.assert_array_equal(tailed[~cut], plain[~cut])


# Common random numbers


@pytest.mark.parametrize("task", ["paper/Hopper", "CartPole-v1", finite])
def test_equal_first_actions_make_equal_branches_exactly_when_noise_is_shared(task):
    for common in (True, False):
        vine = replace(SMALL, common_random_numbers=common)
        with Setting(task) as setting:
            _, roots = setting.roots(vine)
            first = setting.first(roots, vine)
            actions = np.repeat(first.actions[:, :1], 3, axis=1)
            rollouts = setting.roll_out(roots, FirstActions(actions, first.log_q, first.estimator), vine)
            last = rollouts.rolled.last_obs[rollouts.of].reshape(len(roots), 3, -1)
            same = (last == last[:, :1]).all(axis=(1, 2))
            assert same.all() if common else same.mean() < 0.5
            if common:
                q = setting.q(rollouts)
                np.testing.assert_array_equal(q, q[:, :1].repeat(3, axis=1))


def test_equal_discrete_branches_are_rolled_out_once():
    with Setting("CartPole-v1") as setting:
        vine = replace(SMALL, actions=8)
        shared = setting.sample(vine).batch
        assert shared.paths.branches <= 2 * vine.states
        separate = setting.sample(replace(vine, common_random_numbers=False)).batch
        assert separate.paths.branches == 8 * vine.states


@pytest.mark.parametrize("task", ["paper/Swimmer", finite])
def test_different_states_do_not_share_noise(task):
    assert checks.equal_across_states(task) == 0


def test_noise_is_indexed_by_step_and_not_shifted_by_the_first_action():
    """A plain simulator whose next observation is the action: later actions of a state's branches agree."""
    taken = []

    class Echo:
        width, can_restore, observation_space = 8, True, find_task("CartPole-v1").observation_space
        action_space = find_task("paper/CartPole").action_space

        def restore(self, slots, snapshot, seeds=None):
            return np.zeros((len(slots), 4))

        def step(self, slots, actions):
            taken.append(np.array(actions))
            n, no = len(actions), np.zeros(len(actions), bool)
            return Transition(np.zeros((n, 4)), np.zeros(n), no, no, no)

    with Setting("paper/CartPole", hidden=()) as setting:
        vine = replace(SMALL, states=2, actions=4, rollout_length=5)
        _, roots = setting.roots(vine)
        policy = setting.learner.policy
        state = np.repeat([0, 1], 4)
        first = np.linspace(-8, 8, 8, dtype=np.float32)[:, None]
        plan = BranchPlan(roots.snapshot, state, state, first, state, np.zeros(8, bool))
        streams = setting.sampler.streams
        run_branches(Echo(), plan, policy=policy, streams=streams, iteration=1, horizon=5, gamma=GAMMA)
    noise, _ = draw_noise(policy, streams, 5, 1, np.arange(2))
    np.testing.assert_array_equal(taken[0], first)
    mean, std = policy.parameters(torch.zeros(1, 4))[0, 0].item(), np.exp(policy.theta[-1].item())
    for h in range(1, 5):
        np.testing.assert_allclose(taken[h][:, 0], np.clip(mean + std * noise[state, h, 0], -10, 10), rtol=1e-5)


@pytest.mark.reliability("R33")
@pytest.mark.parametrize("task", ["Hopper-v5", "Swimmer-v5"])
def test_common_random_numbers_halve_the_variance_of_differences(task):
    """Pooled over 16 states and 8 draws each; the worst of ten seeds was seen at 0.27."""
    with Setting(task, gamma=0.99) as setting:
        found = noise_ratio(setting.sampler, setting.learner.policy, replace(SMALL, rollout_length=20), 0.99)
    assert found.shared.shape == (16,)
    assert found.pooled < 0.5


def test_state_weights_are_equal_or_discounted_by_the_episodes_time():
    with Setting("CartPole-v1") as setting:
        plain, discounted = (
            setting.sampler.collect(setting.learner, ENUMERATED, Returns(GAMMA, weighting), 1, checks.never).batch
            for weighting in ("equal", "discounted")
        )
    np.testing.assert_array_equal(plain.weights, 1)
    np.testing.assert_allclose(discounted.weights, GAMMA**discounted.t)


# Costs and repeatability


@pytest.mark.parametrize("task", ["Hopper-v5", "CartPole-v1", finite])
def test_every_step_is_counted_and_the_cost_is_an_upper_bound(task):
    with Setting(task) as setting:
        counted = [0]
        pools = [setting.sampler.trunk_pool(SMALL.trunks), setting.sampler.branch_pool(SMALL.states * SMALL.actions)]
        for simulator in (one for pool in pools for one in pool.simulators):
            count(simulator, counted)
        batch = setting.sample().batch
        assert batch.sim_steps == counted[0]
        assert batch.sim_steps <= vine_cost(SMALL, setting.task)
        replayed = batch.sim_steps - SMALL.trunks * SMALL.trunk_length - batch.paths.branch_steps
        assert replayed == 0 if setting.task.proven else 0 < replayed <= SMALL.rollout_length


def count(simulator, counted):
    step = simulator.step

    def counting(slots, actions):
        counted[0] += len(actions)
        return step(slots, actions)

    simulator.step = counting


def test_the_cost_is_told_before_it_is_paid():
    task = find_task("paper/Hopper")
    config = resolve(task, "paper", {"sampler": "vine"})
    assert cost(config, task) == 16 * 1000 + 625 * 4 * 100
    assert cost(config.replace(sampler="single-path"), task) == 1_000_000
    enumerated = resolve(find_task("CartPole-v1"), overrides={"sampler": "vine", "proposal": "all", "vine.actions": 9})
    assert branches_per_state(enumerated.vine, find_task("CartPole-v1").action_space) == 2


@pytest.mark.parametrize("task", ["paper/Hopper", "Walker2d-v5"])
def test_threads_change_nothing(task):
    found = []
    vine = replace(SMALL, trunks=5, states=25, actions=4, rollout_length=20)
    for threads in (1, 2, 3):
        with Setting(task, threads=threads) as setting:
            found.append(setting.sample(vine).batch)
    assert batches_equal(found[0], found[1])
    assert batches_equal(found[0], found[2])


def test_how_branches_are_spread_over_slots_changes_nothing(monkeypatch):
    found = []
    for widest in (64, 5):
        monkeypatch.setattr("trpolab.sampling.vine.sampler.MOST_WIDTH", widest)
        with Setting("paper/Swimmer") as setting:
            found.append(setting.sample(replace(SMALL, states=20)).batch)
    np.testing.assert_allclose(found[0].q_values, found[1].q_values, rtol=1e-4, atol=1e-5)


@pytest.mark.reliability("R16")
def test_a_blown_up_branch_takes_its_state_out_of_the_batch_and_is_counted():
    with Setting("CartPole-v1") as setting:
        simulator = setting.sampler.branch_pool(SMALL.states * 2).simulators[0]
        step, calls = simulator.step, [0]

        def explode(slots, actions):
            result = step(slots, actions)
            calls[0] += 1
            if calls[0] == 3:
                result.unstable[0] = True
            return result

        simulator.step = explode
        batch = setting.sample(ENUMERATED).batch
    assert len(batch.obs) == SMALL.states - 1
    assert batch.episodes.unstable == 1
    assert len(batch.constraint_obs) == SMALL.trunks * SMALL.trunk_length


@pytest.mark.reliability("R10")
def test_a_nan_in_a_branch_is_named_with_the_steps_spent():
    with Setting("CartPole-v1") as setting:
        simulator = setting.sampler.branch_pool(SMALL.states * 2).simulators[0]
        step = simulator.step

        def poison(slots, actions):
            result = step(slots, actions)
            result.reward[0] = np.nan
            return result

        simulator.step = poison
        with pytest.raises(NonFinite, match=r"branch of state 0.*non-finite reward") as caught:
            setting.sample(ENUMERATED)
        assert caught.value.sim_steps > SMALL.trunks * SMALL.trunk_length


def test_sampling_can_be_interrupted():
    with Setting("CartPole-v1") as setting, pytest.raises(Interrupted):
        setting.sampler.collect(setting.learner, SMALL, Returns(GAMMA), 1, lambda: True)


def test_the_record_tells_what_figure_1_shows():
    with Setting("paper/Swimmer") as setting:
        batch = setting.sample().batch
    record = batch.paths
    assert record.trunk_obs is batch.constraint_obs
    np.testing.assert_array_equal(record.roots, batch.obs)
    assert len(record.branch_q) == len(record.start) - 1 == SMALL.states * SMALL.actions
    for b, state in enumerate(record.branch_state):
        piece = slice(record.start[b], record.start[b + 1])
        np.testing.assert_array_equal(record.branch_obs[piece][0], record.roots[state])
        assert record.branch_age[piece].tolist() == list(range(SMALL.rollout_length + 1))
    np.testing.assert_array_equal(record.branch_q.reshape(SMALL.states, -1), batch.q_values)
    again = make("paper/Swimmer", SMALL.states).restore(None, record.snapshot)
    np.testing.assert_array_equal(again, record.roots)


# Refusals


@pytest.mark.parametrize(
    ("task", "settings", "sentence"),
    [
        ("CartPole-v1", {"vine.states": 300, "vine.trunks": 2, "vine.trunk_length": 100}, "100 steps visit 200"),
        ("CartPole-v1", {"vine.rollout_length": 0}, "vine.rollout_length = 0: must be >= 1"),
        ("CartPole-v1", {"vine.actions": 1, "proposal": "policy"}, "vine.actions = 1: the self-normalised"),
        ("paper/Hopper", {"proposal": "all"}, "proposal = 'all' rolls out every action, but paper/Hopper"),
        ("paper/Hopper", {"proposal": "uniform"}, "proposal = 'uniform' draws from a finite set"),
        ("paper/Hopper", {"proposal": "widened", "vine.widening": 0.5}, "vine.widening = 0.5: must be >= 1"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused_in_a_sentence_before_anything_is_simulated(task, settings, sentence):
    with pytest.raises(ConfigError, match=sentence) as caught:
        train(task, out=None, sampler="vine", **settings)
    assert len(caught.value.problems) == 1
    resolve(find_task(task), overrides={k: v for k, v in settings.items() if k == "proposal"})  # single path may


@pytest.mark.reliability("R18")
def test_a_task_that_cannot_be_restored_is_refused_with_the_reason():
    task = replace(find_task("CartPole-v1"), can_restore=False, restore_reason="its noise lies in a socket")
    with pytest.raises(ConfigError, match=r"can't be restored exactly \(its noise lies in a socket\)"):
        resolve(task, overrides={"sampler": "vine"})


# In the loop


def test_samplers_are_switched_while_a_run_goes_on():
    session = Session("CartPole-v1", out=None, iterations=5)
    for iteration in session.iterate():
        if iteration.index == 2:
            session.controls.replace(sampler="vine")
        if iteration.index == 4:
            session.controls.replace(sampler="single-path")
    samplers = [record["sampler"] for record in session.history]
    assert samplers == ["single-path", "single-path", "vine", "vine", "single-path"]
    assert [record["branches"] is not None for record in session.history] == [False, False, True, True, False]
    assert session.history[2]["episodes_dropped"] == session.config.slots
    assert session.history[3]["episodes_dropped"] == 0
    assert all(record["outcome"].startswith("accepted") for record in session.history)


def test_a_vine_run_repeats_and_resumes_bit_for_bit(tmp_path):
    settings = {"sampler": "vine", "proposal": "all", "seed": 3}
    reference = train("CartPole-v1", out=None, iterations=5, **settings)
    first = train("CartPole-v1", out=tmp_path, iterations=3, checkpoint_every=3, **settings)
    resumed = Session(resume=first.path, iterations=5).run()
    assert torch.equal(resumed.policy.theta, reference.policy.theta)
    assert [r["kl_mean"] for r in resumed.history] == [r["kl_mean"] for r in reference.history]


def test_a_vine_may_be_given_whole():
    vine = Vine(trunks=2, trunk_length=60, states=10, proposal="uniform", rollout_length=10)
    session = train("CartPole-v1", out=None, iterations=2, sampler=vine)
    assert session.config.sampler == "vine"
    assert session.config.vine == vine
    assert session.config.get("proposal") == "uniform"


@pytest.mark.parametrize("proposal", ["policy", "all"])
def test_branches_all_worth_the_same_are_reported_as_degenerate(proposal):
    """A horizon of one step on a pole: whatever is done first earns 1."""
    vine = Vine(trunks=2, trunk_length=60, states=10, proposal=proposal, rollout_length=1, tail_value=False)
    session = train("CartPole-v1", out=None, iterations=1, sampler=vine)
    assert session.history[0]["outcome"] == "skipped_degenerate_batch"


@pytest.mark.parametrize("proposal", ["policy", "all"])
def test_so_are_states_that_differ_while_their_actions_do_not(proposal):
    with Setting("CartPole-v1") as setting:
        batch = setting.sample(replace(SMALL, proposal=proposal)).batch
    rows = np.arange(len(batch.obs), dtype=float)[:, None]
    flat = replace(batch, q_values=rows.repeat(batch.log_q.shape[1], axis=1))
    assert unusable(setting.learner.policy, batch) is None
    outcome, message = unusable(setting.learner.policy, flat)
    assert outcome is Outcome.SKIPPED_DEGENERATE_BATCH
    assert "same Q̂" in message


def test_cartpole_learns_by_enumeration_with_a_tail_value():
    session = Session("CartPole-v1", out=None, iterations=40, sampler="vine", proposal="all", seed=2)
    for iteration in session.iterate():
        if iteration.metrics["sim_steps"] >= 40_000:
            break
    assert session.history[-1]["sim_steps"] < 45_000
    assert np.mean([r["length_mean"] for r in session.history[-3:] if r["length_mean"]]) >= 60


@pytest.mark.soak
def test_a_small_vine_makes_the_papers_hopper_leap():
    settings = {"hidden": (50,), "policy.output_scale": 0.1, "policy.log_std": -0.7, "gamma": 0.99, "delta": 0.01}
    settings |= {"normalize_observations": False, "damping": 1e-3, "shrink": 0.7, "vine.tail_value": False}
    settings |= {"vine.trunks": 4, "vine.trunk_length": 250, "vine.states": 30, "vine.rollout_length": 50}
    session = Session("paper/Hopper", out=None, iterations=100, sampler="vine", **settings)
    for iteration in session.iterate():
        if iteration.metrics["sim_steps"] >= 100_000:
            break
    start, end = (np.mean([r["return_mean"] for r in part]) for part in (session.history[:1], session.history[-5:]))
    assert end >= 60
    assert end >= 2 * start


def test_the_learner_needs_no_value_function_without_a_tail():
    task = find_task("CartPole-v1")
    config = resolve(task, overrides={"sampler": "vine", "vine.tail_value": False})
    with Setting("CartPole-v1") as setting:
        assert start_learner(task, config, setting.sampler.streams).value is None
        assert setting.sample(ENUMERATED).targets is None

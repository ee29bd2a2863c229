"""Pieces of trajectories against a simulator whose every number is known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.sampling.scripted import ScriptedSimulator
from trpolab.policies import make_policy
from trpolab.policies.config import PolicyConfig
from trpolab.sampling.errors import Interrupted, NonFinite
from trpolab.sampling.fresh_episodes import Draw, Quota
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import advance, begin, join
from trpolab.sampling.whole_paths import whole_paths

STREAMS = Streams(3)


@pytest.fixture
def policy():
    config = PolicyConfig(hidden=(8,), normalize_observations=False)
    generator = STREAMS.generator(0, Purpose.INITIALISATION)
    return make_policy(ScriptedSimulator.observation_space, ScriptedSimulator.action_space, config, generator)


def collect(simulator, policy, steps, ongoing=None, iteration=1, interrupt=lambda: False):
    if ongoing is None:
        seeds = np.array([11, 12, 13, 14])[: simulator.width]
        ongoing = begin(simulator, seeds, 0, slots=simulator.width)
    given = {"policy": policy, "steps": steps, "streams": STREAMS, "iteration": iteration, "interrupt": interrupt}
    return advance(simulator, ongoing, 0, **given)


def slices(trajectories):
    return [slice(a, b) for a, b in zip(trajectories.start[:-1], trajectories.start[1:], strict=True)]


def test_each_piece_is_one_episode_or_the_part_of_it_that_was_seen(policy):
    simulator = ScriptedSimulator(4)
    found, _ = collect(simulator, policy, 23)
    assert len(found) == found.sim_steps == 4 * 23
    for piece, rows in enumerate(slices(found)):
        seed, t = found.obs[rows, 0], found.obs[rows, 1]
        assert len(set(seed)) == 1, "a piece never mixes episodes"
        np.testing.assert_array_equal(t, found.t[rows])
        np.testing.assert_array_equal(np.diff(t), 1)
        # the state after the last step: the true next one, not the start of another episode
        np.testing.assert_array_equal(found.last_obs[piece], [seed[0], t[-1] + 1])


def test_terminated_and_truncated_are_kept_apart(policy):
    simulator = ScriptedSimulator(4)
    found, _ = collect(simulator, policy, 40)
    full_seeds = {seed % 1000: seed for _, seed in simulator.resets}
    outcomes = set()
    for piece, rows in enumerate(slices(found)):
        seed = full_seeds[int(found.obs[rows.start, 0])]
        ended = found.last_obs[piece, 1] == 3 + seed % 7
        assert found.terminated[piece] == (ended and seed % 2 == 1)
        outcomes.add((ended, seed % 2))
    assert outcomes >= {(True, 0), (True, 1)}, "the test must see both kinds of end"


def test_scores_of_episodes_that_go_on_across_batches_are_whole(policy):
    simulator = ScriptedSimulator(4)
    ongoing, returns, lengths = None, [], []
    for iteration in range(1, 9):
        found, ongoing = collect(simulator, policy, 5, ongoing, iteration)
        returns += found.episodes.returns.tolist()
        lengths += found.episodes.lengths.tolist()
    expected = []
    for _, seed in simulator.resets:
        length = 3 + seed % 7
        expected.append((length, float(sum(seed % 10 + t for t in range(length)))))
    unfinished = len(expected) - len(returns)
    assert 0 < unfinished <= 4
    rest = list(expected)
    for score in zip(lengths, returns, strict=True):
        rest.remove(score)  # raises if a score was never due
    assert len(rest) == unfinished


def test_a_batch_does_not_depend_on_how_it_is_cut_into_iterations(policy):
    """The same noise, taken in one go or in two, gives the same states: nothing resets at a batch's end."""
    whole, _ = collect(ScriptedSimulator(2), policy, 2)
    simulator = ScriptedSimulator(2)
    first, ongoing = collect(simulator, policy, 1)
    second, _ = collect(simulator, policy, 1, ongoing)
    np.testing.assert_array_equal(whole.obs[[0, 2]], first.obs)
    np.testing.assert_array_equal(whole.obs[[1, 3]], second.obs)


@pytest.mark.reliability("R16")
def test_an_unstable_step_is_left_out_and_its_episode_cut(policy):
    simulator = ScriptedSimulator(2)
    simulator.blow_up = {(1, 2)}
    found, _ = collect(simulator, policy, 4)
    assert found.episodes.unstable == 1
    assert found.sim_steps == 8
    assert len(found) == 7
    rows = slices(found)[list(found.path).index(1)]
    assert rows.stop - rows.start == 2
    piece = list(found.path).index(1)
    assert not found.terminated[piece]
    np.testing.assert_array_equal(found.last_obs[piece], [12, 2])  # the state in which the lost step began


def test_the_stagger_cuts_first_episodes_only_and_reports_no_score_for_them(policy):
    simulator = ScriptedSimulator(4)
    seeds = np.array([6, 13, 20, 27])  # all of length 9
    ongoing = begin(simulator, seeds, 0, slots=4, limit=8)
    np.testing.assert_array_equal(ongoing.cut_at, [2, 4, 6, 0])
    found, after = collect(simulator, policy, 8, ongoing)
    first = {int(slot): piece for piece, slot in reversed(list(enumerate(found.path)))}
    assert [int(np.diff(found.start)[first[slot]]) for slot in range(3)] == [2, 4, 6]
    assert found.episodes.dropped == 3
    assert not found.terminated[[first[slot] for slot in range(3)]].any()
    assert (after.cut_at == 0).all()


@pytest.mark.reliability("R17")
def test_actions_are_clipped_for_the_simulator_and_logged_as_sampled(policy):
    simulator = ScriptedSimulator(4)
    found, _ = collect(simulator, policy, 200)
    taken = np.concatenate(simulator.actions)
    assert np.abs(taken).max() <= 1
    assert np.abs(found.actions).max() > 1
    assert found.clipped == int((np.abs(found.actions) > 1).sum()) > 0


@pytest.mark.reliability("R10")
@pytest.mark.parametrize("field", ["reward", "obs"])
def test_a_nan_is_named_by_slot_step_and_field(policy, field):
    simulator = ScriptedSimulator(3)
    simulator.poison = {(2, 4): field}
    word = {"reward": "reward", "obs": "observation"}[field]
    with pytest.raises(NonFinite, match=f"slot 2, step 4: non-finite {word}"):
        collect(simulator, policy, 6)


@pytest.mark.reliability("R10")
def test_a_policy_that_produces_nan_is_named(policy):
    broken = policy.replace(theta=policy.theta * float("nan"))
    with pytest.raises(NonFinite, match="slot 0, step 0: non-finite policy output"):
        collect(ScriptedSimulator(2), broken, 3)


def test_an_interrupt_ends_sampling_within_a_step(policy):
    simulator = ScriptedSimulator(2)
    asked = iter([False, False, True])
    with pytest.raises(Interrupted):
        collect(simulator, policy, 100, interrupt=lambda: next(asked))
    assert len(simulator.actions) == 2


def test_joining_blocks_keeps_every_piece(policy):
    a, _ = collect(ScriptedSimulator(2), policy, 7)
    b, _ = collect(ScriptedSimulator(2), policy, 5)
    both = join([a, b])
    assert len(both) == len(a) + len(b) == both.start[-1]
    np.testing.assert_array_equal(both.rewards, np.concatenate([a.rewards, b.rewards]))
    assert both.sim_steps == a.sim_steps + b.sim_steps
    assert len(both.last_obs) == len(both.path) == len(both.start) - 1


def paths(width, policy, horizon=100, **quota):
    draw = Draw(STREAMS, 1)
    return whole_paths(ScriptedSimulator(width), 0, policy=policy, draw=draw, quota=Quota(**quota), horizon=horizon)


def test_whole_paths_start_at_s0_and_are_finished(policy):
    found = paths(4, policy, episodes=11)
    assert len(found.path) == 11
    np.testing.assert_array_equal(found.path, np.arange(11))
    for rows in slices(found):
        assert found.t[rows.start] == 0
        assert found.obs[rows.start, 1] == 0
    np.testing.assert_array_equal(found.episodes.lengths, np.diff(found.start))
    seeds = [int(STREAMS.seeds(1, 1, Purpose.RESET, path)[0]) for path in range(11)]
    assert found.episodes.lengths.tolist() == [3 + seed % 7 for seed in seeds]
    assert found.terminated.tolist() == [seed % 2 == 1 for seed in seeds]


def test_a_path_does_not_depend_on_the_slots_it_ran_in(policy):
    """Path p is keyed by (iteration, p): 1, 3 or 11 slots give the same paths, up to rounding."""
    reference = paths(11, policy, episodes=11)
    for width in (1, 3):
        found = paths(width, policy, episodes=11)
        np.testing.assert_array_equal(found.rewards, reference.rewards)
        np.testing.assert_allclose(found.actions, reference.actions, rtol=1e-5, atol=1e-6)


def test_the_horizon_cuts_without_terminating(policy):
    found = paths(3, policy, episodes=9, horizon=3)
    assert (np.diff(found.start) == 3).all()
    seeds = [int(STREAMS.seeds(1, 1, Purpose.RESET, path)[0]) for path in range(9)]
    assert found.terminated.tolist() == [seed % 7 == 0 and seed % 2 == 1 for seed in seeds]


def test_a_budget_ends_the_starting_of_paths_but_not_the_paths(policy):
    found = paths(2, policy, steps=20)
    assert found.sim_steps >= 20
    assert found.sim_steps == found.episodes.lengths.sum()


def test_paths_of_one_length_meet_their_budget_exactly(policy):
    """More slots than the budget has paths: the rest stay empty instead of overshooting."""
    found = paths(11, policy, steps=18, horizon=3)
    assert found.sim_steps == 18

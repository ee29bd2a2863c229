"""Candidates played as one batch over slots: the same episodes that each would play alone, all steps counted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests.sampling.scripted import ScriptedSimulator
from trpolab.policies import Policy, make_policy
from trpolab.policies.config import PolicyConfig
from trpolab.sampling.errors import Interrupted, NonFinite
from trpolab.sampling.fresh_episodes import Draw, Quota
from trpolab.sampling.population import Population, roll_out_population
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.whole_paths import whole_paths
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators import find_task, make


def policy_for(task: str, hidden: tuple[int, ...] = (8,)) -> Policy:
    about, generator = find_task(task), np.random.default_rng(0)
    return make_policy(about.observation_space, about.action_space, PolicyConfig(hidden=hidden), generator)


def candidates_for(policy: Policy, count: int) -> np.ndarray:
    return policy.theta.numpy() + np.random.default_rng(1).normal(size=(count, policy.size))


def played(task: str, policy: Policy, candidates: np.ndarray, slots: int = 4, threads: int = 1, **given) -> Population:
    pool = SimulatorPool(task, slots, threads)
    settings = {"episodes": 1, "horizon": 1000, "streams": Streams(3), "iteration": 2, "interrupt": lambda: False}
    try:
        return roll_out_population(pool, policy, candidates, **{**settings, **given})
    finally:
        pool.close()


@pytest.mark.parametrize("task", ["paper/CartPole", "CartPole-v1", "Reacher-v5"])
def test_each_candidate_plays_the_episode_it_would_play_alone(task: str) -> None:
    """Whole paths of one policy at a time, on the streams of the candidate's place."""
    policy = policy_for(task)
    candidates = candidates_for(policy, 5)
    found = played(task, policy, candidates)
    for place, candidate in enumerate(candidates):
        alone = policy.replace(theta=torch.from_numpy(candidate).float())
        draw = Draw(Streams(3), 2, Purpose.ACTION, Purpose.RESET)
        quota = Quota(blocks=5, episodes=5)
        path = whole_paths(make(task, 1), place, policy=alone, draw=draw, quota=quota, horizon=1000)
        assert found.returns[place] == pytest.approx(path.episodes.returns[0], rel=1e-4)
        assert found.episodes.lengths[place] == path.episodes.lengths[0]


def test_slots_and_threads_change_nothing() -> None:
    policy = policy_for("Hopper-v5")
    candidates = candidates_for(policy, 9)
    runs = [played("Hopper-v5", policy, candidates, slots, threads) for slots, threads in ((1, 1), (4, 1), (6, 2))]
    for other in runs[1:]:
        np.testing.assert_array_equal(runs[0].returns, other.returns)
        np.testing.assert_array_equal(runs[0].episodes.lengths, other.episodes.lengths)
        assert other.sim_steps == runs[0].sim_steps


def test_every_step_is_counted_and_episodes_are_reported() -> None:
    policy = policy_for("paper/CartPole", ())
    found = played("paper/CartPole", policy, candidates_for(policy, 7), episodes=3)
    assert found.sim_steps == found.episodes.lengths.sum()
    assert len(found.episodes.returns) == 21
    np.testing.assert_allclose(found.returns, found.episodes.returns.reshape(7, 3).mean(axis=1))


def test_episodes_are_cut_at_the_horizon() -> None:
    policy = policy_for("Reacher-v5")
    assert played("Reacher-v5", policy, candidates_for(policy, 3), horizon=7).episodes.lengths.tolist() == [7, 7, 7]


class OneBlock:
    """A pool of two slots in one block."""

    def __init__(self, **faults) -> None:
        self.simulators = (ScriptedSimulator(2),)
        for name, value in faults.items():
            setattr(self.simulators[0], name, value)

    def __len__(self) -> int:
        return 1

    def map(self, unit, *rows, **how) -> list:
        return [unit(self.simulators[0], *row, **how) for row in zip(*rows, strict=True)]


class TestScripted:
    """On a simulator whose every number is known beforehand."""

    def play(self, count: int = 4, interrupt=lambda: False, **faults) -> tuple[Population, ScriptedSimulator]:
        simulator = ScriptedSimulator
        generator = np.random.default_rng(0)
        config = PolicyConfig(hidden=(), normalize_observations=False)
        policy = make_policy(simulator.observation_space, simulator.action_space, config, generator)
        pool = OneBlock(**faults)
        found = roll_out_population(pool, policy, candidates_for(policy, count), 1, 99, Streams(0), 0, interrupt)
        return found, pool.simulators[0]

    def test_returns_and_lengths_are_the_scripts(self) -> None:
        found, simulator = self.play()
        seeds = [seed for _, seed in simulator.resets]
        lengths = [3 + seed % 7 for seed in seeds]
        assert sorted(found.episodes.lengths.tolist()) == sorted(lengths)
        expected = [n * (seed % 10) + n * (n - 1) / 2 for n, seed in zip(lengths, seeds, strict=True)]
        assert sorted(found.returns.tolist()) == sorted(expected)
        assert all((np.abs(actions) <= 1).all() for actions in simulator.actions)
        assert 0 < found.clipped_fraction <= 1

    @pytest.mark.reliability
    def test_physics_that_blew_up_is_reported_and_has_no_return(self) -> None:
        found, _ = self.play(blow_up={(0, 1)})
        assert np.isnan(found.returns).tolist() == [True, False, False, False]
        assert found.episodes.unstable == 1
        assert len(found.episodes.returns) == 3
        assert np.isfinite(found.episodes.returns).all()

    @pytest.mark.reliability
    @pytest.mark.parametrize("what", ["reward", "obs"])
    def test_a_number_that_is_not_finite_is_named(self, what: str) -> None:
        named = {"reward": "non-finite reward", "obs": "non-finite observation"}[what]
        with pytest.raises(NonFinite, match=f"candidate 1, step \\d: {named}"):
            self.play(poison={(1, 0): what})

    def test_it_can_be_given_up(self) -> None:
        with pytest.raises(Interrupted):
            self.play(interrupt=lambda: True)


def test_a_population_whose_parts_do_not_fit_is_refused() -> None:
    policy = policy_for("paper/CartPole", ())
    found = played("paper/CartPole", policy, candidates_for(policy, 3))
    with pytest.raises(ValueError, match="do not fit"):
        dataclasses.replace(found, returns=np.zeros(2))

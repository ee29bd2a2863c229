"""A rollout set chosen by advantages: its probabilities, and that the mean it stands for stays the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.sampling.vine.checks import GAMMA, SMALL, Setting
from tests.sampling.vine.test_every_step import with_value
from trpolab.sampling.returns import advantages_and_values
from trpolab.sampling.vine.choice import chosen_by_size, inclusion
from trpolab.settings import ConfigError
from trpolab.simulators import find_task
from trpolab.training.config import resolve

PAYING = replace(SMALL, choose="advantage")
TAILLESS = {"vine.choose": "advantage", "vine.tail_value": False}


def test_probabilities_add_up_to_the_number_of_states_and_grow_with_the_size():
    rng = np.random.default_rng(0)
    for states in (1, 7, 39, 40):
        size = rng.exponential(size=40) ** 3
        found = inclusion(size, states)
        assert found.sum() == pytest.approx(states) and found.max() <= 1 and found.min() > 0
        assert (np.diff(found[np.argsort(size)]) >= 0).all()
        assert found.min() >= 0.5 * states / 40 - 1e-12, "none weighs more than twice the mean"
    np.testing.assert_allclose(inclusion(np.zeros(8), 3), 3 / 8)
    np.testing.assert_allclose(inclusion(np.array([1.0, 1.0, 4.0]), 1), [0.25, 0.25, 0.5])


def test_the_weighted_mean_over_the_chosen_is_that_over_all_candidates():
    """Horvitz and Thompson: for any function of the state, and exactly over all places of the comb."""
    with Setting("Hopper-v5") as setting:
        _, roots = setting.roots(replace(SMALL, states=24))
    rng = np.random.default_rng(1)
    size, f = rng.exponential(size=24) ** 2, rng.normal(size=24)
    place = {row.tobytes(): i for i, row in enumerate(roots.obs)}

    class Comb:
        """A generator whose one number is known."""

        def __init__(self, at):
            self.at = at

        def random(self):
            return self.at

    found = np.zeros(24)
    teeth = (np.arange(4000) + 0.5) / 4000
    for at in teeth:
        chosen = chosen_by_size(roots, size, 6, Comb(at))
        assert len(chosen) == 6 and len({row.tobytes() for row in chosen.obs}) == 6
        for row, weight in zip(chosen.obs, chosen.weight, strict=True):
            found[place[row.tobytes()]] += weight / 6 / len(teeth)
    np.testing.assert_allclose(found, 1 / 24, rtol=0.02)  # each candidate counts alike in the mean over all draws
    assert found @ f == pytest.approx(f.mean(), abs=0.02)


def test_the_sampler_prefers_steps_with_large_advantages_and_weighs_them_less():
    chances, sizes, weights = [], [], []
    with Setting("Hopper-v5", sampler="vine") as setting:
        with_value(setting)
        policy, value = setting.learner.policy, setting.learner.value
        for iteration in range(1, 9):
            batch = setting.sample(PAYING, iteration).batch
            trunks, _ = setting.roots(SMALL, iteration)
            given = (policy.features(trunks.obs), policy, value, GAMMA, PAYING.lam)
            size = np.abs(advantages_and_values(trunks, *given)[0])
            rows = {row.tobytes(): i for i, row in enumerate(trunks.obs)}
            mine = np.array([rows[row.tobytes()] for row in batch.obs])
            assert len(set(mine.tolist())) == PAYING.states
            chances.append(size[mine].mean() / size.mean())
            sizes += size[mine].tolist()
            weights += batch.weights.tolist()
    assert np.mean(chances) > 1.1
    assert np.corrcoef(sizes, weights)[0, 1] < -0.5
    assert max(weights) <= 2 + 1e-9


def test_a_trunk_that_blew_up_leaves_no_advantage_to_the_wrong_state():
    """Its step is left out, so that rows and steps no longer correspond: the set is chosen evenly then."""
    with Setting("Hopper-v5", sampler="vine") as setting:
        with_value(setting)
        simulator = setting.sampler.trunk_pool(SMALL.trunks).simulators[0]
        step, calls = simulator.step, [0]

        def explode(slots, actions):
            result = step(slots, actions)
            calls[0] += 1
            result.unstable[0] |= calls[0] == 3
            return result

        simulator.step = explode
        batch = setting.sample(PAYING).batch
    assert batch.episodes.unstable == 1 and len(batch.constraint_obs) == SMALL.trunks * SMALL.trunk_length - 1
    assert len(batch.obs) == PAYING.states
    np.testing.assert_allclose(batch.weights, 1)


def test_other_rollout_sets_weigh_all_states_alike():
    with Setting("Hopper-v5") as setting:
        assert (setting.sample(SMALL).batch.weights == 1).all()


def test_without_a_value_function_it_is_refused():
    with pytest.raises(ConfigError, match=r"vine.choose = 'advantage': it needs .*vine.tail_value = true"):
        resolve(
            find_task("Hopper-v5"), overrides={"sampler": "vine", "vine.choose": "advantage", "vine.tail_value": False}
        )
    with Setting("Hopper-v5") as setting, pytest.raises(ValueError, match="the learner has none"):
        setting.sample(PAYING)

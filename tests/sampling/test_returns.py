"""Returns and advantages against sums written out as loops, and against an exact solution."""

from __future__ import annotations

import numpy as np
import pytest

from trpolab.sampling.returns import discounted_sums, generalized_advantage, level, standardized


def loop_sums(x, start, factor, tail):
    y = np.zeros(len(x))
    for piece in range(len(start) - 1):
        for i in range(start[piece], start[piece + 1]):
            inside = sum(factor ** (j - i) * x[j] for j in range(i, start[piece + 1]))
            y[i] = inside + factor ** (start[piece + 1] - i) * tail[piece]
    return y


@pytest.fixture
def pieces():
    rng = np.random.default_rng(0)
    start = np.cumsum([0, 1, 7, 3, 12, 1, 5])
    return rng, start


@pytest.mark.reliability("R33")
@pytest.mark.parametrize("factor", [0.0, 0.7, 1.0])
def test_discounted_sums_equal_the_written_out_sum(pieces, factor):
    rng, start = pieces
    x = rng.normal(size=start[-1])
    nothing_after = np.zeros(len(start) - 1)
    expected = loop_sums(x, start, factor, nothing_after)
    np.testing.assert_allclose(discounted_sums(x, start, factor), expected, atol=1e-12)


def test_no_pieces_give_no_sums():
    assert discounted_sums(np.zeros(0), np.array([0]), 0.9).shape == (0,)


@pytest.mark.reliability("R33")
@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_gae_equals_its_definition(pieces, lam):
    rng, start = pieces
    n, s, gamma = start[-1], len(start) - 1, 0.9
    rewards, values, last = rng.normal(size=n), rng.normal(size=n), rng.normal(size=s)
    terminated = rng.random(s) < 0.5
    found = generalized_advantage(rewards, values, last, terminated, start, gamma, lam)
    for piece in range(s):
        rows = range(start[piece], start[piece + 1])
        v = [*values[start[piece] : start[piece + 1]], 0.0 if terminated[piece] else last[piece]]
        delta = [rewards[i] + gamma * v[k + 1] - v[k] for k, i in enumerate(rows)]
        for k, i in enumerate(rows):
            assert found[i] == pytest.approx(sum((gamma * lam) ** j * d for j, d in enumerate(delta[k:])), abs=1e-12)


@pytest.mark.reliability("R33")
def test_gae_at_lambda_one_is_the_return_minus_the_value(pieces):
    rng, start = pieces
    n, s, gamma = start[-1], len(start) - 1, 0.95
    rewards, values, last = rng.normal(size=n), rng.normal(size=n), rng.normal(size=s)
    alive = np.zeros(s, bool)
    expected = loop_sums(rewards, start, gamma, last) - values
    np.testing.assert_allclose(
        generalized_advantage(rewards, values, last, alive, start, gamma, 1.0), expected, atol=1e-12
    )


@pytest.mark.reliability("R33")
def test_a_time_limit_is_not_the_end_of_the_world():
    """Reward 1 for ever: V = 1 / (1 - γ). A cut after 5 steps, bootstrapped, has advantage 0; taken as an end, not."""
    gamma, n = 0.9, 5
    v = np.full(n, 1 / (1 - gamma))
    args = (np.ones(n), v, np.array([1 / (1 - gamma)]))
    start = np.array([0, n])
    cut = generalized_advantage(*args, np.array([False]), start, gamma, 0.97)
    ended = generalized_advantage(*args, np.array([True]), start, gamma, 0.97)
    np.testing.assert_allclose(cut, 0, atol=1e-12)
    missing = -(gamma ** np.arange(n, 0, -1)) / (1 - gamma) * 0.97 ** np.arange(n - 1, -1, -1)
    np.testing.assert_allclose(ended, missing, atol=1e-12)


def test_standardized_has_mean_zero_and_deviation_one():
    x = np.random.default_rng(1).normal(3, 5, 1000)
    y = standardized(x)
    assert y.mean() == pytest.approx(0, abs=1e-12)
    assert y.std() == pytest.approx(1)
    np.testing.assert_array_equal(standardized(np.full(4, 2.0)), 0)
    np.testing.assert_array_equal(standardized(0.1 + np.array([0.0, 1e-17, 2e-17])), 0)
    np.testing.assert_allclose(standardized(1e-8 * x), y, atol=1e-9)
    np.testing.assert_allclose(standardized(x + 1e8), y, atol=1e-6)


@pytest.mark.parametrize(("gamma", "ends"), [(0.9, 0), (0.9, 3), (1.0, 2), (0.0, 1)])
def test_the_level_of_an_untrained_value_makes_the_mean_td_error_zero(gamma: float, ends: int) -> None:
    rewards = np.random.default_rng(3).normal(5, 1, 40)
    found = level(rewards, ends, gamma)
    ended = np.arange(40) < ends
    assert np.mean(rewards + gamma * np.where(ended, 0, found) - found) == pytest.approx(0, abs=1e-9)
    assert level(rewards, 0, 1.0) == 0, "there every level does"

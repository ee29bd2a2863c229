"""Policies, their normaliser and the NumPy sampling path."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from tests import reference
from trpolab.policies import Normalizer, make_policy
from trpolab.policies.activations import ACTIVATIONS
from trpolab.policies.normalizer import CLIP
from trpolab.settings import PlainError
from trpolab.training.config import PolicyConfig

KINDS = list(reference.ACTION_SPACES)


def float32_policy(kind: str = "gaussian", activation: str = "tanh", dim: int = 11, seed: int = 0, **config):
    generator = np.random.default_rng(seed)
    space = spaces.Box(-np.inf, np.inf, (dim,))
    settings = {"hidden": (64, 64), "activation": activation, "output_scale": 1.0, **config}
    policy = make_policy(space, reference.ACTION_SPACES[kind], PolicyConfig(**settings), generator)
    if policy.normalizer is None:
        return policy
    return policy.replace(normalizer=policy.normalizer.updated(generator.normal(size=(50, dim)) * 3 + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_products_equal_the_jacobian(kind: str) -> None:
    policy = reference.small_policy(kind)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3)))
    dense = reference.jacobian(policy, x)
    u, jvp, vjp = policy.linearize(x)
    v, c = torch.randn(policy.size, dtype=torch.float64), torch.randn_like(u)
    assert torch.allclose(u, policy.parameters(x))
    assert torch.allclose(policy.evaluate(x), policy.parameters(x))
    assert torch.allclose(jvp(v), dense @ v)
    assert torch.allclose(vjp(c), torch.einsum("bud,bu->d", dense, c))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (64, 64)])
def test_actor_gives_the_parameters_of_the_policy(kind: str, activation: str, hidden: tuple[int, ...]) -> None:
    policy = float32_policy(kind, activation, hidden=hidden)
    obs = np.random.default_rng(1).normal(size=(16, 11)) * 4
    expected = policy.parameters(policy.features(obs)).numpy()
    np.testing.assert_allclose(policy.actor(16).parameters(obs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block", [1, 3, 8, 16, 64])
@pytest.mark.parametrize("dim", [3, 11])
def test_a_row_depends_on_nothing_but_itself(block: int, dim: int) -> None:
    actor = float32_policy(dim=dim).actor(block)
    obs = np.random.default_rng(2).normal(size=(block, dim)).astype(np.float32)
    whole = actor.parameters(obs).copy()
    for rows in range(1, block + 1):
        np.testing.assert_array_equal(actor.parameters(obs[:rows]), whole[:rows])
    for shift in range(1, block):
        np.testing.assert_array_equal(actor.parameters(np.roll(obs, shift, axis=0)), np.roll(whole, shift, axis=0))


@pytest.mark.reliability("R10")
def test_a_bad_row_does_not_spoil_its_neighbours() -> None:
    actor = float32_policy().actor(4)
    obs = np.random.default_rng(2).normal(size=(4, 11)).astype(np.float32)
    whole = actor.parameters(obs).copy()
    spoiled = obs.copy()
    spoiled[2] = np.nan
    with np.errstate(invalid="ignore"):
        found = actor.parameters(spoiled).copy()
    assert np.isnan(found[2, :2]).all()
    np.testing.assert_array_equal(found[[0, 1, 3]], whole[[0, 1, 3]])
    np.testing.assert_array_equal(actor.parameters(obs[:2]), whole[:2])  # nor later calls


def test_actor_refuses_too_many_rows_and_wrong_shapes() -> None:
    actor = float32_policy().actor(4)
    for shape in ((5, 11), (4, 10), (4,)):
        with pytest.raises(ValueError, match="obs has shape"):
            actor.parameters(np.zeros(shape, np.float32))


def test_actor_keeps_the_weights_it_was_made_with() -> None:
    policy = float32_policy()
    actor, obs = policy.actor(2), np.ones((2, 11), np.float32)
    before = actor.parameters(obs).copy()
    policy.theta.zero_()
    np.testing.assert_array_equal(actor.parameters(obs), before)


def test_observations_of_more_axes() -> None:
    space = spaces.Box(0, 1, (2, 3))
    policy = make_policy(space, spaces.Discrete(2), PolicyConfig(hidden=(4,)), np.random.default_rng(0))
    obs = np.random.default_rng(0).random((5, 2, 3))
    assert policy.features(obs).shape == (5, 6)
    expected = policy.parameters(policy.features(obs)).numpy()
    np.testing.assert_allclose(policy.actor(8).parameters(obs), expected, atol=1e-6)


def test_float32_is_the_only_precision_of_features() -> None:
    policy = float32_policy()
    assert policy.features(np.ones((2, 11))).dtype == np.float32
    assert policy.actor(2).parameters(np.ones((2, 11))).dtype == np.float32


@pytest.mark.parametrize(
    ("observations", "actions", "said"),
    [
        (spaces.Dict(), spaces.Discrete(2), "observation space Dict"),
        (spaces.Discrete(3), spaces.Discrete(2), r"observation space Discrete\(3\)"),
        (spaces.Box(0, 1, (3,)), spaces.Box(0, 9, (2,), np.int64), "action space Box.*int64"),
        (spaces.Box(0, 1, (3,)), spaces.MultiBinary(3), r"action space MultiBinary\(3\)"),
    ],
)
def test_other_spaces_are_refused_by_name(observations: spaces.Space, actions: spaces.Space, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_policy(observations, actions, PolicyConfig(), np.random.default_rng(0))


def test_a_policy_starts_as_configured() -> None:
    policy = float32_policy(log_std=-1.5, output_scale=0.0, normalize_observations=False)
    assert policy.normalizer is None
    u = policy.parameters(np.ones((1, 11), np.float32))
    assert u.tolist() == [[0.0, 0.0, -1.5, -1.5]]
    again = float32_policy(log_std=-1.5, output_scale=0.0, normalize_observations=False)
    assert torch.equal(policy.theta, again.theta)


@pytest.mark.reliability("R15")
def test_with_theta_brings_log_std_onto_its_bounds_and_keeps_the_distribution() -> None:
    policy = float32_policy(log_std=-4.9)
    x = np.ones((1, 11), np.float32)
    beyond = policy.theta.clone()
    beyond[-1] = -7.0
    moved = policy.with_theta(beyond)
    assert moved.theta[-1] == -5.0
    assert (policy.clamped(), moved.clamped()) == (0, 1)
    assert torch.equal(moved.parameters(x), policy.parameters(x, beyond))
    assert beyond[-1] == -7.0
    assert policy.with_theta(policy.theta).theta is policy.theta


def test_a_theta_of_another_size_is_refused() -> None:
    policy = float32_policy()
    with pytest.raises(ValueError, match="theta has shape"):
        policy.replace(theta=torch.zeros(3))


class TestNormalizer:
    """Statistics merge exactly, and only when asked."""

    def test_merging_equals_all_at_once(self) -> None:
        obs = np.random.default_rng(0).normal(size=(100, 3)) * [1, 10, 1e-3] + [0, 1e3, 5]
        merged = Normalizer.empty((3,))
        for part in np.split(obs, [1, 30, 31, 77]):
            merged = merged.updated(part)
        assert merged.count == 100
        np.testing.assert_allclose(merged.mean, obs.mean(0), rtol=1e-12)
        np.testing.assert_allclose(merged.var, obs.var(0), rtol=1e-9)

    def test_applies_and_clips(self) -> None:
        obs = np.random.default_rng(0).normal(size=(1000, 2)) * [1, 10] + [0, 100]
        normalised = Normalizer.empty((2,)).updated(obs).apply(obs)
        np.testing.assert_allclose(normalised.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(normalised.std(0), 1, atol=1e-4)
        far = Normalizer.empty((2,)).updated(obs).apply(np.array([[1e9, -1e9]]))
        assert far.tolist() == [[CLIP, -CLIP]]

    def test_without_statistics_all_observations_are_alike(self) -> None:
        assert Normalizer.empty((2,)).apply(np.array([[3.0, 40.0]])).tolist() == [[0.0, 0.0]]

    @pytest.mark.parametrize(("scale", "offset"), [(2.0**-24, 0.0), (2.0**30, 0.0), (1e-8, 0.0), (1.0, 1.7e9)])
    def test_units_and_offsets_do_not_matter(self, scale: float, offset: float) -> None:
        obs = np.random.default_rng(0).normal(size=(1000, 2)) * [1, 1e-3] + [0, 100]
        plain, other = (Normalizer.empty((2,)).updated(x).apply(x) for x in (obs, scale * obs + offset))
        np.testing.assert_allclose(other, plain, atol=1e-3 if offset else 1e-7)
        if not offset and np.log2(scale) % 1 == 0:
            np.testing.assert_array_equal(other, plain)

    def test_one_of_an_old_file_adds_what_it_always_added(self) -> None:
        normalizer = Normalizer(9.0, np.array([1.0]), np.array([1e-10]), 1e-8).updated(np.full((1, 1), 1.0))
        np.testing.assert_allclose(normalizer.shift_and_scale[1], 1 / np.sqrt(1.009e-8), rtol=1e-6)

    def test_a_coordinate_that_never_moved_stays_zero(self) -> None:
        normalizer = Normalizer.empty((1,)).updated(np.full((10, 1), 7.0))
        assert normalizer.apply(np.full((2, 1), 7.0)).tolist() == [[0.0], [0.0]]

    def test_updating_returns_a_new_one_and_reads_only(self) -> None:
        before = Normalizer.empty((2,))
        obs = np.ones((4, 2))
        before.updated(obs)
        before.apply(obs)
        assert before.count == 0
        assert before.mean.tolist() == [0, 0]
        assert (obs == 1).all()
        assert before.updated(obs[:0]) is before

    @pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
    def test_observations_that_are_not_finite_or_far_too_large_cannot_enter(self, bad: float) -> None:
        with pytest.raises(PlainError, match=r"^observations of (nan|inf|1e\+200) in size .* not finite floats; scale"):
            Normalizer.empty((1,)).updated(np.array([[1.0], [bad]]))
        with pytest.raises(PlainError, match="not finite floats"):
            Normalizer.empty((1,)).updated(np.array([[1.0], [2.0]])).updated(np.array([[bad], [bad]]))


@pytest.mark.parametrize("normalize", [True, False])
def test_no_observations_have_no_features(normalize: bool) -> None:
    """As where every branch of a vine has ended, and none is left to go on in a value."""
    policy = float32_policy(normalize_observations=normalize)
    assert policy.features(np.zeros((0, *policy.obs_shape), np.float32)).shape == (0, int(np.prod(policy.obs_shape)))

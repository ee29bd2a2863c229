"""Networks and distributions from outside the package: what they need to give, and that all else follows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces

from tests import reference
from trpolab.numerics.threads import ThreadTeam
from trpolab.policies import (
    DISTRIBUTIONS,
    NETWORKS,
    DiagonalGaussian,
    Distribution,
    DistributionKind,
    Network,
    NetworkKind,
    Policy,
    PolicyFileError,
    make_policy,
    read_policy,
)
from trpolab.policies.actors import BatchedActor
from trpolab.policies.config import PolicyConfig
from trpolab.policies.frames import Frames
from trpolab.policies.kinds import network_kind
from trpolab.policies.policy import shapes_for
from trpolab.registry import RegistrationError
from trpolab.settings import PlainError, setting

# The examples of docs/extending.md -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Skip(Network):
    """One hidden layer, and a linear connection around it."""

    inputs: tuple[int, ...]
    width: int
    outputs: int

    @property
    def parts(self) -> list[int]:
        return [self.inputs[0] * self.width, self.width * self.outputs, self.inputs[0] * self.outputs]

    @property
    def size(self) -> int:
        return sum(self.parts)

    def initial(self, generator, output_scale):
        into, out, around = (generator.normal(size=count) for count in self.parts)
        scale = output_scale / math.sqrt(self.width)
        return torch.from_numpy(np.concatenate([into / math.sqrt(self.inputs[0]), scale * out, scale * around])).float()

    def forward(self, theta, x):
        into, out, around = theta.split(self.parts)
        hidden = torch.tanh(x @ into.view(-1, self.width))
        return hidden @ out.view(self.width, -1) + x @ around.view(-1, self.outputs)


@dataclass(frozen=True)
class SkipSettings:
    width: int = setting(16, "units of the hidden layer", low=1, live=False)


SKIP = NetworkKind(
    name="skip",
    label="one hidden layer with a linear connection around it",
    network=Skip,
    make=lambda shape, outputs, config, settings: Skip((math.prod(shape),), settings.width, outputs),
    settings=SkipSettings,
)


@dataclass(frozen=True)
class FixedGaussian(Distribution):
    """Independent normals whose σ is set, not learned; u = means [B, size]."""

    size: int
    sigma: float

    @property
    def outputs(self) -> int:
        return self.size

    @property
    def action_shape(self) -> tuple[int, ...]:
        return (self.size,)

    def log_prob(self, u, actions):
        return torch.distributions.Normal(u, self.sigma).log_prob(actions).sum(1)

    def kl(self, u_old, u_new):
        return ((u_old - u_new) / self.sigma).square().sum(1) / 2

    def entropy(self, u):
        return torch.distributions.Normal(u, self.sigma).entropy().sum(1)

    def noise(self, generator, shape):
        return generator.standard_normal((*shape, self.size), dtype=np.float32)

    def sample_from(self, u, noise):
        return u + np.float32(self.sigma) * noise

    def mode(self, u):
        return u.copy()


@dataclass(frozen=True)
class FixedSettings:
    sigma: float = setting(0.3, "standard deviation", low=0, open_low=True, live=False)


FIXED = DistributionKind(
    name="fixed-gaussian",
    label="a normal whose standard deviation is set, not learned",
    distribution=FixedGaussian,
    make=lambda space, settings: FixedGaussian(space.shape[0], settings.sigma),
    fits=lambda space: isinstance(space, spaces.Box) and len(space.shape) == 1,
    settings=FixedSettings,
)


# -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tiles(Network):
    """A linear layer on means over tiles of 4 x 4 pixels."""

    inputs: tuple[int, ...]
    outputs: int
    sees_pixels = True

    @property
    def size(self) -> int:
        channels, height, width = self.inputs
        return channels * (height // 4) * (width // 4) * self.outputs

    def initial(self, generator, output_scale):
        return torch.from_numpy(generator.normal(size=self.size) * output_scale).float()

    def forward(self, theta, x):
        return torch.nn.functional.avg_pool2d(x, 4).flatten(1) @ theta.view(-1, self.outputs)


@dataclass(frozen=True)
class Logistic(Distribution):
    """One Gaussian action with its own σ given by the network: metric and slopes that depend on the state."""

    outputs: int = 2
    action_shape = (1,)

    def log_prob(self, u, actions):
        return torch.distributions.Normal(u[:, 0], u[:, 1].exp()).log_prob(actions[:, 0])

    def kl(self, u_old, u_new):
        old, new = (torch.distributions.Normal(u[:, 0], u[:, 1].exp()) for u in (u_old, u_new))
        return torch.distributions.kl_divergence(old, new)


@pytest.fixture
def registered() -> Iterator[None]:
    """The examples among the kinds, for one test."""
    before = dict(NETWORKS._entries), dict(DISTRIBUTIONS._entries)
    NETWORKS.add(SKIP)
    NETWORKS.add(NetworkKind(name="tiles", label="t", network=Tiles, make=lambda s, out, c, _: Tiles(tuple(s), out)))
    DISTRIBUTIONS.add(FIXED)
    yield
    NETWORKS._entries, DISTRIBUTIONS._entries = before


OBSERVED, ACTED = spaces.Box(-np.inf, np.inf, (3,)), spaces.Box(-1, 1, (2,))


def chosen(network: str = "skip", distribution: str = "auto", settings=None, **config) -> Policy:
    config = PolicyConfig(network=network, distribution=distribution, output_scale=1.0, **config)
    return make_policy(OBSERVED, ACTED, config, np.random.default_rng(0), settings)


def test_auto_takes_what_it_took_before(registered: None) -> None:
    frames = spaces.Box(0, 255, (4, 52, 40), np.uint8)
    for space in (frames, spaces.Box(0, 255, (96, 96, 3), np.uint8)):
        assert network_kind(space).name == "convnet" and network_kind(space, "mlp").name == "mlp"
    for space in (OBSERVED, spaces.Box(0, 255, (8,), np.uint8)):
        assert network_kind(space).name == "mlp"
        with pytest.raises(PlainError, match=r"policy\.network = 'convnet': does not fit the task"):
            network_kind(space, "convnet")
    assert chosen("auto").distribution == DiagonalGaussian(2)


def test_settings_come_with_the_kind(registered: None) -> None:
    assert chosen().network == Skip((3,), 16, 2)
    settings = {"skip": SkipSettings(width=5), "fixed_gaussian": FixedSettings(sigma=0.1)}
    policy = chosen(distribution="fixed-gaussian", settings=settings)
    assert (policy.network, policy.distribution) == (Skip((3,), 5, 2), FixedGaussian(2, 0.1))
    config = PolicyConfig(network="skip", distribution="fixed-gaussian")
    assert shapes_for(OBSERVED, ACTED, config, settings) == (policy.network, policy.distribution)
    assert policy.size == 3 * 5 + 5 * 2 + 3 * 2


def test_the_products_of_a_network_follow_from_its_forward(registered: None) -> None:
    policy = chosen()
    policy = policy.replace(theta=policy.theta.double(), normalizer=None)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3)))
    dense = reference.jacobian(policy, x)
    v, c = torch.randn(policy.size, dtype=torch.float64), torch.randn(5, policy.distribution.parameter_count).double()
    for _ in range(2):
        u, jvp, vjp = policy.linearize(x)
        assert torch.allclose(u, policy.parameters(x))
        assert torch.allclose(jvp(v), dense @ v)
        assert torch.allclose(vjp(c), torch.einsum("bud,bu->d", dense, c))
    assert torch.allclose(policy.evaluate(x), policy.parameters(x))


def test_they_are_the_same_from_several_threads(registered: None) -> None:
    network, generator = Skip((3,), 8, 2), np.random.default_rng(0)
    theta = network.initial(generator, 1.0)
    x = torch.from_numpy(generator.normal(size=(64, 3)).astype(np.float32))
    v = network.initial(generator, 1.0).numpy()
    with ThreadTeam(2) as team:
        parts = team.map(lambda rows: network.linearized(theta.numpy(), rows), x.split(8))
        products = team.map(lambda part: part.vjp(part.jvp(v)), parts)
    alone = network.linearized(theta.numpy(), x)
    np.testing.assert_allclose(sum(products), alone.vjp(alone.jvp(v)), rtol=1e-4)


@pytest.mark.parametrize("distribution", [FixedGaussian(2, 0.3), Logistic(), DiagonalGaussian(2)], ids=str)
def test_the_derivatives_of_a_distribution_follow(distribution: Distribution) -> None:
    generator = np.random.default_rng(0)
    outputs, d = (torch.from_numpy(generator.normal(size=(6, distribution.outputs))) for _ in range(2))
    own = torch.from_numpy(generator.normal(size=distribution.own_parameters))
    actions = torch.from_numpy(generator.normal(size=(6, *distribution.action_shape)))
    u, other = distribution.assemble(outputs, own), distribution.assemble(outputs + 0.3, own)
    slope = torch.func.vmap(torch.func.grad(lambda u, a: distribution.log_prob(u[None], a[None])[0]))(u, actions)
    assert torch.allclose(Distribution.score(distribution, u, actions), slope)
    slope = torch.func.vmap(torch.func.grad(lambda new, old: distribution.kl(old[None], new[None])[0]))(other, u)
    assert torch.allclose(Distribution.kl_slope(distribution, u, other), slope)
    metric = torch.func.vmap(
        torch.func.hessian(lambda new, old: distribution.kl(old[None], new[None])[0]), in_dims=(0, 0)
    )(u, u)[:, : distribution.outputs, : distribution.outputs]
    found = Distribution.output_metric(distribution, outputs.numpy(), own.numpy())
    for _ in range(2):
        np.testing.assert_allclose(found(d.numpy()), torch.einsum("bij,bj->bi", metric, d), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("distribution", ["auto", "fixed-gaussian"])
def test_it_acts_alone_and_side_by_side(registered: None, distribution: str) -> None:
    policy = chosen(distribution=distribution, normalize_observations=True)
    policy = policy.replace(normalizer=policy.normalizer.updated(np.random.default_rng(1).normal(size=(9, 3)) + 2))
    obs = np.random.default_rng(2).normal(size=(11, 3)).astype(np.float32)
    expected = policy.parameters(policy.features(obs)).numpy()
    actor = policy.actor(11)
    np.testing.assert_allclose(actor.parameters(obs), expected, rtol=1e-5, atol=1e-5)
    whole = actor.parameters(obs).copy()
    np.testing.assert_array_equal(actor.parameters(obs[:3]), whole[:3])
    others = [policy.replace(theta=policy.theta + shift) for shift in (0.0, 0.1, 0.2)]
    batched = BatchedActor(policy, 3)
    for row, other in enumerate(others):
        batched.assign(row, other.theta.numpy())
    found = batched.parameters(obs[:3])
    for row, other in enumerate(others):
        np.testing.assert_allclose(found[row], other.actor(1).parameters(obs[row : row + 1])[0], rtol=1e-5, atol=1e-5)
    assert ACTED.contains(policy(obs[0]))
    with torch.no_grad():
        torch.testing.assert_close(policy.to_module()(torch.from_numpy(obs)), torch.from_numpy(expected))


def test_a_network_of_pixels(registered: None) -> None:
    observed = spaces.Box(0, 255, (2, 14, 12), np.uint8)
    config = PolicyConfig(network="tiles", normalize_observations=False, output_scale=1.0)
    policy = make_policy(observed, spaces.Discrete(3), config, np.random.default_rng(0))
    obs = np.random.default_rng(1).integers(0, 256, (11, 2, 14, 12), dtype=np.uint8)
    features = policy.features(obs)
    assert isinstance(features, Frames)
    expected = policy.parameters(features)
    np.testing.assert_allclose(policy.actor(11).parameters(obs), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(policy.evaluate(features), expected)
    u, jvp, vjp = policy.linearize(features)
    torch.testing.assert_close(u, expected)
    v = policy.theta + 1
    (c,) = torch.autograd.functional.jvp(lambda theta: policy.parameters(features, theta), policy.theta, v)[1:]
    torch.testing.assert_close(jvp(v), c, rtol=1e-4, atol=1e-5)
    assert float(vjp(c) @ v) == pytest.approx(float((c * c).sum()), rel=1e-4)
    assert policy(obs[0]) in range(3)
    with pytest.raises(ValueError, match="normalize_observations"):
        config = PolicyConfig(network="tiles", normalize_observations=True)
        make_policy(observed, spaces.Discrete(3), config, np.random.default_rng(0))


def test_files_hold_kinds_and_need_them_registered(registered: None, tmp_path: Path) -> None:
    policy = chosen(distribution="fixed-gaussian", settings={"skip": SkipSettings(width=5)})
    policy.save(tmp_path / "p")
    found = read_policy(tmp_path / "p")[0]
    assert (found.network, found.distribution) == (policy.network, policy.distribution)
    assert torch.equal(found.theta, policy.theta)
    del NETWORKS._entries["skip"]
    with pytest.raises(PolicyFileError, match="its network is of the kind 'skip', which is not registered here"):
        read_policy(tmp_path / "p")
    with pytest.raises(ValueError, match="the network Skip is not registered"):
        policy.save(tmp_path / "q")
    assert not (tmp_path / "q").exists()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"network": "convnet"}, "policy.network = 'convnet': does not fit the task; use one of auto, mlp, skip"),
        ({"network": "resnet"}, "policy.network = 'resnet'"),
        ({"distribution": "categorical"}, "policy.distribution = 'categorical': .* auto, gaussian, fixed-gaussian"),
    ],
)
def test_kinds_that_do_not_fit_are_refused_in_a_sentence(registered: None, config: dict, said: str) -> None:
    with pytest.raises(PlainError, match=said):
        chosen(**config)


def test_what_is_no_network_or_distribution_cannot_be_registered() -> None:
    with pytest.raises(
        RegistrationError, match=r"network = <class 'torch.nn.modules.linear.Linear'>: must be a frozen"
    ):
        NETWORKS.add(NetworkKind(name="mine", label="mine", network=torch.nn.Linear, make=torch.nn.Linear))
    with pytest.raises(RegistrationError, match=r"distribution = .* derived from trpolab.policies.Distribution"):
        DISTRIBUTIONS.add(DistributionKind(name="mine", label="m", distribution=3, make=print, fits=print))
    with pytest.raises(RegistrationError, match="the name is taken"):
        NETWORKS.add(NetworkKind(name="mlp", label="mine", network=Skip, make=print))
    with pytest.raises(RegistrationError, match="make = None: must be a function"):
        NETWORKS.add(NetworkKind(name="mine", label="mine", network=Skip, make=None))


def test_a_distribution_of_another_kind_fits_the_same_actions(registered: None) -> None:
    policy = chosen(distribution="fixed-gaussian")
    assert policy.misfit(OBSERVED, ACTED) == ""
    assert "its actions are FixedGaussian" in policy.misfit(OBSERVED, spaces.Box(-1, 1, (3,)))
    assert "its actions are FixedGaussian" in policy.misfit(OBSERVED, spaces.Discrete(2))


@dataclass(frozen=True)
class Wide(Skip):
    """A network that gives one output more than it says."""

    def forward(self, theta, x):
        return torch.cat([super().forward(theta, x), x[:, :1]], 1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda *given: None, "NetworkKind 'skip': its make returned a NoneType, not a Network"),
        (
            lambda shape, outputs, *own: Wide((math.prod(shape),), 4, outputs),
            r"Wide.forward gives outputs \[2, 3\] for 2 inputs, expected \[2, 2\]",
        ),
    ],
    ids=("nothing", "one too many"),
)
def test_a_network_that_is_none_or_gives_other_outputs_is_told_at_the_start(monkeypatch, make, said):
    monkeypatch.setattr(NETWORKS, "_entries", {**NETWORKS, "skip": replace(SKIP, make=make)})
    spaces_given = spaces.Box(-1, 1, (3,)), spaces.Discrete(2)
    with pytest.raises(PlainError, match=said):
        make_policy(*spaces_given, PolicyConfig(network="skip"), np.random.default_rng(0))

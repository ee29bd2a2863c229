"""The paper's network for pixels: its size, its products against autograd, and frames kept once."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.reference import conv_total
from trpolab.policies import (
    Policy,
    PolicyFileError,
    convnet,
    make_policy,
    make_value,
    mlp,
    read_policy,
    save_policy,
)
from trpolab.policies import network as base
from trpolab.policies.activations import ACTIVATIONS
from trpolab.policies.categorical import FactoredCategorical
from trpolab.policies.config import PolicyConfig, ValueConfig
from trpolab.policies.convnet import ConvNet
from trpolab.policies.frames import Frames
from trpolab.policies.value_fit import FitStatus, fit_value
from trpolab.simulators import Atari, AtariGame, find_task

SMALL = (2, 14, 12)


def stacks(n: int, image: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *image), dtype=np.uint8)


def small_case(activation: str = "tanh", rows: int = 5) -> tuple[ConvNet, torch.Tensor, Frames]:
    network = ConvNet(SMALL, (3,), 4, activation, filters=3)
    theta = 0.3 * torch.from_numpy(np.random.default_rng(1).normal(size=network.size))
    return network, theta, Frames.of(stacks(rows, SMALL))


def pixel_policy(seed: int = 0, **settings: bool) -> Policy:
    task = find_task("ALE/Pong-v5")
    config = PolicyConfig(hidden=(20,), normalize_observations=False, output_scale=0.5, **settings)
    return make_policy(task.observation_space, task.action_space, config, np.random.default_rng(seed))


def test_the_papers_network_has_exactly_33500_parameters() -> None:
    policy = pixel_policy()
    assert policy.size == 33_500 == conv_total(52, 40, 3 + 3 + 2)
    assert policy.distribution == FactoredCategorical((3, 3, 2))


def test_the_larger_pixels_have_their_own_honest_count() -> None:
    task = find_task(AtariGame("ALE/Pong-v5", Atari(pixels="dqn")))
    config = PolicyConfig(hidden=(20,), normalize_observations=False)
    policy = make_policy(task.observation_space, task.action_space, config, np.random.default_rng(0))
    assert policy.size == conv_total(84, 84, 6) == 120_818
    assert conv_total(84, 84, 8) == 120_860


@pytest.fixture(params=["numpy", "torch"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once with NumPy between the convolutions, as on the CPU, and once with torch alone, as on other devices."""
    if request.param == "torch":
        for module in (mlp, base, convnet):
            monkeypatch.setattr(module, "as_array", lambda tensor: tensor.detach())


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_products_equal_the_jacobian(activation: str) -> None:
    network, theta, x = small_case(activation)
    dense = torch.autograd.functional.jacobian(lambda t: network.forward(t, x), theta)
    out, jvp, vjp = network.linearize(theta, x)
    v, c = torch.randn(network.size, dtype=torch.float64), torch.randn_like(out)
    assert torch.allclose(out, network.forward(theta, x), rtol=1e-12, atol=1e-12)
    assert torch.allclose(network.evaluate(theta, x), out, rtol=1e-12, atol=1e-12)
    assert torch.allclose(jvp(v), dense @ v, rtol=1e-9, atol=1e-9)
    assert torch.allclose(vjp(c), torch.einsum("buo,bu->o", dense, c), rtol=1e-9, atol=1e-9)
    assert torch.equal(vjp(c), vjp(c)), "calling twice gives the same: nothing kept is written over"


def test_forward_is_what_torchs_own_layers_compute() -> None:
    """Weights laid out as torch.nn.Conv2d has them; inputs as fractions of 255."""
    network, theta, x = small_case()
    one, two = (torch.nn.Conv2d(c, 3, 4, stride=2).double() for c in (2, 3))
    dense = [torch.nn.Linear(a, b).double() for a, b in zip(network.head.sizes, network.head.sizes[1:], strict=False)]
    layers = torch.nn.Sequential(
        one, torch.nn.Tanh(), two, torch.nn.Tanh(), torch.nn.Flatten(), dense[0], torch.nn.Tanh(), dense[1]
    )
    torch.nn.utils.vector_to_parameters(theta, layers.parameters())
    assert torch.allclose(network.forward(theta, x), layers(x.pixels().double() / 255), rtol=1e-12)


def test_rows_do_not_depend_on_their_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    network, theta, x = small_case(rows=9)
    whole = network.evaluate(theta, x)
    monkeypatch.setattr(ConvNet, "chunk", 2)
    assert torch.allclose(network.evaluate(theta, x), whole, rtol=1e-12)


def test_the_actor_gives_the_policys_parameters_whatever_the_block() -> None:
    policy, obs = pixel_policy(), stacks(5, (4, 52, 40))
    expected = policy.evaluate(policy.features(obs)).numpy()
    actor = policy.actor(8)
    for rows in (5, 1, 3):
        assert np.allclose(actor.parameters(obs[:rows]), expected[:rows], atol=1e-6)
    whole = actor.parameters(obs).copy()
    assert np.array_equal(whole[2], actor.parameters(obs[2:3])[0])
    crowd = stacks(37, (4, 52, 40))
    together = policy.actor(40).parameters(crowd).copy()
    for rows in (1, 7, 8, 9, 16, 17, 31):  # convolutions of other sizes, tiles filled otherwise
        assert np.array_equal(policy.actor(rows).parameters(crowd[:rows]), together[:rows])
        assert np.array_equal(policy.actor(40).parameters(crowd[-rows:]), together[-rows:])
    wide = policy.actor(40).parameters(np.tile(obs, (8, 1, 1, 1)))  # whatever the place, whatever the block
    assert np.array_equal(wide, np.tile(whole, (8, 1)))
    with pytest.raises(ValueError, match="expected at most"):
        actor.parameters(stacks(9, (4, 52, 40)))


def test_frames_are_the_stacks_that_share_them() -> None:
    film = np.random.default_rng(2).integers(0, 256, (18, 5, 3), dtype=np.uint8)
    firsts = [0, 4, 5, 6, 7, 8, 9, 13, 14]  # the oldest frame of each state of three paths
    frames = Frames(torch.from_numpy(film), torch.tensor(firsts)[:, None] + torch.arange(4))
    expected = np.stack([film[first : first + 4] for first in firsts])
    assert len(frames) == 9 and frames.shape == (9, 4, 5, 3)
    assert np.array_equal(frames.pixels().numpy(), expected)
    assert np.array_equal(frames.take([7, 0]), expected[[7, 0]])
    assert np.array_equal(frames[torch.tensor([3, 4])].pixels().numpy(), expected[3:5])
    assert [len(part) for part in frames.split(4)] == [4, 4, 1]
    joined = Frames.join([frames, Frames.of(expected[:2])])
    assert np.array_equal(joined.pixels().numpy(), np.concatenate([expected, expected[:2]]))


def test_a_pixel_policy_survives_its_file(tmp_path) -> None:
    policy = pixel_policy()
    save_policy(tmp_path / "policy.safetensors", policy, {"task": "ALE/Pong-v5"})
    again, about = read_policy(tmp_path / "policy.safetensors")
    assert again.network == policy.network and torch.equal(again.theta, policy.theta)
    assert about == {"task": "ALE/Pong-v5"}
    assert (tmp_path / "policy.safetensors").stat().st_size < 136_000


def test_a_file_whose_convolutions_do_not_fit_is_refused(tmp_path) -> None:
    save_policy(tmp_path / "policy.safetensors", pixel_policy(), {})
    content = (tmp_path / "policy.safetensors").read_bytes()
    changes = {b'stride\\": 2': b'stride\\": 3', b'filters\\": 16': b'filters\\": 99', b"4, 52, 40]": b"4, 52, 48]"}
    for right, wrong in changes.items():
        assert right in content
        (tmp_path / "wrong.safetensors").write_bytes(content.replace(right, wrong))
        with pytest.raises(PolicyFileError):
            read_policy(tmp_path / "wrong.safetensors")


def test_values_of_pixels_are_fitted() -> None:
    value = make_value((4, 52, 40), ValueConfig(hidden=(20,)), np.random.default_rng(0))
    assert value.network.size == conv_total(52, 40, 1)
    x = stacks(64, (4, 52, 40))
    x[::2] //= 4
    targets = np.where(np.arange(64) % 2 == 0, -3.0, 5.0)
    frames = Frames.of(x)
    config = ValueConfig(hidden=(20,), fit_fraction=1.0)
    for step in range(4):
        value, fit = fit_value(value, frames, targets, config, np.random.default_rng(step))
    assert fit.status is FitStatus.FITTED
    assert np.abs(value.values(frames) - targets).mean() < 1
    moved = value.rescaled(2.0, 3.0)
    assert np.allclose(moved.values(frames), value.values(frames), atol=1e-4)


def test_a_screen_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        ConvNet((4, 8, 8), (20,), 8)


def test_on_a_gpu_rows_follow_from_what_is_free_and_what_some_take(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, x = ConvNet((2, 14, 12), (3,), 2), torch.zeros(640, 2, 14, 12)
    gpu = SimpleNamespace(device=torch.device("cuda"), detach=lambda: gpu)
    monkeypatch.setattr(base, "memory_taken", lambda work: 64 * 1000)
    for free, expected in ((10_000, (64, 2)), (1_100_000, (128, 274)), (10**10, (64 * 64, 2_497_502))):
        monkeypatch.setattr(base, "free_memory", lambda free=free: free)
        assert shape.rows_at_once(gpu, x) == expected
    assert shape.rows_at_once(torch.zeros(1), x) == shape.rows_at_once(gpu, x[:0]) == (64, 2**14)

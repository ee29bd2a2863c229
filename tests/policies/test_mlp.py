"""Networks against torch's autograd, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trpolab.policies import mlp as networks
from trpolab.policies import network as base
from trpolab.policies.activations import ACTIVATIONS
from trpolab.policies.mlp import MLP

SHAPES = [((3, 2), True), ((3, 5, 2), True), ((3, 5, 4, 1), True), ((3, 5, 2), False)]


def case(sizes: tuple[int, ...], activation: str, bias: bool, rows: int = 7) -> tuple[MLP, torch.Tensor, torch.Tensor]:
    network, generator = MLP(sizes, activation, bias), np.random.default_rng(0)
    theta = torch.from_numpy(generator.normal(size=network.size))
    return network, theta, torch.from_numpy(generator.normal(size=(rows, sizes[0])) * 2)


@pytest.fixture(params=["numpy", "torch"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run once in NumPy, as on the CPU, and once in torch, as on other devices."""
    if request.param == "torch":
        for module in (networks, base):
            monkeypatch.setattr(module, "as_array", lambda tensor: tensor.detach())
    return request.param


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("sizes", "bias"), SHAPES)
def test_products_equal_the_jacobian(sizes: tuple[int, ...], bias: bool, activation: str, backend: str) -> None:
    network, theta, x = case(sizes, activation, bias)
    dense = torch.autograd.functional.jacobian(lambda t: network.forward(t, x), theta)
    out, jvp, vjp = network.linearize(theta, x)
    v, c = torch.randn(network.size, dtype=torch.float64), torch.randn_like(out)
    assert torch.allclose(out, network.forward(theta, x), rtol=1e-12, atol=1e-12)
    assert torch.allclose(network.evaluate(theta, x), network.forward(theta, x), rtol=1e-12, atol=1e-12)
    assert torch.allclose(jvp(v), dense @ v, rtol=1e-9, atol=1e-9)
    assert torch.allclose(vjp(c), torch.einsum("buo,bu->o", dense, c), rtol=1e-9, atol=1e-9)


def test_products_can_be_repeated_and_write_to_nothing(backend: str) -> None:
    network, theta, x = case((3, 5, 2), "tanh", True)
    before = theta.clone(), x.clone()
    _, jvp, vjp = network.linearize(theta, x)
    v, c = torch.ones(network.size, dtype=torch.float64), torch.ones(7, 2, dtype=torch.float64)
    first = jvp(v).clone(), vjp(c).clone()
    assert torch.equal(jvp(v), first[0])
    assert torch.equal(vjp(c), first[1])
    assert torch.equal(theta, before[0])
    assert torch.equal(x, before[1])
    assert bool((c == 1).all())


def test_evaluate_in_chunks_equals_one_pass() -> None:
    network, theta, x = case((3, 5, 2), "tanh", True, rows=2500)
    assert torch.allclose(network.evaluate(theta, x), network.forward(theta, x), rtol=1e-12)
    assert network.evaluate(theta, x[:0]).shape == (0, 2)


def test_size_counts_weights_and_biases() -> None:
    assert MLP((11, 64, 64, 3)).size == 11 * 64 + 64 + 64 * 64 + 64 + 64 * 3 + 3
    assert MLP((4, 2), bias=False).size == 8


def test_layout_is_weights_then_biases_layer_by_layer() -> None:
    network = MLP((2, 1, 1), "relu")
    theta = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    assert network.forward(theta, torch.tensor([[10.0, 100.0]])).item() == 4 * (10 + 200 + 3) + 5


def test_initialisation_is_orthogonal_with_the_gains_stated() -> None:
    network = MLP((6, 10, 4, 3))
    theta = network.initial(np.random.default_rng(0), 0.01)
    first, second, last = (layer.weight(theta.double()) for layer in network.layers)
    assert torch.allclose(first.T @ first, 2 * torch.eye(6).double(), atol=1e-6)
    assert torch.allclose(second @ second.T, 2 * torch.eye(4).double(), atol=1e-6)
    assert torch.allclose(last @ last.T, 1e-4 * torch.eye(3).double(), atol=1e-9)
    assert all(bool((layer.biases(theta) == 0).all()) for layer in network.layers)
    assert theta.dtype == torch.float32
    assert torch.equal(theta, network.initial(np.random.default_rng(0), 0.01))


@pytest.mark.parametrize("bad", [{"sizes": (3,)}, {"sizes": (3, 0, 1)}, {"sizes": (3, 1), "activation": "sine"}])
def test_impossible_shapes_raise(bad: dict) -> None:
    with pytest.raises(ValueError, match="must be"):
        MLP(**bad)

"""Policies as torch modules: the same numbers, and what torch can make of them."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch
from gymnasium import spaces

from tests import reference
from trpolab.policies import Policy, make_policy
from trpolab.policies.config import PolicyConfig


def a_policy(kind: str, **config) -> Policy:
    generator = np.random.default_rng(0)
    settings = {"hidden": (16, 8), "output_scale": 1.0, "normalize_observations": False, **config}
    if kind == "pixels":
        observed = spaces.Box(0, 255, (4, 20, 18), np.uint8)
        return make_policy(observed, spaces.MultiDiscrete([3, 2]), PolicyConfig(**settings), generator)
    policy = make_policy(spaces.Box(-1, 1, (2, 3)), reference.ACTION_SPACES[kind], PolicyConfig(**settings), generator)
    if policy.normalizer is None:
        return policy
    return policy.replace(normalizer=policy.normalizer.updated(generator.normal(size=(50, 2, 3)) * 3 + 1))


def observations(policy: Policy, rows: int) -> torch.Tensor:
    generator = np.random.default_rng(rows)
    if policy.sees_pixels:
        return torch.from_numpy(generator.integers(0, 256, (rows, *policy.obs_shape), dtype=np.uint8))
    return torch.from_numpy(generator.normal(size=(rows, *policy.obs_shape)).astype(np.float32) * 4)


CASES = [
    ("gaussian", {"normalize_observations": True}),
    ("gaussian", {"activation": "elu", "bias": False}),
    ("categorical", {"activation": "relu", "hidden": ()}),
    ("factored", {"activation": "softplus"}),
    ("pixels", {}),
    ("pixels", {"activation": "relu"}),
]


@pytest.mark.parametrize(("kind", "config"), CASES, ids=str)
def test_it_gives_the_parameters_of_the_policy(kind: str, config: dict) -> None:
    policy = a_policy(kind, **config)
    module, obs = policy.to_module(), observations(policy, 5)
    expected = policy.actor(5).parameters(obs.numpy()).copy()
    np.testing.assert_allclose(module(obs).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "shape", "wanted"), [("gaussian", (2, 3), r"\[B, 2, 3\]"), ("pixels", (4, 20, 18), r"\[B, 4, 20, 18\]")]
)
def test_one_observation_is_no_stack(kind: str, shape: tuple[int, ...], wanted: str) -> None:
    module = a_policy(kind).to_module()
    for other in (shape, (5, *shape[1:]), (1, 9, *shape[1:])):
        with pytest.raises(ValueError, match=rf"obs has shape .*: must be {wanted} for B observations"):
            module(torch.zeros(other))


@pytest.mark.parametrize(("kind", "config"), CASES, ids=str)
def test_torch_exports_it_for_any_number_of_rows(kind: str, config: dict) -> None:
    policy = a_policy(kind, **config)
    module = policy.to_module().eval()
    rows = torch.export.Dim("rows", min=1, max=1024)
    exported = torch.export.export(module, (observations(policy, 3),), dynamic_shapes=({0: rows},)).module()
    for count in (1, 3, 7):
        obs = observations(policy, count)
        torch.testing.assert_close(exported(obs), module(obs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "config"), CASES, ids=str)
def test_torch_traces_it_and_the_trace_can_be_saved(kind: str, config: dict) -> None:
    policy = a_policy(kind, **config)
    module = policy.to_module().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(module, observations(policy, 3))
        file = io.BytesIO()
        torch.jit.save(traced, file)
    assert file.tell() > 4 * policy.size
    for count in (1, 7):
        obs = observations(policy, count)
        torch.testing.assert_close(traced(obs), module(obs), rtol=1e-4, atol=1e-5)


def test_it_can_be_trained_further_and_the_policy_stays() -> None:
    policy = a_policy("gaussian", normalize_observations=True)
    module, before = policy.to_module(), policy.theta.clone()
    assert [name for name, _ in module.named_parameters()] == ["theta"]
    assert [name for name, _ in module.named_buffers()] == ["shift", "scale"]
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    module(observations(policy, 5)).square().sum().backward()
    optimizer.step()
    assert torch.equal(policy.theta, before) and not torch.equal(module.theta, before)
    again = a_policy("gaussian", normalize_observations=True, log_std=0.3).to_module()
    again.load_state_dict(module.state_dict())
    assert torch.equal(again(observations(policy, 5)), module(observations(policy, 5)))

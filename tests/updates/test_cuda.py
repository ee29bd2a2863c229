"""On a CUDA device: every kind of policy, every method and the value fit do what they do on the CPU up to float error.

Runs say where their updates ran, and what goes through the device at a time follows from its free memory.
"""

from __future__ import annotations

import dataclasses
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from tests.policies.test_kinds import FixedGaussian, Skip, Tiles
from tests.reference import ACTION_SPACES, step
from tests.simulators.environments import Corridor
from tests.training.test_pictures import Lights
from trpolab.numerics.device import device_name, exact_convolutions, free_memory
from trpolab.policies import (
    DISTRIBUTIONS,
    NETWORKS,
    Categorical,
    Learner,
    Policy,
    fit_value,
    make_policy,
    make_value,
)
from trpolab.policies.activations import ACTIVATIONS
from trpolab.policies.config import PolicyConfig, ValueConfig
from trpolab.policies.convnet import ConvNet
from trpolab.policies.frames import Frames
from trpolab.sampling.batch import Batch, Episodes, Estimator
from trpolab.selftest.expect import expect_same
from trpolab.training.config import Config
from trpolab.training.session import Session, train
from trpolab.updates import METHODS, Problem
from trpolab.updates.landscape import landscape

CUDA = "cuda"
on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")

OBSERVED = {"mlp": spaces.Box(-np.inf, np.inf, (3,)), "convnet": spaces.Box(0, 255, (2, 14, 12), np.uint8)}
GRADIENT = [name for name, kind in METHODS.items() if not kind.searches]
# With little damping conjugate gradient magnifies rounding: float32 and float64 then differ by a tenth, on one device.
UPDATE = {"delta": 0.01, "damping": 10.0, "fisher_fraction": 0.5}
SMALL: dict[str, Any] = {"steps_per_iteration": 256, "slots": 4, "hidden": (8,), "value.hidden": (8,)}


def policy(network: str, distribution: str, activation: str = "tanh") -> Policy:
    config = PolicyConfig(hidden=(8,), activation=activation, normalize_observations=False, output_scale=1.0)
    return make_policy(OBSERVED[network], ACTION_SPACES[distribution], config, np.random.default_rng(0))


def outside(network: str) -> Policy:
    """Of kinds from outside the package, which have a `forward`, a KL and little else."""
    if network == "skip":
        shape, shown = Skip((3,), 5, 2), (3,)
    else:
        shape, shown = Tiles((2, 14, 12), 2), (2, 14, 12)
    theta = shape.initial(np.random.default_rng(0), 1.0)
    return Policy(shape, FixedGaussian(2, 0.3), theta, None, shown)


KINDS = {
    **{"-".join(pair): policy(*pair) for pair in product(OBSERVED, ACTION_SPACES)},
    **{
        "-".join((network, name)): policy(network, "categorical", name)
        for network, name in product(OBSERVED, ACTIVATIONS)
    },
    **{name: outside(name) for name in ("skip", "tiles")},
}


def batch(of: Policy, actions: int = 2, obs: Any = None) -> Batch:
    """States at random unless given, actions of the policy itself, and values Q̂ that depend on them."""
    rng = np.random.default_rng(1)
    shown = (300, *of.obs_shape)
    if obs is None and of.sees_pixels:
        obs = Frames.of(rng.integers(0, 256, shown, dtype=np.uint8))
    elif obs is None:
        obs = rng.normal(size=shown).astype(np.float32)
    states = len(obs)
    features = of.features(obs)
    old = of.evaluate(features if of.sees_pixels else torch.from_numpy(features))
    each = old.repeat_interleave(actions, 0)
    tried = of.distribution.sample_from(each.numpy(), of.distribution.noise(rng, (len(each),)))
    log_q = of.distribution.log_prob(each, torch.from_numpy(tried)).reshape(states, actions).numpy()
    return Batch(
        obs=obs,
        actions=tried.reshape(states, actions, *tried.shape[1:]),
        log_q=log_q,
        q_values=tried.reshape(states, actions, -1).sum(-1) + rng.normal(size=(states, actions)),
        weights=np.ones(states),
        path=np.zeros(states, int),
        t=np.arange(states),
        old=old.numpy(),
        constraint_obs=obs,
        constraint_old=old.numpy(),
        estimator=Estimator.IMPORTANCE,
        episodes=Episodes(np.zeros(0), np.zeros(0, int)),
        sim_steps=states,
    )


def assert_close(one: Tensor, other: Tensor, rounding: float = 1e-4) -> None:
    """Equal up to a share of their length, and both on the CPU."""
    assert one.device.type == other.device.type == "cpu"
    assert float((one - other).norm()) <= rounding * float(one.norm())


def assert_same_step(of: Policy, data: Batch, **settings: Any) -> None:
    """A step on the CPU and one on the device: direction, KL, and whether it was accepted."""
    steps = [
        step(Learner(of), data, Config().replace(**UPDATE, **settings, device=device), np.random.default_rng(0))
        for device in ("cpu", CUDA)
    ]
    (here, found), (there, told) = steps
    assert (found.outcome, found.message) == (told.outcome, told.message) and found.outcome.accepted
    assert_close(found.gradient, told.gradient, 1e-5)
    if found.full_step is not None:
        assert_close(found.full_step, told.full_step)
    assert_close(here.policy.theta - of.theta, there.policy.theta - of.theta)
    for name in ("kl_mean", "kl_max", "surrogate_gain", "expected_gain", "entropy"):
        assert getattr(told, name) == pytest.approx(getattr(found, name), rel=1e-3, abs=1e-6), name


def test_every_kind_of_the_registries_is_tried() -> None:
    assert set(ACTION_SPACES) == set(DISTRIBUTIONS) and set(OBSERVED) == set(NETWORKS)


@on_cuda
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_policy_takes_the_same_step(kind: str) -> None:
    assert_same_step(KINDS[kind], batch(KINDS[kind]))


@on_cuda
@pytest.mark.parametrize("fisher", ["gauss_newton", "hessian", "empirical"])
@pytest.mark.parametrize("kind", ["mlp-gaussian", "mlp-factored", "convnet-gaussian", "convnet-factored", "skip"])
def test_every_kind_of_fisher_matrix_is_the_same(kind: str, fisher: str) -> None:
    chosen, v = KINDS[kind], torch.from_numpy(np.random.default_rng(2).normal(size=KINDS[kind].size))
    with exact_convolutions():
        here, there = (
            Problem(chosen, batch(chosen), device).fisher(0.5, np.random.default_rng(0), fisher)(v.to(device)).cpu()
            for device in ("cpu", CUDA)
        )
    assert_close(here, there, 1e-5)


@on_cuda
@pytest.mark.parametrize("method", GRADIENT)
def test_every_method_takes_the_same_step_on_pixels(method: str) -> None:
    chosen = KINDS["convnet-categorical"]
    assert_same_step(chosen, batch(chosen), method=method)


@on_cuda
@pytest.mark.parametrize("method", METHODS)
def test_every_method_does_the_same_iteration(method: str) -> None:
    here, there = (
        train("paper/CartPole", out=None, method=method, iterations=1, seed=4, device=device)
        for device in ("cpu", CUDA)
    )
    row, other = here.history[0], there.history[0]
    assert (row["outcome"], row["return_mean"]) == (other["outcome"], other["return_mean"])
    assert_close(here.policy.theta, there.policy.theta, 1e-3)


@on_cuda
@pytest.mark.parametrize("task", ["CartPole-v1", "Pendulum-v1", Corridor, Lights], ids=str)
@pytest.mark.parametrize("sampler", ["single-path", "vine"])
def test_a_run_of_two_iterations(task: Any, sampler: str) -> None:
    """Categorical, Gaussian and factored actions, and pictures: from the first batch, which is the same, on."""
    vine = {"vine.trunks": 2, "vine.trunk_length": 30, "vine.states": 20, "vine.actions": 3, "vine.rollout_length": 5}
    settings = {**SMALL, **(vine if sampler == "vine" else {}), "sampler": sampler, "iterations": 2, "out": None}
    here, there = (train(task, **settings, device=device) for device in ("cpu", CUDA))
    first, other = here.history[0], there.history[0]
    assert [row["outcome"].split("_")[0] for row in there.history] == ["accepted"] * 2
    assert first["return_mean"] == other["return_mean"] and first["entropy"] == pytest.approx(other["entropy"])
    assert other["kl_mean"] == pytest.approx(first["kl_mean"], rel=0.02)
    second, last = here.history[1]["explained_variance"], there.history[1]["explained_variance"]
    assert last == (None if second is None else pytest.approx(second, abs=0.1))
    assert [event["device"] for event in there.events if event["event"] == "device"] == [device_name(CUDA)]
    assert there.policy.theta.device.type == "cpu"


@on_cuda
@pytest.mark.parametrize("network", OBSERVED)
def test_a_value_function_is_fitted_and_evaluated_alike(network: str) -> None:
    chosen = KINDS[f"{network}-categorical"]
    features = chosen.features(batch(chosen).obs)
    targets = np.random.default_rng(3).normal(size=len(features)).cumsum()
    config, fresh = ValueConfig(hidden=(8,)), np.random.default_rng(0)
    start = make_value(chosen.network.inputs, config, fresh)
    fits = []
    for device in ("cpu", CUDA):
        value = dataclasses.replace(start, device=device)
        for seed in range(3):
            value, fit = fit_value(value, features, targets, config, np.random.default_rng(seed))
        fits.append((value, fit))
    (here, fit), (there, other) = fits
    assert fit.accepted_steps == other.accepted_steps and there.theta.device.type == "cpu"
    np.testing.assert_allclose(here.values(features), there.values(features), rtol=1e-2, atol=1e-2 * targets.std())


@on_cuda
def test_the_surroundings_of_a_step_can_be_drawn() -> None:
    chosen = KINDS["mlp-gaussian"]
    config = Config().replace(**UPDATE, device=CUDA)
    data = batch(chosen)
    _, found = step(Learner(chosen), data, config, np.random.default_rng(0))
    seen = landscape(chosen, data, found, config.trust, others={"gradient": found.gradient})
    taken = int(np.argmin(abs(seen.fractions - found.step_fraction)))
    assert seen.kl[taken] == pytest.approx(found.kl_mean, rel=0.01)


# Runs


@on_cuda
@pytest.mark.parametrize("task", ["Pendulum-v1", Lights], ids=str)
def test_a_run_repeats_itself_and_is_gone_on_with_to_the_bit(task: Any, tmp_path: Path) -> None:
    whole = train(task, **SMALL, iterations=4, out=None, device=CUDA)
    expect_same(train(task, **SMALL, iterations=4, out=None, device=CUDA), whole)
    path = train(task, **SMALL, iterations=2, out=tmp_path, device=CUDA).path
    again = Session(task, resume=path, iterations=4).run()
    expect_same(again, whole)
    assert [event["iteration"] for event in again.events if event["event"] == "device"] == []


@on_cuda
def test_a_run_changes_its_device_and_says_so(tmp_path: Path) -> None:
    path = train("Pendulum-v1", **SMALL, iterations=2, out=tmp_path).path
    told: list[str] = []
    for device, iterations in ((CUDA, 4), ("auto", 5), ("cpu", 6)):
        again = Session(resume=path, iterations=iterations, device=device)
        again.on_trouble(lambda sentence: told.append(sentence) if sentence.startswith("device") else None)
        assert again.run().history[-1]["outcome"].startswith("accepted")
    assert [sentence.split(" the update")[0] for sentence in told] == [
        "device: from iteration 3 on",
        "device: from iteration 6 on",
    ]
    assert all(device_name(CUDA) in sentence and "bits may differ" in sentence for sentence in told)


# Memory


@on_cuda
def test_a_full_device_gets_fewer_rows_at_a_time() -> None:
    network = ConvNet((4, 52, 40), (20,), 3)
    theta = network.initial(np.random.default_rng(0), 1.0)
    chosen, states = Policy(network, Categorical(3), theta, None, (4, 52, 40)), 5_000
    frames = np.random.default_rng(1).integers(0, 256, (states + 3, 52, 40), dtype=np.uint8)
    data = batch(chosen, 1, Frames(torch.from_numpy(frames), torch.arange(states)[:, None] + torch.arange(4)))
    v = torch.ones(chosen.size, dtype=torch.float64, device=CUDA)

    def numbers() -> tuple[int, int, Tensor, Tensor, float]:
        problem = Problem(chosen, data, CUDA)
        kl = problem.evaluate(problem.theta + 0.001).kl_mean
        return problem.chunk, problem.kept, problem.gradient().cpu(), problem.fisher()(v).cpu(), kl

    with exact_convolutions():
        chunk, kept, *roomy = numbers()
    ballast = torch.empty(free_memory() - 150 * 2**20, dtype=torch.uint8, device=CUDA)
    try:
        with exact_convolutions():
            smaller, fewer, *tight = numbers()
    finally:
        del ballast
        torch.cuda.empty_cache()
    assert smaller < chunk and fewer < kept and fewer < states
    assert_close(tight[0], roomy[0], 1e-4)
    assert_close(tight[1], roomy[1], 1e-4)
    assert tight[2] == pytest.approx(roomy[2], rel=1e-3)

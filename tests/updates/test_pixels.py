"""Updates of policies that see pixels: against dense matrices, and in chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.reference import step
from trpolab.policies import Categorical, Learner, Policy
from trpolab.policies.convnet import ConvNet
from trpolab.policies.frames import Frames
from trpolab.sampling.batch import Batch, Episodes, Estimator
from trpolab.training.config import Config
from trpolab.updates import Outcome, Problem

IMAGE, ACTIONS, ROWS = (2, 14, 12), 4, 12


def policy(dtype: torch.dtype = torch.float64) -> Policy:
    network = ConvNet(IMAGE, (3,), ACTIONS, filters=2)
    theta = 0.4 * torch.from_numpy(np.random.default_rng(0).normal(size=network.size))
    return Policy(network, Categorical(ACTIONS), theta.to(dtype), None, IMAGE)


def batch(of: Policy, frames: bool = True) -> Batch:
    """Random screens, actions and Q̂, as single path would have collected them."""
    rng = np.random.default_rng(1)
    stacks = rng.integers(0, 256, (ROWS, *IMAGE), dtype=np.uint8)
    old = of.evaluate(of.features(stacks)).numpy()
    actions = rng.integers(0, ACTIONS, ROWS)
    log_q = of.distribution.log_prob(torch.from_numpy(old), torch.from_numpy(actions)).numpy()
    obs = Frames.of(stacks) if frames else stacks
    return Batch(
        obs=obs,
        actions=actions[:, None],
        log_q=log_q[:, None],
        q_values=rng.normal(size=(ROWS, 1)),
        weights=np.ones(ROWS),
        path=np.zeros(ROWS, int),
        t=np.arange(ROWS),
        old=old,
        constraint_obs=obs,
        constraint_old=old,
        estimator=Estimator.IMPORTANCE,
        episodes=Episodes(np.zeros(0), np.zeros(0, int)),
        sim_steps=ROWS,
    )


def test_products_equal_the_hessian_of_the_kl() -> None:
    chosen = policy()
    problem = Problem(chosen, batch(chosen))
    features = problem.features

    def kl(theta: torch.Tensor) -> torch.Tensor:
        return chosen.distribution.kl(problem.old, chosen.parameters(features, theta)).mean()

    dense = torch.autograd.functional.hessian(kl, chosen.theta)
    v = torch.randn(chosen.size, dtype=torch.float64)
    assert torch.allclose(problem.fisher()(v), dense @ v, rtol=1e-8, atol=1e-10)
    assert torch.allclose(problem.fisher(kind="hessian")(v), dense @ v, rtol=1e-8, atol=1e-10)


def test_the_gradient_equals_autograds() -> None:
    chosen = policy()
    data = batch(chosen)
    problem = Problem(chosen, data)
    theta = chosen.theta.clone().requires_grad_()
    log_p = chosen.distribution.log_prob(chosen.parameters(problem.features, theta), problem.samples.actions)
    weights = (log_p - problem.samples.log_q[:, 0]).exp()
    (weights * problem.samples.q_values[:, 0]).mean().backward()
    assert torch.allclose(problem.gradient(), theta.grad, rtol=1e-8, atol=1e-12)


def test_chunks_and_what_is_kept_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = policy()
    v = torch.randn(chosen.size, dtype=torch.float64)

    def numbers() -> list[torch.Tensor]:
        problem = Problem(chosen, batch(chosen))
        return [problem.gradient(), problem.fisher()(v), torch.tensor(problem.evaluate(chosen.theta + 0.01).kl_mean)]

    expected = numbers()
    monkeypatch.setattr(ConvNet, "chunk", 5)
    monkeypatch.setattr(ConvNet, "kept_rows", 0)
    for one, other in zip(numbers(), expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("frames", [True, False], ids=["frames", "stacks"])
def test_a_step_is_accepted_within_the_bound(frames: bool) -> None:
    chosen = policy(torch.float32)
    data = batch(chosen, frames)
    settings = Config().replace(delta=0.01, damping=1e-3, fisher_fraction=1.0)
    learner, found = step(Learner(chosen), data, settings, np.random.default_rng(0))
    assert found.outcome.accepted and found.kl_mean <= 0.01 and found.surrogate_gain > 0
    moved = learner.policy.evaluate(learner.policy.features(data.obs))
    assert abs(float(chosen.distribution.kl(torch.from_numpy(data.old), moved).mean()) - found.kl_mean) < 1e-5


def test_a_batch_of_equal_values_is_skipped() -> None:
    chosen = policy(torch.float32)
    data = batch(chosen)
    data.q_values[:] = 1.0
    _, found = step(Learner(chosen), data, Config(), np.random.default_rng(0))
    assert found.outcome is Outcome.SKIPPED_DEGENERATE_BATCH

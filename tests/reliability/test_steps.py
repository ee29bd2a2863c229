"""R12 to R15: updates that have nowhere to go, seen through a whole run."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import reference
from tests.faults.points import instead, plant, replace
from tests.reference import step
from trpolab.policies import Learner, read_policy
from trpolab.runs.reader import read_metrics
from trpolab.selftest.physics import LineWalk
from trpolab.training.config import Config
from trpolab.training.session import Session
from trpolab.updates import Outcome

SMALL = {"steps_per_iteration": 160, "slots": 4, "fisher_fraction": 1.0}


@pytest.mark.reliability("R12")
@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_a_dead_network_takes_a_finite_step_within_delta(damping: float) -> None:
    """All hidden units of a ReLU network are off: the Fisher matrix is singular; σ and the last biases can move."""
    policy = reference.small_policy(activation="relu", hidden=(4,))
    theta = policy.theta.clone()
    layer = policy.network.layers[0]
    theta[layer.split : layer.end] = -100.0
    policy = policy.replace(theta=theta)
    batch = reference.small_batch(policy, states=40)
    assert (
        float(torch.linalg.eigvalsh(reference.dense_fisher(policy, reference.features64(policy, batch.obs))).min())
        < 1e-12
    )
    config = Config().replace(delta=0.01, damping=damping, fisher_fraction=1.0)
    learner, found = step(Learner(policy), batch, config, np.random.default_rng(0))
    assert bool(learner.policy.theta.isfinite().all())
    assert found.outcome in (Outcome.ACCEPTED, Outcome.ACCEPTED_AFTER_BACKTRACK), found.message
    assert found.kl_mean <= 0.01 * 1.0001
    assert not torch.equal(learner.policy.theta, policy.theta)


@pytest.mark.reliability("R12")
@pytest.mark.parametrize("curvature", [-1.0, 0.0])
def test_a_run_without_positive_curvature_stands_still(curvature: float, monkeypatch) -> None:
    replace("update: Fisher product", instead(lambda *given: lambda v: curvature * v), monkeypatch)
    session = Session("CartPole-v1", out=None, iterations=3, damping=0.0, **SMALL)
    start = session.policy.theta
    session.run()
    assert [row["outcome"] for row in session.history] == ["rejected_nonpositive_curvature"] * 3
    assert session.policy.theta is start
    assert [row["kl_mean"] for row in session.history] == [None] * 3


@pytest.mark.reliability("R13")
def test_a_search_that_cannot_succeed_leaves_theta_and_writes_null(tmp_path: Path, monkeypatch) -> None:
    plant("a line search that gains nothing", monkeypatch)
    session = Session("CartPole-v1", out=tmp_path, iterations=2, **SMALL)
    start, copy = session.policy.theta, session.policy.theta.clone()
    session.run()
    assert session.policy.theta is start and torch.equal(start, copy)
    for line in (session.path / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        assert (record["outcome"], record["kl_mean"], record["step_fraction"]) == ("rejected_line_search", None, None)
        assert '"kl_mean": null' in line
    assert session.learner.value.fits == 2, "the value function moves on"


class Worthless(LineWalk):
    """Pays nothing, until it is told to."""

    def __init__(self, pays: list[bool]):
        super().__init__(lambda env, obs, reward: (obs, reward if pays[0] else 0.0))


@pytest.mark.reliability("R14")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"advantage": "monte_carlo", "path.whole": True, "path.horizon": 20},
        {"sampler": "vine", "vine.states": 5, "vine.rollout_length": 5},
    ],
    ids=["gae", "monte carlo", "vine"],
)
def test_rewards_that_are_always_zero_are_skipped_without_a_storm(settings: dict, tmp_path: Path, capfd) -> None:
    pays = [False]
    session = Session(lambda: Worthless(pays), out=tmp_path, iterations=6, **SMALL, **settings)
    start = session.policy.theta
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for iteration in session.iterate():
            assert iteration.metrics["outcome"] == "skipped_zero_gradient", iteration.metrics["message"]
            assert iteration.learner.policy.theta is start
            if iteration.index == 4:
                break
    assert [event["event"] for event in session.events] == ["skipped_zero_gradient"], "told once, not every iteration"
    assert len(read_metrics(session.path)) == 4, "the metrics have every one"
    pays[0] = True
    session.run()
    assert session.history[-1]["outcome"].startswith("accepted"), "what comes later is learned from"
    assert capfd.readouterr() == ("", "")


@pytest.mark.reliability("R15")
@pytest.mark.parametrize("level", [-200.0, 200.0])
def test_sigma_driven_far_out_is_clamped_counted_and_can_still_be_sampled(level: float, tmp_path: Path) -> None:
    session = Session(LineWalk, out=tmp_path, iterations=4, delta=1e-9, **SMALL)
    policy = session.policy
    theta = policy.theta.clone()
    theta[-1] = level
    session.progress.learner = session.learner.replace(policy=policy.replace(theta=theta))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches = [iteration.batch for iteration in session.iterate()]
    sigma = math.exp(-5.0) if level < 0 else math.exp(2.0)
    spread = np.std(batches[0].actions[:, 0] - batches[0].old[:, :1])
    assert spread == pytest.approx(sigma, rel=0.2)
    assert session.history[0]["log_std_clamped"] == 1
    assert all(row["outcome"] != "skipped_nonfinite" for row in session.history)
    told = [event for event in session.events if event["event"] == "warning" and event["about"] == "σ"]
    assert len(told) == 1 and "1 log σ stand on a bound" in told[0]["message"]


def test_sigma_stays_above_what_a_person_chose_and_comes_back_from_there(tmp_path: Path) -> None:
    given = {"steps_per_iteration": 400, "delta": 0.1, "seed": 3}
    floor = {"gaussian.least_log_std": -0.5}

    def levels(session: Session) -> list[float]:
        """log σ after each iteration."""
        return [float(done.learner.policy.theta[-1]) for done in session.iterate()]

    free = levels(Session("Pendulum-v1", out=None, iterations=8, **given))
    kept = levels(Session("Pendulum-v1", out=None, iterations=8, **given, **floor))
    assert min(free) < -0.5 and min(kept) == -0.5 == kept[0] and max(kept[1:4]) > -0.45
    first = Session("Pendulum-v1", out=tmp_path, iterations=1, **given, **floor).run()
    again = Session(resume=first.path, iterations=8)
    assert levels(again) == kept[1:]
    sunk = again.policy.replace(theta=torch.full_like(again.policy.theta, -3.0))
    sunk.save(tmp_path / "sunk")
    assert read_policy(tmp_path / "sunk")[0].parameters(np.zeros((1, 3), np.float32))[0, 1] == -0.5


@pytest.mark.reliability("R15")
def test_a_policy_without_sigma_has_nothing_to_clamp() -> None:
    session = Session("CartPole-v1", out=None, iterations=1, **SMALL).run()
    assert session.history[0]["log_std_clamped"] is None

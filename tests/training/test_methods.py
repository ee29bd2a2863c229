"""Every method in the loop: runs, repeats, is switched to and from, and leaves out what does not apply to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trpolab.sampling.evaluate import play_episodes
from trpolab.training.session import Session, train
from trpolab.updates import METHODS

TASK = "paper/CartPole"
SEARCHES = [name for name, kind in METHODS.items() if kind.searches]
OF_BATCHES = ("surrogate_gain", "expected_gain", "kl_mean", "kl_max", "gradient_norm", "entropy")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_on_the_papers_cart_pole_and_repeats_itself(method: str) -> None:
    first, again = (train(TASK, out=None, method=method, iterations=3, seed=4) for _ in range(2))
    assert first.state == "finished"
    assert torch.equal(first.policy.theta, again.policy.theta)
    assert [row["return_mean"] for row in first.history] == [row["return_mean"] for row in again.history]
    for row in first.history:
        assert row["method"] == method
        assert row["outcome"].startswith("accepted"), row["message"]
        assert (row["delta"] is None) == (not METHODS[method].bounds_kl)
        assert (row["spread"] is None) == (method not in SEARCHES)
        assert all((row[name] is None) == (method in SEARCHES) for name in OF_BATCHES)
        assert (row["penalty"] is None) == (method != "kl_penalty")


@pytest.mark.parametrize("method", SEARCHES)
def test_a_search_counts_all_its_steps_and_leaves_normaliser_and_values_alone(method: str) -> None:
    session = Session(TASK, out=None, method=method, iterations=2, seed=1, **{f"{method}.episodes": 2})
    loop = session.iterate()
    first = next(loop)
    normalizer = first.learner.policy.normalizer
    second = next(loop)
    loop.close()
    assert second.learner.policy.normalizer is normalizer
    assert normalizer is not None and normalizer.count > 0
    assert second.learner.value is None
    assert second.batch.sim_steps == second.batch.episodes.lengths.sum() == second.metrics["batch_steps"]
    assert second.metrics["sim_steps"] == first.metrics["sim_steps"] + second.batch.sim_steps
    assert len(second.batch.episodes.returns) == 2 * len(second.batch.candidates)
    assert second.metrics["episodes_dropped"] == 0


@pytest.mark.parametrize("method", SEARCHES)
def test_threads_change_nothing(method: str) -> None:
    runs = [
        train("Reacher-v5", out=None, method=method, hidden=(), iterations=2, threads=threads, slots=8)
        for threads in (1, 2)
    ]
    assert torch.equal(runs[0].policy.theta, runs[1].policy.theta)


def test_methods_may_be_switched_between_iterations() -> None:
    """TRPO, CEM, TRPO: what TRPO had under way is dropped and counted, and each begins where the other ended."""
    session = Session(TASK, out=None, iterations=6, seed=2)
    seen = []
    for done in session.iterate():
        seen.append(done)
        if done.index in (2, 4):
            session.controls.replace(method="cem" if done.index == 2 else "trpo")
    assert [done.metrics["method"] for done in seen] == ["trpo", "trpo", "cem", "cem", "trpo", "trpo"]
    assert seen[2].metrics["changed"] == {"method": "cem"}
    assert seen[2].metrics["episodes_dropped"] > 0
    before, drawn = seen[1].learner.policy.theta.numpy(), seen[2].batch.candidates
    assert np.abs(drawn.mean(axis=0) - before).max() < 5 * seen[2].config.cem.std / np.sqrt(len(drawn))
    assert seen[3].learner.state and not seen[4].learner.state
    assert seen[4].metrics["kl_mean"] is not None
    assert seen[4].learner.value is not None


def test_the_cross_entropy_method_solves_the_papers_cart_pole() -> None:
    session = Session(TASK, out=None, method="cem", iterations=100, seed=3)
    for done in session.iterate():
        if done.metrics["sim_steps"] > 90_000:
            break
    assert play_episodes(session.policy, TASK, 20, seed=5).mean >= 4750

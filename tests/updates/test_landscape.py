"""L and the KL around a step, held to the update's own numbers and to dense twins."""

from __future__ import annotations

import dataclasses
import itertools
import time

import numpy as np
import pytest
import torch

from tests import reference
from tests.updates.methods.steps import KINDS, kl_of, update
from trpolab.policies import Policy
from trpolab.sampling.batch import Batch, Estimator
from trpolab.updates import METHODS, Diagnostics, Outcome
from trpolab.updates import landscape as surroundings
from trpolab.updates.config import TrustRegion
from trpolab.updates.landscape import Landscape, affordable_rows, landscape


def around(policy: Policy, batch: Batch, found: Diagnostics, rows=None, others=None, bounded="kl_mean", **settings):
    trust = TrustRegion(**{"delta": 0.01, "fisher_fraction": 1.0, **settings})
    return landscape(policy, batch, found, trust, rows=rows, others=others, bounded=bounded)


def gain_of(policy: Policy, batch: Batch, move: torch.Tensor) -> float:
    start, reached = (reference.surrogate_by_loops(policy, batch, at) for at in (policy.theta, policy.theta + move))
    return reached - start


def axes_of(policy: Policy, batch: Batch, found: Diagnostics, seen: Landscape, damping: float):
    """βs and the vector across it, by dense matrices: the plane's basis."""
    step = found.beta * found.cg.x
    g = reference.numeric_gradient(lambda t: reference.surrogate_by_loops(policy, batch, t), policy.theta)
    across = g - step * (g @ step) / (step @ step)
    fisher = reference.dense_fisher(policy, reference.features64(policy, batch.constraint_obs))
    fisher += damping * torch.eye(policy.size, dtype=torch.float64)
    return step, across * (seen.plane.model[2] / float(across @ fisher @ across)) ** 0.5, fisher


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("delta", [0.01, 0.5])
def test_at_the_trials_it_says_what_the_update_saw(kind: str, delta: float) -> None:
    policy = reference.small_policy(kind)
    batch = reference.small_batch(policy, states=40)
    policy = policy.replace(theta=policy.theta.float())
    _, found = update("trpo", policy, batch, delta=delta, damping=1e-3)
    seen = around(policy, batch, found, delta=delta, damping=1e-3)
    at = {fraction: pair for fraction, *pair in zip(seen.fractions, seen.gain, seen.kl, strict=True)}
    for trial in found.search.trials:
        assert at[trial.fraction] == [trial.gain, trial.constraint]
    assert at[found.step_fraction] == [found.surrogate_gain, found.kl_mean]
    assert at[0.0] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert seen.states == seen.of == 40


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("estimator", "actions"), [(Estimator.IMPORTANCE, 1), (Estimator.SELF_NORMALIZED, 4)])
def test_the_plane_is_that_of_dense_evaluation(kind: str, estimator: Estimator, actions: int) -> None:
    policy = reference.small_policy(kind)
    batch = reference.small_batch(policy, states=15, actions=actions, estimator=estimator)
    _, found = update("trpo", policy, batch, damping=0.1)
    seen = around(policy, batch, found, damping=0.1)
    plane = seen.plane
    step, across, fisher = axes_of(policy, batch, found, seen, 0.1)
    for i, j in ((0, 0), (8, 2), (3, 7), (5, 5)):
        move = plane.x[j] * step + plane.y[i] * across
        assert plane.gain[i, j] == pytest.approx(gain_of(policy, batch, move), abs=1e-9)
        assert plane.kl[i, j] == pytest.approx(float(kl_of(policy, batch, policy.theta + move).mean()), abs=1e-9)
    a, b, c = plane.model
    dense = [float(p @ fisher @ q) for p, q in ((step, step), (step, across), (across, across))]
    assert [a, b, c] == pytest.approx(dense, rel=1e-6)
    assert a / 2 == pytest.approx(0.01) == seen.curvature / 2  # the full step spends δ of the model
    assert float(step @ across) == pytest.approx(0, abs=1e-9)
    height = max(y * (2 * 0.01 / (a * x * x + 2 * b * x * y + c * y * y)) ** 0.5 for x, y in rays())
    assert height == pytest.approx(1.0, rel=1e-3)  # y is counted in half ellipses
    assert plane.slope == pytest.approx((found.expected_gain / found.step_fraction, plane.slope[1]))


def rays() -> list[tuple[float, float]]:
    return [(float(np.cos(angle)), float(np.sin(angle))) for angle in np.linspace(0, np.pi, 2000)]


def test_trpos_full_step_is_where_l_is_largest_on_the_models_ellipse() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    _, found = update("trpo", policy, batch, damping=0.1, cg_iterations=200)
    plane = around(policy, batch, found, damping=0.1).plane
    a, b, c = plane.model
    p, q = plane.slope
    best = max(
        (p * x + q * y) * (2 * 0.01 / (a * x * x + 2 * b * x * y + c * y * y)) ** 0.5 for x, y in rays() if p * x > 0
    )
    assert p == pytest.approx(best, rel=1e-5)


def test_constraint_states_of_their_own_count_for_the_kl_alone() -> None:
    policy = reference.small_policy("categorical")
    batch, more = (reference.small_batch(policy, states=n, actions=3, seed=n) for n in (10, 25))
    batch = dataclasses.replace(batch, constraint_obs=more.obs, constraint_old=more.old)
    _, found = update("trpo", policy, batch, damping=0.1)
    seen = around(policy, batch, found, damping=0.1)
    step = found.beta * found.cg.x
    assert seen.kl[seen.fractions == 1][0] == pytest.approx(float(kl_of(policy, batch, policy.theta + step).mean()))
    assert seen.gain[seen.fractions == 1][0] == pytest.approx(gain_of(policy, batch, step))


def test_too_many_states_are_thinned_and_the_slope_stays_that_of_all() -> None:
    policy = reference.small_policy()
    batch, more = (reference.small_batch(policy, states=n, seed=n) for n in (400, 900))
    batch = dataclasses.replace(batch, constraint_obs=more.obs, constraint_old=more.old)
    _, found = update("trpo", policy, batch, delta=1e-6)
    whole, part, again = (around(policy, batch, found, delta=1e-6, rows=rows) for rows in (None, 100, 100))
    assert (part.states, part.of) == (100, 400)
    assert part.slope == whole.slope == pytest.approx(found.expected_gain / found.step_fraction)
    assert part.gain[-1] == pytest.approx(whole.gain[-1], rel=1e-2)  # so short a step is a straight line
    assert part.kl[-1] != whole.kl[-1]
    assert part.kl[-1] == pytest.approx(whole.kl[-1], rel=0.3)
    np.testing.assert_array_equal(part.plane.gain, again.plane.gain)


def test_other_steps_are_projected_and_evaluated_as_they_are() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=20)
    _, found = update("trpo", policy, batch, damping=0.1)
    others = {"plain": 0.05 * found.gradient, "natural": 3.0 * found.cg.x}
    seen = around(policy, batch, found, damping=0.1, others=others)
    step, across, _ = axes_of(policy, batch, found, seen, 0.1)
    for name, move in others.items():
        point = seen.others[name]
        torch.testing.assert_close(point.x * step + point.y * across, move, atol=1e-6, rtol=1e-5)
        assert point.gain == pytest.approx(gain_of(policy, batch, move))
        assert point.kl == pytest.approx(float(kl_of(policy, batch, policy.theta + move).mean()))
    assert seen.others["natural"].x == pytest.approx(3.0 / found.beta)


def test_with_one_iteration_of_cg_there_is_no_plane() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=20)
    _, found = update("trpo", policy, batch, cg_iterations=1)
    seen = around(policy, batch, found)
    assert seen.plane is None
    assert len(seen.fractions) == len(seen.gain) == len(seen.kl)


def test_a_rejected_step_is_seen_with_all_its_trials() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=20)
    given = {"delta": 10.0, "damping": 1e-4, "max_tries": 2, "shrink": 0.9}
    _, found = update("trpo", policy, batch, **given)
    assert found.outcome is Outcome.REJECTED_LINE_SEARCH
    seen = around(policy, batch, found, **given)
    assert {trial.fraction for trial in found.search.trials} <= set(seen.fractions)


def test_a_bound_on_the_largest_kl_shows_the_largest_kl() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=20)
    _, found = update("max_kl", policy, batch)
    seen = around(policy, batch, found, bounded=METHODS["max_kl"].bounded)
    assert seen.kl[seen.fractions == found.step_fraction] == found.kl_max
    assert found.kl_max > found.kl_mean


def test_an_update_without_a_step_is_refused_with_its_message() -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=20)
    batch = dataclasses.replace(batch, q_values=np.zeros_like(batch.q_values))
    _, found = update("trpo", policy, batch)
    with pytest.raises(ValueError, match=r"no step: .*no action looks better|no step"):
        around(policy, batch, found)


@pytest.mark.parametrize(("tick", "seconds", "rows"), [(1e-3, 117e-3, 256), (1e-3, 11.7e-3, 128), (10.0, 1.0, 0)])
def test_the_longer_a_state_takes_the_fewer_there_are(tick, seconds, rows, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=300)
    clock = itertools.count()
    monkeypatch.setattr(time, "thread_time", lambda: tick * next(clock))
    monkeypatch.setattr(surroundings, "EVALUATIONS", 117)
    assert affordable_rows(policy, batch, seconds) == rows

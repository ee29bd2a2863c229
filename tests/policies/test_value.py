"""Value functions and their Levenberg-Marquardt fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests.faults.points import plant
from trpolab.policies import FitStatus, ValueFunction, fit_value, make_value, value_fit
from trpolab.policies.value_fit import explained_variance, lm_step, next_mu, with_statistics
from trpolab.training.config import ValueConfig


def value_function(hidden: tuple[int, ...] = (64, 64), seed: int = 0, fits: int = 0) -> ValueFunction:
    return dataclasses.replace(make_value(3, ValueConfig(hidden=hidden), np.random.default_rng(seed)), fits=fits)


def task(rows: int = 1500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 3)).astype(np.float32)
    return x, 300 + 50 * np.sin(x[:, 0]) * x[:, 1] + generator.normal(size=rows)


def fit(value: ValueFunction, x: np.ndarray, y: np.ndarray, seed: int = 0, **config):
    return fit_value(value, x, y, ValueConfig(**config), np.random.default_rng(seed))


def test_values_are_the_network_in_units_of_reward() -> None:
    value = dataclasses.replace(value_function(fits=1), target_mean=100.0, target_std=7.0)
    x, _ = task(2100)
    expected = value.network.forward(value.theta, torch.from_numpy(x)).squeeze(1).numpy() * 7.0 + 100.0
    found = value.values(x)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_function_that_was_never_fitted_says_one_value_of_all_states() -> None:
    np.testing.assert_array_equal(value_function().at_level(-7.0).values(task(5)[0]), [-7.0] * 5)


@pytest.mark.parametrize(("mean", "std"), [(40.0, 3.0), (-1.0, 0.01)])
def test_rescaling_leaves_every_value_where_it_was(mean: float, std: float) -> None:
    value = dataclasses.replace(value_function(fits=1), target_mean=5.0, target_std=2.0)
    moved = value.rescaled(mean, std)
    x, _ = task(50)
    assert (moved.target_mean, moved.target_std) == (mean, std)
    np.testing.assert_allclose(moved.values(x), value.values(x), atol=1e-4)


def test_statistics_take_the_first_targets_whole_and_later_ones_by_a_twentieth() -> None:
    y = np.array([1.0, 5.0, 9.0])
    first = with_statistics(value_function(), y)
    assert (first.target_mean, first.target_std) == (pytest.approx(5.0), pytest.approx(y.std()))
    old = dataclasses.replace(first, fits=1000)
    later = with_statistics(old, y + 100)
    both = np.concatenate([np.tile(y, 19), y + 100])  # 19 parts old, 1 part new
    assert later.target_mean == pytest.approx(both.mean())
    assert later.target_std == pytest.approx(both.std())


def test_a_step_solves_the_damped_normal_equations() -> None:
    generator = np.random.default_rng(0)
    value = value_function(hidden=(4,))
    theta = value.theta.double()
    x = torch.from_numpy(generator.normal(size=(9, 3)))
    gradient = torch.from_numpy(generator.normal(size=value.network.size))
    j = torch.autograd.functional.jacobian(lambda t: value.network.forward(t, x).squeeze(1), theta)
    matrix = j.T @ j / 9
    step, predicted = lm_step(value.network, theta, gradient, x, 0.3, 60)
    exact = torch.linalg.solve(matrix + 0.3 * torch.eye(len(theta)).double(), -gradient)
    assert torch.allclose(step, exact, atol=1e-3)  # CG stops at a relative residual of 1e-5
    short, predicted = lm_step(value.network, theta, gradient, x, 0.3, 3)  # not converged: the model is still exact
    model = float(gradient @ short + 0.5 * short @ matrix @ short)
    assert predicted == pytest.approx(-model, rel=1e-9)


def test_gradient_is_that_of_the_loss() -> None:
    value = value_function(hidden=(4,))
    theta, x, y = value.theta.double().requires_grad_(), torch.randn(9, 3).double(), torch.randn(9, 1).double()
    loss = 0.5 * (value.network.forward(theta, x) - y).square().mean()
    (expected,) = torch.autograd.grad(loss, theta)
    point = value_fit._Point.at(value.network, theta.detach(), x, y, slope=True)
    assert point.loss == pytest.approx(loss.item())
    assert torch.allclose(point.gradient, expected)
    assert value_fit._Point.at(value.network, theta.detach(), x, y, slope=False).loss == pytest.approx(loss.item())


def test_mu_follows_the_gain_ratio_within_its_bounds() -> None:
    assert [next_mu(0.1, ratio) for ratio in (0.8, 0.75, 0.5, 0.25, 0.2, -1.0)] == pytest.approx(
        [0.05, 0.1, 0.1, 0.1, 0.3, 0.3]
    )
    assert next_mu(1e-3, 1.0) == 1e-3
    assert next_mu(9.0, 0.0) == 10.0


def test_fits_learn_and_report_it_truly() -> None:
    x, y = task()
    value = value_function()
    for seed in range(8):
        value, report = fit(value, x, y, seed)
        assert report.status is FitStatus.FITTED
        assert report.loss < report.loss_before
    assert value.fits == 8
    assert report.explained_variance > 0.9
    residual = y - value.values(x)
    assert report.explained_variance == pytest.approx(1 - residual.var() / y.var(), abs=1e-4)
    assert report.loss == pytest.approx(0.5 * (residual**2).mean() / value.target_std**2, rel=1e-3)
    assert report.mu == value.mu


def test_explained_variance_before_is_that_of_the_function_handed_in() -> None:
    x, y = task()
    value, first = fit(value_function(), x, y)
    assert first.explained_variance_before == 0, "no better than a constant, which it was"
    _, report = fit(value, x, y)
    expected = 1 - (y - value.values(x)).var() / y.var()
    assert report.explained_variance_before == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("scale", "shift"), [(2.0**-40, 0.0), (2.0**40, 0.0), (1e-8, 0.0), (1e8, -7.0), (1.0, 1e8)])
def test_scale_and_shift_of_the_targets_do_not_matter(scale: float, shift: float) -> None:
    x, y = task(seed=4)  # whose steps rounding does not tip: that of a shift grows from fit to fit
    plain, other = value_function(), value_function()
    for seed in range(3):
        y = y + 5 * seed
        plain, report = fit(plain, x, y, seed)
        other, shifted = fit(other, x, scale * y + shift, seed)
    np.testing.assert_allclose((other.values(x) - shift) / scale, plain.values(x), rtol=1e-3)
    assert shifted.explained_variance == pytest.approx(report.explained_variance, abs=1e-4)
    if np.log2(scale) % 1 == 0 and not shift:
        assert torch.equal(other.theta, plain.theta)


def test_same_generator_same_fit_and_nothing_is_written_to() -> None:
    x, y = task()
    value = value_function()
    before = value.theta.clone(), x.copy(), y.copy()
    (first, _), (second, _) = fit(value, x, y), fit(value, x, y)
    assert torch.equal(first.theta, second.theta)
    assert torch.equal(value.theta, before[0])
    np.testing.assert_array_equal(x, before[1])
    np.testing.assert_array_equal(y, before[2])


def test_a_step_that_raises_the_error_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = task()
    value, _ = fit(value_function(), x, y)
    plant("a value function's step that is negated", monkeypatch)
    kept, report = fit(value, x, y)
    assert report.status is FitStatus.KEPT
    assert report.accepted_steps == 0
    assert report.mu == pytest.approx(min(value.mu * 9, 10))
    np.testing.assert_allclose(kept.values(x), value.values(x), rtol=1e-3, atol=1e-3)


@pytest.mark.reliability("R11")
@pytest.mark.parametrize("where", ["targets", "features"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_input_that_is_not_finite_keeps_the_old_function(where: str, bad: float) -> None:
    x, y = task()
    {"targets": y, "features": x}[where][3] = bad
    value = value_function()
    kept, report = fit(value, x, y)
    assert kept is value
    assert report.status is FitStatus.NONFINITE
    assert where in report.message
    assert report.explained_variance is None


@pytest.mark.reliability("R11")
def test_an_error_that_overflows_keeps_the_old_function() -> None:
    x, y = task()
    value = value_function()
    value = dataclasses.replace(value, theta=value.theta * 1e30)  # of hidden and last layers
    kept, report = fit(value, x, y)
    assert kept is value
    assert report.status is FitStatus.NONFINITE


def test_constant_targets_have_no_explained_variance() -> None:
    x, _ = task(200)
    value, report = fit(value_function(), x, np.full(200, 3.0))
    assert report.explained_variance is None
    assert (report.status, value.fits) == (FitStatus.KEPT, 0), "the first fit waits for targets that vary"
    for _ in range(50):
        value, report = fit(dataclasses.replace(value, fits=9), x, np.full(200, 3.0))
        assert np.isfinite(value.values(x)).all() and report.status is not FitStatus.NONFINITE
    assert report.explained_variance is None
    assert explained_variance(torch.zeros(3), torch.ones(3)) is None


@pytest.mark.parametrize("rows", [0, 5])
def test_rows_must_match(rows: int) -> None:
    with pytest.raises(ValueError, match="rows"):
        fit(value_function(), np.zeros((rows, 3), np.float32), np.zeros(rows and rows - 1))

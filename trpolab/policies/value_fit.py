"""The value fit: Gauss-Newton steps with Levenberg-Marquardt damping on normalised targets; no learning rate."""

from __future__ import annotations

import dataclasses
import enum
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trpolab.numerics import conjugate_gradient
from trpolab.numerics.arrays import QUIET, ROUNDING, Array, as_array, as_tensor, hardly_varies
from trpolab.numerics.device import exact_convolutions
from trpolab.numerics.threads import SERIAL, ThreadTeam, in_chunks, summed
from trpolab.policies.config import ValueConfig
from trpolab.policies.convnet import ConvNet
from trpolab.policies.frames import Frames
from trpolab.policies.mlp import MLP
from trpolab.policies.rows import random_rows
from trpolab.policies.value import ValueFunction

CONSTANT = 1e-12  # variance of normalised targets below which it is rounding
MU_FLOOR, MU_CAP = 1e-3, 10.0


class FitStatus(enum.StrEnum):
    """How a value fit ended."""

    FITTED = "fitted"
    KEPT = "kept"  # no step lowered the error; the target statistics moved all the same, if the targets vary
    NONFINITE = "nonfinite"  # nothing was changed


@dataclass(frozen=True)
class ValueFit:
    """What a fit did; losses are ½ mean squared error in units of the normalised targets."""

    status: FitStatus
    message: str
    explained_variance: float | None  # after the fit; None where the targets do not vary
    explained_variance_before: float | None
    loss: float | None
    loss_before: float | None
    accepted_steps: int
    mu: float  # damping that the next fit starts from


def fit_value(
    value: ValueFunction,
    features: np.ndarray | Frames,
    targets: np.ndarray,
    config: ValueConfig,
    rng: np.random.Generator,
    threads: int | None = None,
) -> tuple[ValueFunction, ValueFit]:
    """Fit V to targets [N] (in units of reward) at features [N, F], or at N stacks of frames; `value` stays as it is.

    The targets' running mean and variance move first (weight max(0.05, 1/fits)), with outputs unchanged. Then each of
    `fit_steps` steps solves (JᵀJ/n + μI) s = -g by conjugate gradient, the product on a random `fit_fraction` of the
    rows, g and the error on all of them. A step that raises the error is dropped; μ follows the gain ratio. The first
    fit waits for targets that vary. Input or error that is not finite: the old function is returned, and the status
    says so. `threads`: of the run (`Network.team`); their number changes no result.
    """
    if len(targets) == 0 or len(targets) != len(features):
        raise ValueError(f"targets and features have {len(targets)} and {len(features)} rows: give equally many")
    for name, array in (("targets", targets), ("features", features)):
        if not isinstance(array, Frames) and not np.isfinite(array).all():
            return value, _kept(value, f"{name} are not finite")
    if not value.fits and hardly_varies(targets, targets):
        return value, _kept(value, "all targets are the same", FitStatus.KEPT)
    moved = with_statistics(value, targets)
    x: Any = features if isinstance(features, Frames) else torch.as_tensor(features).to(moved.theta.dtype)
    y = torch.from_numpy((targets - moved.target_mean) / moved.target_std).to(moved.theta.dtype).unsqueeze(1)
    theta, x, y = (part.to(value.device) for part in (moved.theta, x, y))
    chunk, kept = moved.network.rows_at_once(theta, x)

    with exact_convolutions(), ThreadTeam(moved.network.team(threads) if value.device == "cpu" else 1) as workers:
        start = point = _Point.at(moved.network, theta, x, y, True, workers, chunk)
        if not math.isfinite(start.loss):
            return value, _kept(value, "its error is not finite")
        mu, accepted = value.mu, 0
        for remaining in reversed(range(config.fit_steps)):
            rows = torch.from_numpy(random_rows(len(y), config.fit_fraction, rng)).to(x.device)
            assert point.gradient is not None
            at = moved.network, point.theta, point.gradient, x[rows], mu
            step, predicted = lm_step(*at, config.cg_iterations, workers, chunk, len(rows) <= kept)
            candidate = _Point.at(moved.network, point.theta + step, x, y, remaining > 0, workers, chunk)
            gain = point.loss - candidate.loss
            mu = next_mu(mu, gain / predicted if predicted > 0 else -math.inf)
            if math.isfinite(gain) and gain > 0:
                point, accepted = candidate, accepted + 1

    fitted = dataclasses.replace(moved, theta=point.theta.to(value.theta.device), mu=mu, fits=value.fits + 1)
    return fitted, ValueFit(
        status=FitStatus.FITTED if accepted else FitStatus.KEPT,
        message=f"{accepted} of {config.fit_steps} steps lowered the error",
        explained_variance=explained_variance(y, point.outputs),
        explained_variance_before=explained_variance(y, start.outputs) if value.fits else 0.0,
        loss=point.loss,
        loss_before=start.loss,
        accepted_steps=accepted,
        mu=mu,
    )


def explained_variance(targets: Tensor, values: Tensor) -> float | None:
    """1 - Var(target - V) / Var(target): 1 is perfect, 0 no better than a constant; None where targets do not vary."""
    spread = float(targets.double().var(correction=0))
    return 1 - float((targets - values).double().var(correction=0)) / spread if spread > CONSTANT else None


def with_statistics(value: ValueFunction, targets: np.ndarray) -> ValueFunction:
    """Target statistics moved towards those of targets [N], outputs unchanged; at the first fit, these taken whole."""
    mean, variance = float(np.mean(targets)), float(np.var(targets))
    if not value.fits:
        return dataclasses.replace(value, target_mean=mean, target_std=math.sqrt(variance))
    weight = max(0.05, 1 / (value.fits + 1))
    shift = mean - value.target_mean
    # variance of the mixture of two distributions with these means and variances
    variance = (1 - weight) * value.target_std**2 + weight * variance + weight * (1 - weight) * shift**2
    mean = value.target_mean + weight * shift
    return value.rescaled(mean, max(math.sqrt(variance), ROUNDING * abs(mean), sys.float_info.min))


def lm_step(
    network: MLP | ConvNet,
    theta: Tensor,
    gradient: Tensor,
    x: Any,
    mu: float,
    iterations: int,
    workers: ThreadTeam = SERIAL,
    chunk: int | None = None,
    keep: bool = True,
) -> tuple[Tensor, float]:
    """One damped Gauss-Newton step from θ and the decrease of the loss that its quadratic model predicts.

    Solves (JᵀJ/n + μI) s = -g with J at the rows x [n, F]; `gradient` is g [P] float64.
    """
    weights = as_array(theta)

    def prepare(rows: tuple[Any]) -> Callable[[Array], Array]:
        linearized = network.linearized(weights, rows[0])
        return QUIET(lambda v: linearized.vjp(linearized.jvp(v)))

    add = summed(prepare, in_chunks(chunk or network.chunk, x), workers, keep)

    def product(v: Tensor) -> Tensor:
        return as_tensor(add(as_array(v.to(theta.dtype)), as_array(v * (mu * len(x))))).div_(len(x))

    solved = conjugate_gradient(product, -gradient, iterations=iterations)
    # gᵀs + ½sᵀ(JᵀJ/n)s, where CG knows sᵀ(JᵀJ/n + μI)s
    predicted = -float((gradient * solved.x).sum()) - 0.5 * (solved.curvature - mu * float(solved.x.square().sum()))
    return solved.x.to(theta.dtype), predicted


def next_mu(mu: float, ratio: float) -> float:
    """Levenberg-Marquardt: half the damping where the model was right, three times where it was not."""
    if ratio > 0.75:
        return max(mu / 2, MU_FLOOR)
    return mu if ratio >= 0.25 else min(mu * 3, MU_CAP)


@dataclass(frozen=True, eq=False)
class _Point:
    """One θ, the network's outputs there on all rows, and their error."""

    theta: Tensor
    outputs: Tensor  # [N, 1]
    loss: float  # ½ mean squared residual
    gradient: Tensor | None  # ∂ loss / ∂θ [P] float64, if it was asked for

    @classmethod
    def at(
        cls,
        network: MLP | ConvNet,
        theta: Tensor,
        x: Any,
        y: Tensor,
        slope: bool,
        workers: ThreadTeam = SERIAL,
        chunk: int | None = None,
    ) -> _Point:
        """Activations are kept for one chunk of rows at a time: the gradient is computed in the same pass, or not."""
        if not slope:
            outputs = network.evaluate(theta, x, workers, chunk)
            return cls(theta, outputs, _half_mean_square(outputs - y), None)
        weights, outputs = as_array(theta), torch.empty_like(y)

        @QUIET
        def run(rows: tuple[Any, Tensor, Tensor]) -> Array:
            linearized = network.linearized(weights, rows[0])
            as_array(rows[2])[...] = linearized.out
            return linearized.vjp(linearized.out - as_array(rows[1]))

        total = torch.zeros_like(theta, dtype=torch.float64)
        workers.add(run, in_chunks(chunk or network.chunk, x, y, outputs), as_array(total))
        return cls(theta, outputs, _half_mean_square(outputs - y), total.div_(len(y)))


def _half_mean_square(residuals: Tensor) -> float:
    return float(residuals.square().mean(dtype=torch.float64)) / 2


def _kept(value: ValueFunction, why: str, status: FitStatus = FitStatus.NONFINITE) -> ValueFit:
    return ValueFit(status, f"value function kept: {why}", None, None, None, None, 0, value.mu)

"""Settings of policies and value functions."""

from __future__ import annotations

from dataclasses import dataclass

from trpolab.policies.kinds import AUTO, DISTRIBUTIONS, NETWORKS
from trpolab.settings import Part, setting

LOWEST, HIGHEST = -5.0, 2.0  # of log σ: outside, exp(log σ) soon under- or overflows in float32


@dataclass(frozen=True)
class Gaussian(Part):
    """What only a Gaussian has."""

    least_log_std: float = setting(LOWEST, "exploring goes on: no log σ falls below it", low=LOWEST, high=1, live=False)


@dataclass(frozen=True)
class PolicyConfig(Part):
    """The policy's network and its start."""

    network: str = setting(
        AUTO, "kind of network (auto: the first that fits the task)", choices=lambda: (AUTO, *NETWORKS), live=False
    )
    distribution: str = setting(
        AUTO, "kind of distribution (auto: the same)", choices=lambda: (AUTO, *DISTRIBUTIONS), live=False
    )
    hidden: tuple[int, ...] = setting((64, 64), "widths of the hidden layers; [] is linear", live=False, flat=True)
    activation: str = setting(
        "tanh", "nonlinearity of the hidden layers", choices=("tanh", "relu", "softplus", "elu"), live=False, flat=True
    )
    log_std: float = setting(-0.5, "starting log standard deviation of a Gaussian", low=-5, high=2, live=False)
    scale_actions: bool = setting(
        True,
        "a Gaussian's 0 is the middle of the actions' bounds and its 1 half their width; off: the task's own units",
        live=False,
    )
    output_scale: float = setting(0.01, "gain of the last layer at the start", low=0, high=10, live=False)
    bias: bool = setting(True, "biases in every layer", live=False)
    normalize_observations: bool = setting(
        True, "running mean and variance of observations, frozen within a batch", live=False, flat=True
    )


@dataclass(frozen=True)
class ValueConfig(Part):
    """The value function and its Gauss-Newton (Levenberg-Marquardt) fit."""

    hidden: tuple[int, ...] = setting((64, 64), "widths of the value network's hidden layers", live=False)
    fit_steps: int = setting(2, "Levenberg-Marquardt steps an iteration", low=1, shown=(1, 10))
    fit_fraction: float = setting(0.25, "share of the rows in the fit's products", low=0, open_low=True, high=1)
    cg_iterations: int = setting(10, "conjugate-gradient iterations of a fit step", low=1, shown=(1, 50))

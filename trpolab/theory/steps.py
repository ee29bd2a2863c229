"""The result of an exact policy update, and the loop that repeats an update."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trpolab.simulators.finite_mdp import FiniteMDP
from trpolab.theory.divergences import kl_by_state, max_tv, mean_over_visits
from trpolab.theory.surrogate import ahead_of
from trpolab.theory.values import checked, eta, evaluate


@dataclass(frozen=True, eq=False)
class Step:
    """One update π -> π̃ with exact advantages."""

    policy: np.ndarray  # [S, A] π̃
    surrogate: float  # L_π(π̃)
    guaranteed: float  # a lower bound on η(π̃) that the method guarantees; NaN if it has none
    tv_max: float  # D_TV^max
    kl_max: float  # KL(π‖π̃), largest over states
    kl_mean: float  # its mean over s ~ ρ_π
    residual: float = 0.0  # relative error of the condition that the solver had to meet


@dataclass(frozen=True, eq=False)
class Improvement:
    """I updates in a row."""

    policies: np.ndarray  # [I + 1, S, A]
    etas: np.ndarray  # [I + 1] η, exactly
    steps: tuple[Step, ...]  # I


Update = Callable[[FiniteMDP, np.ndarray], Step]


def improve(mdp: FiniteMDP, policy: np.ndarray, update: Update, iterations: int) -> Improvement:
    """Apply `update` `iterations` times, starting from a policy [S, A].

    >>> mdp = chain(4)
    >>> float(improve(mdp, uniform_policy(mdp), policy_iteration_step, 3).etas[-1].round(6))
    15.049277
    """
    if iterations < 1:
        raise ValueError(f"iterations = {iterations}: must be at least 1")
    policies, steps = [checked(mdp, policy)], []
    for _ in range(iterations):
        steps.append(update(mdp, policies[-1]))
        policies.append(steps[-1].policy)
    return Improvement(np.stack(policies), np.array([eta(mdp, pi) for pi in policies]), tuple(steps))


def step_to(
    mdp: FiniteMDP, old: np.ndarray, new: np.ndarray, guaranteed: float = math.nan, residual: float = 0.0
) -> Step:
    """The record of an update that goes from `old` to `new`."""
    values, kl = evaluate(mdp, old), kl_by_state(mdp, old, new)
    return Step(
        policy=new,
        surrogate=values.eta + float(values.visits @ ahead_of(mdp, values, new)),
        guaranteed=guaranteed,
        tv_max=max_tv(mdp, old, new),
        kl_max=float(kl.max()),
        kl_mean=mean_over_visits(values, kl),
        residual=residual,
    )

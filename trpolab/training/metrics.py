"""The line of metrics.jsonl that an iteration leaves: what does not apply is null."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from trpolab.policies import Learner, ValueFit
from trpolab.sampling.batch import Episodes
from trpolab.sampling.sampler import Collected
from trpolab.sampling.vine.record import VineRecord
from trpolab.training.config import Config
from trpolab.training.state import Progress
from trpolab.updates import METHODS, Diagnostics

NO_EPISODES = Episodes(np.zeros(0), np.zeros(0, np.int64), 0, 0)
# Numbers of an update that begin its part of the line.
MEASURED = ("surrogate_gain", "expected_gain", "kl_mean", "kl_max", "spread", "penalty")


@dataclass(frozen=True)
class Done:
    """One pass of Section 6: what came of it, and how long its parts took in seconds."""

    learner: Learner
    diagnostics: Diagnostics
    sim_steps: int
    sampling: float
    collected: Collected | None = None  # None when sampling failed
    fit: ValueFit | None = None
    update: float = 0.0
    value: float = 0.0


def metrics_line(done: Done, progress: Progress, config: Config, delta: float, seconds: float) -> dict[str, Any]:
    """The metrics of an iteration that `progress` already counts: its δ, and how many seconds it took in all."""
    collected, policy = done.collected, done.learner.policy
    return {
        "iteration": progress.iteration,
        "sim_steps": progress.sim_steps,
        "batch_steps": done.sim_steps,
        "method": config.method,
        "sampler": config.sampler,
        **_scores(collected.batch.episodes if collected else NO_EPISODES, progress),
        **_branches(collected),
        **_update(done.diagnostics, delta if METHODS[config.method].bounds_kl else None),
        "log_std_clamped": policy.clamped() if policy.distribution.own_parameters else None,
        "explained_variance": _finite(done.fit.explained_variance_before) if done.fit else None,
        "clipped_fraction": collected.clipped_fraction if collected else None,
        "outcome": str(done.diagnostics.outcome.value),
        "message": done.diagnostics.message,
        "seconds_sampling": done.sampling,
        "seconds_update": done.update,
        "seconds_value": done.value,
        "seconds_total": seconds,
    }


def _scores(episodes: Episodes, progress: Progress) -> dict[str, Any]:
    """Raw returns of the episodes that this batch completed, and the mean over the last 100."""
    returns, recent = episodes.returns, progress.recent_returns
    return {
        "episodes": len(returns),
        "return_mean": float(returns.mean()) if len(returns) else None,
        "return_std": float(returns.std()) if len(returns) else None,
        "length_mean": float(episodes.lengths.mean()) if len(returns) else None,
        "return_recent": float(np.mean(recent)) if recent else None,
        "episodes_dropped": episodes.dropped,
        "episodes_unstable": episodes.unstable,
    }


def _branches(collected: Collected | None) -> dict[str, Any]:
    """The branches of a vine."""
    vine = collected.batch.paths if collected is not None and isinstance(collected.batch.paths, VineRecord) else None
    return {
        "branches": vine.branches if vine else None,
        "branch_steps": vine.branch_steps if vine else None,
        "branch_length_mean": vine.branch_length if vine else None,
    }


def _update(found: Diagnostics, delta: float | None) -> dict[str, Any]:
    """The update."""
    return {
        **{name: getattr(found, name) for name in MEASURED},
        "delta": delta,
        "gradient_norm": found.gradient_norm,
        "cg_iterations": found.cg.iterations if found.cg else None,
        "cg_residual": found.cg.relative_residual if found.cg else None,
        "line_search_trials": len(found.search.trials) if found.search else None,
        "step_fraction": found.step_fraction,
        "entropy": found.entropy,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

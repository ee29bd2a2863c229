"""The line of metrics.jsonl that an iteration leaves: what does not apply is null."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from trpolab.policies import Learner, Policy, ValueFit
from trpolab.sampling.batch import Episodes
from trpolab.sampling.sampler import Collected
from trpolab.sampling.vine.record import VineRecord
from trpolab.training.config import Config
from trpolab.training.state import Progress
from trpolab.updates import METHODS, Diagnostics, Outcome


@dataclass(frozen=True)
class Done:
    """One pass of Section 6: what came of it, and how long its parts took in seconds."""

    learner: Learner
    outcome: Outcome
    message: str
    sim_steps: int
    sampling: float
    collected: Collected | None = None  # None when sampling failed
    diagnostics: Diagnostics | None = None
    fit: ValueFit | None = None
    update: float = 0.0
    value: float = 0.0


def metrics_line(done: Done, progress: Progress, config: Config, seconds: float) -> dict[str, Any]:
    """The metrics of an iteration that `progress` already counts; it took so many seconds in all."""
    collected = done.collected
    return {
        "iteration": progress.iteration,
        "sim_steps": progress.sim_steps,
        "batch_steps": done.sim_steps,
        "method": config.method,
        "sampler": config.sampler,
        **_scores(collected.batch.episodes if collected else None, progress),
        **_branches(collected),
        **_update(done.diagnostics, config),
        "log_std_clamped": _clamped(done.learner.policy),
        "explained_variance": _finite(done.fit.explained_variance_before) if done.fit else None,
        "clipped_fraction": collected.clipped_fraction if collected else None,
        "outcome": str(done.outcome.value),
        "message": done.message,
        "seconds_sampling": done.sampling,
        "seconds_update": done.update,
        "seconds_value": done.value,
        "seconds_total": seconds,
    }


def _scores(episodes: Episodes | None, progress: Progress) -> dict[str, Any]:
    """Raw returns of the episodes that this batch completed, and the mean over the last 100."""
    some = episodes is not None and len(episodes.returns) > 0
    recent = progress.recent_returns
    return {
        "episodes": len(episodes.returns) if episodes else 0,
        "return_mean": float(episodes.returns.mean()) if episodes and some else None,
        "return_std": float(episodes.returns.std()) if episodes and some else None,
        "length_mean": float(episodes.lengths.mean()) if episodes and some else None,
        "return_recent": float(np.mean(recent)) if recent else None,
        "episodes_dropped": episodes.dropped if episodes else 0,
        "episodes_unstable": episodes.unstable if episodes else 0,
    }


def _branches(collected: Collected | None) -> dict[str, Any]:
    """The branches of a vine."""
    vine = collected.batch.paths if collected is not None and isinstance(collected.batch.paths, VineRecord) else None
    return {
        "branches": vine.branches if vine else None,
        "branch_steps": vine.branch_steps if vine else None,
        "branch_length_mean": vine.branch_length if vine else None,
    }


def _update(diagnostics: Diagnostics | None, config: Config) -> dict[str, Any]:
    """The update."""
    d = diagnostics
    return {
        "surrogate_gain": d.surrogate_gain if d else None,
        "expected_gain": d.expected_gain if d else None,
        "kl_mean": d.kl_mean if d else None,
        "kl_max": d.kl_max if d else None,
        "spread": d.spread if d else None,
        "penalty": d.penalty if d else None,
        "delta": config.trust.delta if METHODS[config.method].bounds_kl else None,
        "gradient_norm": d.gradient_norm if d else None,
        "cg_iterations": d.cg.iterations if d and d.cg else None,
        "cg_residual": d.cg.relative_residual if d and d.cg else None,
        "line_search_trials": len(d.search.trials) if d and d.search else None,
        "step_fraction": d.step_fraction if d else None,
        "entropy": d.entropy if d else None,
    }


def _clamped(policy: Policy) -> int | None:
    """How many log σ stand on their bounds; null where the policy has none."""
    return policy.clamped() if policy.distribution.own_parameters else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

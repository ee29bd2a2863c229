"""The loop of Section 6: collect, estimate, step; a generator that others may watch but not touch."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trpolab.policies import FitStatus, Learner, Policy, ValueFit, fit_value, make_policy, make_value
from trpolab.sampling.batch import Batch, Episodes
from trpolab.sampling.population import Population
from trpolab.sampling.single_path import Collected
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.vine.record import VineRecord
from trpolab.sampling.workers.simulator_pool import Interrupted, NonFinite
from trpolab.simulators.base import Task
from trpolab.training.config import Config
from trpolab.training.controls import Controls
from trpolab.training.samplers import Samplers
from trpolab.training.state import Progress
from trpolab.updates import METHODS, Diagnostics, Outcome, step

MOST_NONFINITE = 3  # iterations in a row after which a run counts as diverged
MOST_UNSTABLE = 0.01  # of an iteration's simulator steps that may blow up,
FEW_UNSTABLE = 10  # unless they are fewer than this


class Diverged(ArithmeticError):
    """Several iterations in a row were skipped for NaN or infinity, or the physics blew up too often."""


@dataclass(frozen=True)
class Iteration:
    """What one iteration did, for whoever watches."""

    index: int  # counted from 1
    config: Config  # the one really used
    metrics: dict[str, Any]
    learner: Learner  # after the iteration
    batch: Batch | Population | None  # None when sampling failed
    diagnostics: Diagnostics | None


def start_learner(task: Task, config: Config, streams: Streams) -> Learner:
    """An untrained learner: iteration 0's initialisation stream makes the policy (0) and the value function (1)."""
    policy = make_policy(
        task.observation_space,
        task.action_space,
        config.policy,
        streams.generator(0, Purpose.INITIALISATION, 0),
    )
    return Learner(policy=policy, value=None, state={})


def iterate(
    controls: Controls, streams: Streams, progress: Progress, samplers: Samplers
) -> Generator[Iteration, None, None]:
    """Yield one Iteration after another until the config's `iterations` are done or the controls say stop.

    Raises Diverged after three iterations in a row with NaN or infinity, or when more than 1 % of an iteration's steps
    blew up; whatever else a task raises passes through.
    """
    try:
        if progress.iteration == 0:
            _first_statistics(controls, progress, samplers)
        while progress.iteration < controls.requested.iterations and controls.wait_for_turn():
            began = time.perf_counter()
            config, index = controls.take(), progress.iteration + 1
            learner = _with_value_function(progress.learner, config, streams)
            done = _learn_once(learner, config, index, streams, samplers, controls)
            _advance(progress, done, index)
            controls.wait(config.seconds_per_iteration - (time.perf_counter() - began))
            metrics = _metrics(done, progress, config, time.perf_counter() - began)
            batch = done.collected.batch if done.collected else None
            yield Iteration(index, config, metrics, done.learner, batch, done.diagnostics)
            if progress.nonfinite_in_a_row >= MOST_NONFINITE:
                raise Diverged(f"{MOST_NONFINITE} iterations in a row were skipped; the last one: {done.message}")
            if metrics["episodes_unstable"] > max(FEW_UNSTABLE, MOST_UNSTABLE * done.sim_steps):
                raise Diverged(
                    f"the physics blew up in {metrics['episodes_unstable']} of {done.sim_steps} steps of iteration "
                    f"{index}: the task's time step, its gains or its start states are too rough for these actions"
                )
    except Interrupted:
        return  # the iteration under way never was


@dataclass(frozen=True)
class _Done:
    """One pass of Section 6: what came of it, and how long its parts took in seconds."""

    learner: Learner
    outcome: Outcome
    message: str
    sim_steps: int
    sampling: float
    collected: Collected | None = None
    diagnostics: Diagnostics | None = None
    fit: ValueFit | None = None
    update: float = 0.0
    value: float = 0.0


def _learn_once(
    learner: Learner, config: Config, index: int, streams: Streams, samplers: Samplers, controls: Controls
) -> _Done:
    """Collect, estimate, step, fit. Raises Interrupted if it was told to give up, before anything counts."""
    began = time.perf_counter()
    try:
        collected = samplers.collect(learner, config, index, controls.aborting)
    except NonFinite as error:
        took = time.perf_counter() - began
        return _Done(learner, Outcome.SKIPPED_NONFINITE, str(error), error.sim_steps, took)
    _heed(controls)
    sampled = time.perf_counter()
    context = config.context(_update_stream(config, index, streams), collected.features)
    stepped, diagnostics = step(learner, collected.batch, *config.of_method(), context)
    _heed(controls)
    updated, fit = time.perf_counter(), None
    if diagnostics.outcome is not Outcome.SKIPPED_NONFINITE:
        stepped, fit = _learn_values(stepped, collected, config, streams, index)
    if fit is not None and fit.status is FitStatus.NONFINITE:  # the policy stays as well
        stepped, diagnostics = learner, Diagnostics(Outcome.SKIPPED_NONFINITE, fit.message)
    _heed(controls)
    return _Done(
        stepped,
        diagnostics.outcome,
        diagnostics.message,
        collected.batch.sim_steps,
        sampled - began,
        replace(collected, features=None),
        diagnostics,
        fit,
        updated - sampled,
        time.perf_counter() - updated,
    )


def _heed(controls: Controls) -> None:
    """Raise Interrupted if the iteration under way is to be given up."""
    if controls.aborting():
        raise Interrupted


def _update_stream(config: Config, index: int, streams: Streams) -> np.random.Generator:
    """What an update draws from: the states of Fisher products, or the stream that drew the candidates."""
    searches = METHODS[config.method].searches
    return streams.generator(index, Purpose.POPULATION if searches else Purpose.FISHER_ROWS)


def _advance(progress: Progress, done: _Done, index: int) -> None:
    """Make the iteration count."""
    progress.learner, progress.iteration = done.learner, index
    progress.sim_steps += done.sim_steps
    skipped = done.outcome is Outcome.SKIPPED_NONFINITE
    progress.nonfinite_in_a_row = progress.nonfinite_in_a_row + 1 if skipped else 0
    if done.collected is not None:
        progress.recent_returns.extend(done.collected.batch.episodes.returns.tolist())


def _metrics(done: _Done, progress: Progress, config: Config, seconds: float) -> dict[str, Any]:
    """The line of metrics.jsonl; what does not apply is null."""
    collected = done.collected
    return {
        "iteration": progress.iteration,
        "sim_steps": progress.sim_steps,
        "batch_steps": done.sim_steps,
        "method": config.method,
        "sampler": config.sampler,
        **_scores(collected.batch.episodes if collected else None, progress),
        **_branch_metrics(collected),
        **_update_metrics(done.diagnostics, config),
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


def _first_statistics(controls: Controls, progress: Progress, samplers: Samplers) -> None:
    """Give the normaliser its first statistics from steps under the starting policy; they count as simulator steps."""
    policy = progress.learner.policy
    if policy.normalizer is None:
        return
    try:
        seen = samplers.first_look(policy, controls.requested, controls.aborting)
    except NonFinite:
        return  # the first iteration will meet it again, and report it
    progress.sim_steps += seen.sim_steps
    progress.learner = replace(progress.learner, policy=replace(policy, normalizer=policy.normalizer.updated(seen.obs)))


def _with_value_function(learner: Learner, config: Config, streams: Streams) -> Learner:
    """A value function where the sampler needs one and none is there yet."""
    if METHODS[config.method].searches:
        return learner
    needed = config.vine.tail_value if config.sampler == "vine" else config.path.advantage == "gae"
    if not needed or learner.value is not None:
        return learner
    value = make_value(learner.policy.network.inputs, config.value, streams.generator(0, Purpose.INITIALISATION, 1))
    return replace(learner, value=value)


def _learn_values(
    learner: Learner, collected: Collected, config: Config, streams: Streams, index: int
) -> tuple[Learner, ValueFit | None]:
    """Fit the value function, then move the normaliser: in this order, after the policy's step."""
    policy, value, fit = learner.policy, learner.value, None
    if collected.targets is not None and value is not None:
        rows = streams.generator(index, Purpose.VALUE_ROWS)
        value, fit = fit_value(value, collected.features, collected.targets, config.value, rows)
    if policy.normalizer is not None:
        policy = replace(policy, normalizer=policy.normalizer.updated(collected.observed))
    return replace(learner, policy=policy, value=value), fit


def _scores(episodes: Episodes | None, progress: Progress) -> dict[str, Any]:
    """Raw returns of the episodes that this batch completed; null where none did."""
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


def _branch_metrics(collected: Collected | None) -> dict[str, Any]:
    """What the branches of a vine were; null for single path."""
    vine = collected.batch.paths if collected is not None and isinstance(collected.batch.paths, VineRecord) else None
    return {
        "branches": vine.branches if vine else None,
        "branch_steps": vine.branch_steps if vine else None,
        "branch_length_mean": vine.branch_length if vine else None,
    }


def _update_metrics(diagnostics: Diagnostics | None, config: Config) -> dict[str, Any]:
    """The update in numbers; what does not apply is null."""
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

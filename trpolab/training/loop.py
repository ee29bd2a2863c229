"""The loop of Section 6: collect, estimate, step. A generator: logging, checkpoints and budgets are its caller's."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

from trpolab.numerics.device import device_for
from trpolab.policies import FitStatus, Learner, ValueFit, fit_value, make_policy, make_value
from trpolab.sampling.batch import Batch
from trpolab.sampling.errors import Interrupted, NonFinite
from trpolab.sampling.population import Population
from trpolab.sampling.sampler import SAMPLERS, Collected
from trpolab.sampling.streams import Purpose, Streams
from trpolab.simulators.base import Task
from trpolab.training.config import Config
from trpolab.training.controls import Controls
from trpolab.training.metrics import Done, metrics_line
from trpolab.training.samplers import Samplers
from trpolab.training.state import Progress
from trpolab.updates import METHODS, Diagnostics, Outcome, step

SAMPLING, UPDATE, VALUE = "sampling", "update", "value"  # the phases of an iteration, as metrics name their seconds
MOST_NONFINITE = 3  # iterations in a row after which a run counts as diverged
MOST_UNSTABLE = 0.01  # of an iteration's simulator steps that may blow up,
FEW_UNSTABLE = 10  # unless they are fewer than this


class Diverged(ArithmeticError):
    """Several iterations in a row were skipped for NaN or infinity, or the physics blew up too often."""


@dataclass(frozen=True)
class Iteration:
    """What one iteration did."""

    index: int  # counted from 1
    config: Config  # the one really used
    metrics: dict[str, Any]
    learner: Learner  # after the iteration
    before: Learner  # that collected the batch
    batch: Batch | Population | None  # None when sampling failed
    diagnostics: Diagnostics


def start_learner(task: Task, config: Config, streams: Streams) -> Learner:
    """An untrained learner: iteration 0's initialisation stream makes the policy (0) and the value function (1)."""
    spaces, generator = (task.observation_space, task.action_space), streams.generator(0, Purpose.INITIALISATION, 0)
    return Learner(make_policy(*spaces, config.policy, generator, config.parts, own_spaces=task.spaces))


def iterate(
    controls: Controls, streams: Streams, progress: Progress, samplers: Samplers
) -> Generator[Iteration, None, None]:
    """Yield one Iteration after another until the config's `iterations` or `steps` are done or the controls say stop.

    Raises Diverged after three iterations in a row with NaN or infinity, or when more than 1 % of an iteration's steps
    blew up; whatever else a task raises passes through.
    """
    try:
        while not progress.over(controls.requested) and controls.wait_for_turn():
            config, index = controls.take(), progress.iteration + 1
            controls.enter(SAMPLING)
            if index == 1:
                _first_statistics(config, controls, progress, samplers)
            began = time.perf_counter()
            learner = _with_value_function(progress.learner, config, streams)
            share = progress.share(config)
            done = _learn_once(learner, config, index, share, streams, samplers, controls)
            controls.enter("")
            _advance(progress, done, index)
            controls.wait(config.seconds_per_iteration - (time.perf_counter() - began))
            metrics = metrics_line(done, progress, config, config.trust.at(share).delta, time.perf_counter() - began)
            batch = done.collected.batch if done.collected else None
            yield Iteration(index, config, metrics, done.learner, learner, batch, done.diagnostics)
            if progress.nonfinite_in_a_row >= MOST_NONFINITE:
                why = done.diagnostics.message
                raise Diverged(f"{MOST_NONFINITE} iterations in a row were skipped; the last one: {why}")
            if metrics["episodes_unstable"] > max(FEW_UNSTABLE, MOST_UNSTABLE * done.sim_steps):
                raise Diverged(
                    f"the physics blew up in {metrics['episodes_unstable']} of {done.sim_steps} steps of iteration "
                    f"{index}: the task's time step, its gains or its start states are too rough for these actions"
                )
    except Interrupted:
        return  # nothing of the iteration under way is kept
    finally:
        controls.enter("")


def _learn_once(
    learner: Learner, config: Config, index: int, share: float, streams: Streams, samplers: Samplers, controls: Controls
) -> Done:
    """Collect, estimate, step, fit, with `share` of the run done. Raises Interrupted if the iteration is given up."""
    began = time.perf_counter()
    try:
        collected = samplers.collect(learner, config, index, controls.aborting)  # advantages by the old value function
    except NonFinite as error:
        took = time.perf_counter() - began
        return Done(learner, Diagnostics(Outcome.SKIPPED_NONFINITE, str(error)), error.sim_steps, took)
    _raise_if_given_up(controls)
    sampled = time.perf_counter()
    controls.enter(UPDATE)
    purpose = Purpose.POPULATION if METHODS[config.method].searches else Purpose.FISHER_ROWS
    context = config.context(streams.generator(index, purpose), collected.features, share)
    stepped, diagnostics = step(learner, collected.batch, *config.of_method(), context, config.threads)
    _raise_if_given_up(controls)
    updated, fit = time.perf_counter(), None
    controls.enter(VALUE)
    if diagnostics.outcome is not Outcome.SKIPPED_NONFINITE:
        stepped, fit = _learn_values(stepped, collected, config, streams, index)
    if fit is not None and fit.status is FitStatus.NONFINITE:  # the policy's step is taken back as well
        stepped, diagnostics = learner, Diagnostics(Outcome.SKIPPED_NONFINITE, fit.message)
    _raise_if_given_up(controls)
    seconds = {"sampling": sampled - began, "update": updated - sampled, "value": time.perf_counter() - updated}
    collected = replace(collected, features=None)  # nothing reads them after the update
    return Done(stepped, diagnostics, collected.batch.sim_steps, collected=collected, fit=fit, **seconds)


def _raise_if_given_up(controls: Controls) -> None:
    """Raise Interrupted if the iteration under way is to be given up."""
    if controls.aborting():
        raise Interrupted


def _advance(progress: Progress, done: Done, index: int) -> None:
    """Count the iteration."""
    progress.learner, progress.iteration = done.learner, index
    progress.sim_steps, progress.batch_steps = progress.sim_steps + done.sim_steps, done.sim_steps
    skipped = done.diagnostics.outcome is Outcome.SKIPPED_NONFINITE
    progress.nonfinite_in_a_row = progress.nonfinite_in_a_row + 1 if skipped else 0
    if done.collected is not None:
        progress.recent_returns.extend(done.collected.batch.episodes.returns.tolist())


def _first_statistics(config: Config, controls: Controls, progress: Progress, samplers: Samplers) -> None:
    """Give the normaliser its first statistics from steps under the starting policy; they count as simulator steps."""
    policy = progress.learner.policy
    if policy.normalizer is None:
        return
    try:
        seen = samplers.first_look(policy, config, controls.aborting)
    except NonFinite:
        return  # the first iteration will meet it again, and report it
    progress.sim_steps += seen.sim_steps
    progress.learner = replace(progress.learner, policy=replace(policy, normalizer=policy.normalizer.updated(seen.obs)))


def _with_value_function(learner: Learner, config: Config, streams: Streams) -> Learner:
    """The learner with a value function, where the sampler needs one; it runs where the update does."""
    needed = SAMPLERS[config.sampler].needs_value(config.sampler_settings) and not METHODS[config.method].searches
    value = learner.value
    if value is None and needed:
        value = make_value(learner.policy.network.inputs, config.value, streams.generator(0, Purpose.INITIALISATION, 1))
    if value is not None and value.device != (device := device_for(config.device)):
        value = replace(value, device=device)
    return learner if value is learner.value else replace(learner, value=value)


def _learn_values(
    learner: Learner, collected: Collected, config: Config, streams: Streams, index: int
) -> tuple[Learner, ValueFit | None]:
    """Fit the value function, then move the normaliser: in this order, after the policy's step."""
    policy, value, fit = learner.policy, learner.value, None
    if collected.targets is not None and value is not None:
        rows = streams.generator(index, Purpose.VALUE_ROWS)
        value, fit = fit_value(value, collected.features, collected.targets, config.value, rows, config.threads)
    if policy.normalizer is not None:
        policy = replace(policy, normalizer=policy.normalizer.updated(collected.observed))
    return replace(learner, policy=policy, value=value), fit

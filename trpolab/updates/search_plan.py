"""What a search over θ will cost and whether it can run, known before any simulation."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from trpolab.extras import install_line
from trpolab.policies.policy import policy_size
from trpolab.simulators.base import Task
from trpolab.updates.methods.cma_es import covariance_problem, default_population

if TYPE_CHECKING:
    from trpolab.training.config import Config


def search_problems(config: Config, task: Task) -> list[str]:
    """Why the config's method can't search on this task, each reason a sentence that quotes the values."""
    problems = []
    if config.sampler != "single-path":
        problems.append(
            f"method = {config.method!r} judges candidates by whole episodes and has no use for sampler = "
            f"{config.sampler!r}; use sampler = 'single-path'"
        )
    if task.sees_pixels:
        problems.append(
            f"method = {config.method!r} plays candidates with dense networks, not {task.name}'s convolutional one; "
            "use a method that follows the gradient, such as 'trpo'"
        )
        return problems
    size = policy_size(task.observation_space, task.action_space, config.policy)
    if config.method == "cma_es":
        if importlib.util.find_spec("cma") is None:
            problems.append(f"method = 'cma_es' needs cma, which is not installed: {install_line('cma')}")
        if (problem := covariance_problem(size, config.cma_es.covariance)) is not None:
            problems.append(problem)
    if config.method == "reps" and config.reps.population <= size:
        problems.append(
            f"reps.population = {config.reps.population}: the policy has {size:,} parameters, and REPS fits a full "
            "covariance matrix to more candidates than that; give more, a smaller policy (hidden = [] is linear), or "
            "use method = 'cem'"
        )
    return problems


def search_cost(config: Config, task: Task) -> int:
    """The most simulator steps that one iteration can take; early ends make it less."""
    longest = min(config.path.horizon, task.time_limit or config.path.horizon)
    return population_size(config, task) * episodes_each(config) * longest


def population_size(config: Config, task: Task) -> int:
    """P, the candidates of one iteration."""
    if config.method == "cma_es":
        size = policy_size(task.observation_space, task.action_space, config.policy)
        return config.cma_es.population or default_population(size)
    return config.cem.population if config.method == "cem" else config.reps.population


def episodes_each(config: Config) -> int:
    """How many episodes judge a candidate."""
    each = {"cem": config.cem.episodes, "cma_es": config.cma_es.episodes, "reps": config.reps.episodes}
    return each[config.method]

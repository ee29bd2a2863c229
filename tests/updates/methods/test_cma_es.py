"""CMA-ES: the engine, rebuilt for every call."""

from __future__ import annotations

import numpy as np
import pytest

from tests import reference
from tests.reference import propose, step
from tests.updates.methods.searches import config, population, quadratic, search, start
from trpolab.policies import Learner
from trpolab.settings import ConfigError
from trpolab.simulators import find_task
from trpolab.training.config import resolve
from trpolab.updates import Outcome
from trpolab.updates.methods.cma_es import covariance_problem, default_population, is_full


@pytest.mark.parametrize("covariance", ["full", "separable"])
def test_is_the_engine_that_was_never_put_away(covariance: str) -> None:
    cma = pytest.importorskip("cma")
    learner, streams = start(), iter(())
    options = {
        "CMA_diagonal": covariance == "separable",
        "popsize": default_population(10),
        "randn": lambda *shape: streams.standard_normal(shape),
        "seed": np.nan,
        "verbose": -9,
    }
    engine = cma.CMAEvolutionStrategy(learner.policy.theta.numpy(), 1.0, options)
    for iteration in range(60):
        streams = np.random.default_rng(iteration)
        asked = engine.ask()
        engine.tell(asked, (-quadratic(np.array(asked))).tolist())
        learner, _ = search("cma_es", 1, learner, first=iteration, **{"cma_es.covariance": covariance})
        np.testing.assert_array_equal(learner.state["cma_es.mean"], engine.mean)
    assert learner.state["cma_es.sigma"][0] == engine.sigma


@pytest.mark.parametrize("covariance", ["full", "separable"])
def test_it_also_runs_with_hundreds_of_parameters(covariance: str) -> None:
    policy = reference.small_policy(hidden=(16, 16))  # 374: there the engine would choose other rules by itself
    before = quadratic(policy.theta.numpy()[None])[0]
    learner, found = search("cma_es", 30, Learner(policy), **{"cma_es.covariance": covariance, "cma_es.sigma": 0.2})
    assert found.outcome is Outcome.ACCEPTED
    assert quadratic(learner.state["cma_es.mean"][None])[0] > 0.9 * before


def test_a_population_of_another_stream_is_refused() -> None:
    learner = start()
    candidates = propose(learner, config("cma_es"), np.random.default_rng(0))
    data = population(candidates, quadratic(candidates))
    with pytest.raises(ValueError, match="not drawn from this state"):
        step(learner, data, config("cma_es"), np.random.default_rng(1))


def test_at_8206_parameters_the_full_covariance_is_refused_with_its_memory() -> None:
    problem = covariance_problem(8206, "full")
    assert "8,206 parameters would need 2.7 GB" in problem
    assert "use 'separable'" in problem
    assert covariance_problem(8206, "separable") is None
    assert covariance_problem(8206, "auto") is None
    assert not is_full(8206, "auto") and is_full(6, "auto")


def test_a_config_that_would_need_it_is_refused_before_anything_runs() -> None:
    overrides = {"method": "cma_es", "cma_es.covariance": "full", "hidden": (128, 128)}
    with pytest.raises(ConfigError, match=r"cma_es.covariance = 'full': .* use 'separable'"):
        resolve(find_task("Hopper-v5"), overrides=overrides)
    resolve(find_task("Hopper-v5"), overrides=overrides | {"cma_es.covariance": "separable"})


def test_without_the_package_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'needs cma, which is not installed: pip install "trpolab\[cma\]"'):
        resolve(find_task("paper/CartPole"), overrides={"method": "cma_es"})

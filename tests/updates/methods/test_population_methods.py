"""What all methods that search over θ owe: the optimum of a known function, from their state alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import safetensors.numpy
import torch

from tests import reference
from tests.reference import propose, step
from tests.updates.methods.searches import config, population, quadratic, search, start
from trpolab.policies import Learner
from trpolab.sampling.population import Population
from trpolab.settings import ConfigError
from trpolab.simulators import find_task
from trpolab.training.config import cost, resolve
from trpolab.updates import METHODS, Outcome

SEARCHES = [name for name, kind in METHODS.items() if kind.searches]
CASES = [
    ("cem", {}),
    ("cma_es", {}),
    ("cma_es", {"cma_es.covariance": "separable"}),
    ("reps", {"reps.population": 100}),
]


@pytest.mark.parametrize(("method", "settings"), CASES, ids=str)
def test_finds_the_top_of_a_quadratic(method: str, settings: dict) -> None:
    iterations = {"cem": 40, "cma_es": 150, "reps": 60}[method]
    before = quadratic(start().policy.theta.numpy()[None])[0]
    learner, found = search(method, iterations, **settings)
    assert found.outcome is Outcome.ACCEPTED
    assert quadratic(learner.policy.theta.numpy()[None])[0] > 0.01 * before  # both negative: a hundred times nearer
    assert found.kl_mean is None and found.surrogate_gain is None and found.cg is None
    assert found.spread < 0.5


@pytest.mark.parametrize(("method", "settings"), CASES, ids=str)
def test_goes_on_from_its_state_bit_for_bit(method: str, settings: dict) -> None:
    """Through the file format of checkpoints and back, with a learner made anew."""
    whole, _ = search(method, 8, **settings)
    half, _ = search(method, 5, **settings)
    assert {array.dtype.name for array in half.state.values()} <= {"float64", "int64"}
    kept = safetensors.numpy.load(safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in half.state.items()}))
    resumed = Learner(half.policy.replace(theta=half.policy.theta.clone()), state=kept)
    gone_on, _ = search(method, 3, resumed, first=5, **settings)
    assert torch.equal(gone_on.policy.theta, whole.policy.theta)
    for name, array in whole.state.items():
        np.testing.assert_array_equal(gone_on.state[name], array)


@pytest.mark.parametrize(("method", "settings"), CASES, ids=str)
def test_nothing_handed_in_is_written_to_and_no_global_generator_is_touched(method: str, settings: dict) -> None:
    learner, _ = search(method, 2, **settings)
    state = {name: array.copy() for name, array in learner.state.items()}
    theta = learner.policy.theta.clone()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    search(method, 2, learner, first=2, **settings)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert torch.equal(learner.policy.theta, theta)
    for name, array in state.items():
        np.testing.assert_array_equal(learner.state[name], array)


@pytest.mark.parametrize("method", SEARCHES)
class TestTrouble:
    """Populations that nothing can be learned from leave the learner as it is; some bad candidates do no harm."""

    def data(self, method: str, returns) -> tuple[Learner, Population]:
        learner = start()
        candidates = propose(learner, config(method), np.random.default_rng(0))
        return learner, population(candidates, returns(candidates))

    @pytest.mark.reliability
    def test_all_alike(self, method: str) -> None:
        learner, data = self.data(method, lambda c: np.full(len(c), 5.0))
        after, found = step(learner, data, config(method), np.random.default_rng(0))
        assert after is learner
        assert found.outcome is Outcome.SKIPPED_DEGENERATE_BATCH
        assert found.message == "all candidates returned 5: no preference"

    @pytest.mark.reliability
    def test_all_blown_up(self, method: str) -> None:
        learner, data = self.data(method, lambda c: np.full(len(c), np.nan))
        after, found = step(learner, data, config(method), np.random.default_rng(0))
        assert after is learner
        assert found.outcome is Outcome.SKIPPED_DEGENERATE_BATCH

    @pytest.mark.reliability
    def test_the_best_ones_blown_up(self, method: str) -> None:
        learner, data = self.data(method, lambda c: np.where(c[:, 0] > np.median(c[:, 0]), np.nan, c[:, 0]))
        after, found = step(learner, data, config(method), np.random.default_rng(0))
        assert found.outcome is Outcome.ACCEPTED
        survived = np.isfinite(data.returns)
        assert float(after.policy.theta[0]) <= data.candidates[survived, 0].max() + 1e-6

    def test_it_wants_a_population(self, method: str) -> None:
        batch = reference.small_batch(start().policy)
        with pytest.raises(TypeError, match="learns from a Population, not a Batch"):
            step(start(), batch, config(method), np.random.default_rng(0))

    def test_a_switch_begins_at_the_policy(self, method: str) -> None:
        learner = start().replace(state={f"{other}.mean": np.full(10, 99.0) for other in SEARCHES if other != method})
        candidates = propose(learner, config(method), np.random.default_rng(0))
        assert np.abs(candidates.mean(axis=0) - learner.policy.theta.numpy()).max() < 3
        after, _ = step(
            learner, population(candidates, quadratic(candidates)), config(method), np.random.default_rng(0)
        )
        assert {name.partition(".")[0] for name in after.state} == {method}


class TestConfig:
    """Pairings that can't run, one sentence each; and what an iteration may cost."""

    @pytest.mark.parametrize("method", SEARCHES)
    def test_the_vine_is_of_no_use(self, method: str) -> None:
        with pytest.raises(ConfigError) as caught:
            resolve(find_task("paper/CartPole"), overrides={"method": method, "sampler": "vine"})
        (problem,) = caught.value.problems
        assert problem == (
            f"method = {method!r} judges candidates by whole episodes and has no use for sampler = 'vine'; "
            "use sampler = 'single-path'"
        )

    def test_reps_wants_more_candidates_than_parameters(self) -> None:
        with pytest.raises(ConfigError, match=r"reps.population = 40: the policy has 5,126 parameters"):
            resolve(find_task("Hopper-v5"), overrides={"method": "reps"})

    def test_what_only_batches_need_is_not_asked_for(self) -> None:
        resolve(find_task("paper/CartPole"), overrides={"method": "cem", "advantage": "monte_carlo"})

    def test_the_most_an_iteration_can_cost(self) -> None:
        task = find_task("paper/CartPole")
        for method, candidates in (("cem", 40), ("cma_es", 4 + int(3 * math.log(6))), ("reps", 40)):
            wanted = resolve(task, overrides={"method": method, f"{method}.episodes": 3})
            assert cost(wanted, task) == candidates * 3 * 500

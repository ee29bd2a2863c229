"""CEM, CMA-ES and REPS: on functions whose optimum is known, against loops, and from their state alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import safetensors.numpy
import torch

from tests import reference
from tests.reference import propose, step
from trpolab.policies import Learner
from trpolab.sampling.batch import Episodes
from trpolab.sampling.population import Population
from trpolab.settings import ConfigError
from trpolab.simulators import find_task
from trpolab.training.config import Config, cost, resolve
from trpolab.updates import METHODS, Outcome
from trpolab.updates.methods.cem import elite_count
from trpolab.updates.methods.cma_es import covariance_problem, default_population, is_full
from trpolab.updates.methods.reps import reweight

SEARCHES = [name for name, kind in METHODS.items() if kind.searches]
CASES = [
    ("cem", {}),
    ("cma_es", {}),
    ("cma_es", {"cma_es.covariance": "separable"}),
    ("reps", {"reps.population": 100}),
]


def config(method: str, **settings) -> Config:
    return Config().replace(method=method, **settings)


def start() -> Learner:
    return Learner(reference.small_policy(hidden=()))  # ten parameters


def target(size: int) -> np.ndarray:
    return np.linspace(-1, 1, size)


def quadratic(candidates: np.ndarray) -> np.ndarray:
    """Returns with their maximum, 0, at the target; axes differ by a factor of ten in stiffness."""
    size = candidates.shape[1]
    return -((candidates - target(size)) ** 2 * np.logspace(0, 1, size)).sum(axis=1)


def population(candidates: np.ndarray, returns: np.ndarray) -> Population:
    return Population(candidates, returns, Episodes(returns, np.ones(len(returns), np.int64)), len(returns), 0.0)


def search(method: str, iterations: int, learner: Learner | None = None, first: int = 0, returns=quadratic, **settings):
    """Iterate propose, play, step from iteration `first` on; stream i belongs to iteration i."""
    learner, found = learner or start(), None
    for iteration in range(first, first + iterations):
        candidates = propose(learner, config(method, **settings), np.random.default_rng(iteration))
        data = population(candidates, returns(candidates))
        learner, found = step(learner, data, config(method, **settings), np.random.default_rng(iteration))
    return learner, found


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


class TestCrossEntropy:
    """Elite statistics and the noise schedule, written out."""

    def test_mean_and_spread_are_those_of_the_elite(self) -> None:
        settings = {"cem.population": 10, "cem.elite": 0.3, "cem.noise": 0.6, "cem.noise_iterations": 4}
        learner = start()
        for iteration in range(6):
            candidates = propose(learner, config("cem", **settings), np.random.default_rng(iteration))
            returns = quadratic(candidates)
            learner, _ = step(
                learner, population(candidates, returns), config("cem", **settings), np.random.default_rng(9)
            )
            elite = candidates[sorted(range(10), key=lambda row: -returns[row])[:3]]
            extra = 0.36 * max(0.0, 1 - iteration / 4)
            np.testing.assert_allclose(learner.state["cem.mean"], elite.mean(axis=0))
            np.testing.assert_allclose(learner.state["cem.std"] ** 2, elite.var(axis=0) + extra)
            np.testing.assert_allclose(learner.policy.theta.numpy(), np.clip(elite.mean(axis=0), None, 1e9), rtol=1e-6)

    def test_without_noise_the_search_narrows_before_it_has_arrived(self) -> None:
        """Why Szita and Lőrincz add it: the optimum lies ten starting deviations away."""

        def far(candidates: np.ndarray) -> np.ndarray:
            return -np.abs(candidates - 10).sum(axis=1)

        def missed(noise: float) -> float:
            given = {"cem.noise": noise, "cem.noise_iterations": 30, "cem.std": 1.0}
            return float(np.abs(search("cem", 60, returns=far, **given)[0].state["cem.mean"] - 10).max())

        assert missed(1.0) < 1.0
        assert missed(0.0) > 5.0

    @pytest.mark.parametrize(("elite", "count"), [(0.01, 2), (0.2, 8), (0.21, 9), (1.0, 40)])
    def test_how_many_are_kept(self, elite: float, count: int) -> None:
        assert elite_count(config("cem", **{"cem.elite": elite}).cem) == count


class TestCMA:
    """The engine, rebuilt for every call."""

    @pytest.mark.parametrize("covariance", ["full", "separable"])
    def test_is_the_engine_that_was_never_put_away(self, covariance: str) -> None:
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
    def test_it_also_runs_with_hundreds_of_parameters(self, covariance: str) -> None:
        policy = reference.small_policy(hidden=(16, 16))  # 374: there the engine would choose other rules by itself
        before = quadratic(policy.theta.numpy()[None])[0]
        learner, found = search("cma_es", 30, Learner(policy), **{"cma_es.covariance": covariance, "cma_es.sigma": 0.2})
        assert found.outcome is Outcome.ACCEPTED
        assert quadratic(learner.state["cma_es.mean"][None])[0] > 0.9 * before

    def test_a_population_of_another_stream_is_refused(self) -> None:
        learner = start()
        candidates = propose(learner, config("cma_es"), np.random.default_rng(0))
        data = population(candidates, quadratic(candidates))
        with pytest.raises(ValueError, match="not drawn from this state"):
            step(learner, data, config("cma_es"), np.random.default_rng(1))

    def test_at_8206_parameters_the_full_covariance_is_refused_with_its_memory(self) -> None:
        problem = covariance_problem(8206, "full")
        assert "8,206 parameters would need 2.7 GB" in problem
        assert "use 'separable'" in problem
        assert covariance_problem(8206, "separable") is None
        assert covariance_problem(8206, "auto") is None
        assert not is_full(8206, "auto") and is_full(6, "auto")

    def test_a_config_that_would_need_it_is_refused_before_anything_runs(self) -> None:
        overrides = {"method": "cma_es", "cma_es.covariance": "full", "hidden": (128, 128)}
        with pytest.raises(ConfigError, match=r"cma_es.covariance = 'full': .* use 'separable'"):
            resolve(find_task("Hopper-v5"), overrides=overrides)
        resolve(find_task("Hopper-v5"), overrides=overrides | {"cma_es.covariance": "separable"})

    def test_without_the_package_the_command_that_installs_it_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(ConfigError, match=r'needs cma, which is not installed: pip install "trpolab\[cma\]"'):
            resolve(find_task("paper/CartPole"), overrides={"method": "cma_es"})


class TestREPS:
    """The dual, and what its weights are."""

    @pytest.mark.parametrize("epsilon", [0.05, 0.5, 2.0])
    def test_the_temperature_minimises_the_dual(self, epsilon: float) -> None:
        returns = np.random.default_rng(0).normal(100.0, 30.0, size=50)
        found = reweight(returns, epsilon)
        grid = np.geomspace(1e-2, 1e4, 20_001)
        dual = [eta * (epsilon + math.log(np.exp((returns - returns.max()) / eta).mean())) for eta in grid]
        best = grid[np.argmin(dual + returns.max())]
        assert found.temperature == pytest.approx(best, rel=1e-3)
        np.testing.assert_allclose(found.weights, np.exp(returns / best) / np.exp(returns / best).sum(), rtol=0.05)
        assert found.kl == pytest.approx(epsilon, rel=1e-6)

    def test_no_other_weights_within_epsilon_expect_more(self) -> None:
        generator = np.random.default_rng(1)
        returns = generator.normal(size=6)
        found = reweight(returns, 0.3)
        for _ in range(20_000):
            other = generator.dirichlet(np.full(6, 2.0))
            if (other * np.log(6 * other)).sum() <= 0.3:
                assert other @ returns <= found.weights @ returns + 1e-9

    def test_a_wide_bound_leaves_the_best_alone(self) -> None:
        found = reweight(np.array([1.0, 3.0, 3.0, 2.0]), 5.0)
        assert found.weights.tolist() == [0.0, 0.5, 0.5, 0.0]
        assert found.kl == pytest.approx(math.log(2))

    def test_adding_to_or_scaling_all_returns_changes_no_weight(self) -> None:
        returns = np.random.default_rng(2).normal(size=30)
        plain, moved = reweight(returns, 0.5).weights, reweight(1e4 * returns - 7e5, 0.5).weights
        np.testing.assert_allclose(plain, moved, rtol=1e-5)

    def test_the_fit_is_the_weighted_one(self) -> None:
        learner = start()
        candidates = propose(learner, config("reps"), np.random.default_rng(0))
        returns = quadratic(candidates)
        after, _ = step(learner, population(candidates, returns), config("reps"), np.random.default_rng(0))
        w = reweight(returns, config("reps").reps.epsilon).weights
        mean = sum(weight * candidate for weight, candidate in zip(w, candidates, strict=True))
        covariance = sum(
            weight * np.outer(candidate - mean, candidate - mean)
            for weight, candidate in zip(w, candidates, strict=True)
        ) / (1 - (w**2).sum())
        np.testing.assert_allclose(after.state["reps.mean"], mean)
        np.testing.assert_allclose(after.state["reps.covariance"], covariance, rtol=1e-4, atol=1e-5)


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

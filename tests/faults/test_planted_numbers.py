"""Faults in what is computed, planted one at a time: a measure that is small for the true code must become large."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from tests import reference
from tests.faults.points import plant
from tests.reference import propose, step
from tests.sampling.vine import checks as vine
from tests.sampling.vine.test_proposals import PI, uniform_error
from tests.theory import sampled, twins
from trpolab import theory
from trpolab.numerics import conjugate_gradient
from trpolab.numerics.roots import NoConvergence
from trpolab.policies import Learner
from trpolab.sampling.batch import Episodes, Estimator
from trpolab.sampling.population import Population
from trpolab.training.config import Config
from trpolab.updates import Problem, surrogate
from trpolab.updates.methods import kl_penalty, reps

# The step


def kl_breach(delta: float = 0.5) -> float:
    """How far beyond δ the true KL(old‖new) of an accepted step lies, on a batch that wants σ smaller."""
    policy = reference.small_policy(hidden=())
    batch = reference.small_batch(policy, states=400, actions=1)
    spread = np.abs(batch.actions[:, 0] - batch.old[:, :2]).sum(-1, keepdims=True)
    batch = dataclasses.replace(batch, q_values=-spread + spread.mean())
    config = Config().replace(delta=delta, fisher_fraction=1.0, damping=0.0, shrink=0.95, max_tries=40)
    learner, found = step(Learner(policy), batch, config, np.random.default_rng(0))
    assert found.outcome.accepted, found.message
    new = learner.policy.parameters(reference.features64(policy, batch.obs))
    kl = reference.torch_kl(policy.distribution, torch.from_numpy(batch.old), new).mean()
    return float(kl) - delta


def moved_though_rejected() -> float:
    """How far θ is moved by a step that must be rejected."""
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    config = Config().replace(delta=100.0, fisher_fraction=1.0, damping=0.0, max_tries=1)
    learner, found = step(Learner(policy), batch, config, np.random.default_rng(0))
    return float((learner.policy.theta - policy.theta).norm()) + found.outcome.accepted


def loss_of_the_step() -> float:
    """-gᵀ(θ' - θ) with g by differences of the loop-written surrogate."""
    policy = reference.small_policy()
    batch = reference.small_batch(policy, states=40)
    config = Config().replace(delta=0.01, fisher_fraction=1.0, line_search=False)
    learner, _ = step(Learner(policy), batch, config, np.random.default_rng(0))
    g = reference.numeric_gradient(lambda t: reference.surrogate_by_loops(policy, batch, t), policy.theta)
    return -float(g @ (learner.policy.theta - policy.theta))


# The compared methods


def take(method: str, **settings):
    policy = reference.small_policy(hidden=())
    batch = reference.small_batch(policy, states=60)
    config = Config().replace(method=method, **{"delta": 0.01, "fisher_fraction": 1.0, **settings})
    learner, found = step(Learner(policy), batch, config, np.random.default_rng(0))
    assert found.outcome.accepted, found.message
    new = learner.policy.parameters(reference.features64(policy, batch.obs))
    kl = reference.torch_kl(policy.distribution, torch.from_numpy(batch.old), new)
    return policy, batch, learner, kl


def natural_gradients_want_of_kl() -> float:
    """How far the KL of a large step stays below 0.05: the paper's baseline has no line search, and no δ."""
    return 0.05 - float(take("natural_gradient", **{"natural_gradient.step": 2.0})[3].mean())


def max_kl_breach() -> float:
    """How far beyond δ the largest KL of a state lies."""
    return float(take("max_kl", damping=0.0)[3].max()) - 0.01


def empirical_fisher_error() -> float:
    """Distance of the empirical Fisher matrix under uniform q from the loop, as a share."""
    policy = reference.small_policy("categorical")
    batch = reference.small_batch(policy, states=30)
    drawn = np.random.default_rng(0).integers(0, 3, size=(30, 4))
    batch = dataclasses.replace(
        batch, actions=drawn, log_q=np.full((30, 4), -math.log(3)), q_values=drawn.astype(np.float64)
    )
    dense = reference.empirical_fisher(policy, batch)
    found = reference.matrix_of(Problem(policy, batch).fisher(kind="empirical"), policy.size)
    return float((found - dense).norm() / dense.norm())


def slope_left_of_the_penalised_objective() -> float:
    """Of L - C·KL after many ascents: later ones would only see L if the slope of the KL were forgotten."""
    given = {"kl_penalty.coefficient": "fixed", "kl_penalty.penalty": 20.0, "kl_penalty.ascents": 60}
    policy, batch, learner, _ = take("kl_penalty", damping=1e-3, **given)

    def objective(theta: torch.Tensor) -> float:
        new = policy.parameters(reference.features64(policy, batch.obs), theta)
        kl = reference.torch_kl(policy.distribution, torch.from_numpy(batch.old), new).mean()
        return reference.surrogate_by_loops(policy, batch, theta) - 20.0 * float(kl)

    return float(reference.numeric_gradient(objective, learner.policy.theta).norm())


def penalty_that_stays() -> float:
    """1 if a penalty stays at 4 though the KL is far beyond δ, less the more it grows."""
    return 4.0 / float(take("kl_penalty", delta=1e-6, **{"kl_penalty.penalty": 4.0})[2].state[kl_penalty.STATE][0])


def standstill_of_the_regression() -> float:
    """1/KL of a regression on weighted actions: of its own actions, all alike, nothing is learned."""
    return 1 / float(take("rwr", **{"rwr.temperature": 0.5, "rwr.steps": 10})[3].mean())


def missed_by_cem() -> float:
    """Distance of CEM's mean from an optimum ten starting deviations away, after 60 iterations."""
    learner = Learner(reference.small_policy(hidden=()))
    config = Config().replace(method="cem", **{"cem.noise": 1.0, "cem.noise_iterations": 30})
    for iteration in range(60):
        candidates = propose(learner, config, np.random.default_rng(iteration))
        returns = -np.abs(candidates - 10).sum(axis=1)
        episodes = Episodes(returns, np.ones(len(returns), np.int64))
        data = Population(candidates, returns, episodes, len(returns), 0.0)
        learner, _ = step(learner, data, config, np.random.default_rng(0))
    return float(np.abs(learner.state["cem.mean"] - 10).max())


def cem_differs_when_resumed() -> float:
    """Distance of 6 iterations from 3 and 3 more by a learner made anew from the state."""

    def run(learner: Learner, iterations: range) -> Learner:
        for iteration in iterations:
            config = Config().replace(method="cem")
            candidates = propose(learner, config, np.random.default_rng(iteration))
            returns = -np.square(candidates - 1).sum(axis=1)
            data = Population(candidates, returns, Episodes(returns, np.ones(len(returns), np.int64)), 1, 0.0)
            learner, _ = step(learner, data, config, np.random.default_rng(iteration))
        return learner

    begin = Learner(reference.small_policy(hidden=()))
    whole, half = run(begin, range(6)), run(begin, range(3))
    resumed = run(Learner(half.policy, state={k: v.copy() for k, v in half.state.items()}), range(3, 6))
    return float((whole.policy.theta - resumed.policy.theta).norm())


def reps_kl_error() -> float:
    """Of the weights that REPS gives returns, from the KL that was asked for."""
    try:
        return abs(reps.reweight(np.random.default_rng(0).normal(size=40), 0.5).kl - 0.5)
    except NoConvergence:  # it looks itself
        return math.inf


# The theory


def identity_error() -> float:
    """Largest |Eq. 2 - η(π̃)| of some random cases."""
    found = [theory.identity(*case) for case in twins.random_cases(10, seed=90)]
    return max(abs(one.by_states - one.eta) for one in found)


def gap_to_the_first_term() -> float:
    """Largest |L - η - first-order term| of some random cases."""
    found = [(theory.local_model(*case), theory.perturbation(*case)) for case in twins.random_cases(10, seed=91)]
    return max(abs(model - series.eta - series.first) for model, series in found)


def theorem_1_breach() -> float:
    """Whether Theorem 1 with ε = max |A| is broken by an example in which ε of expected advantages is too small."""
    return float(not theory.theorem_1(*twins.t1_example()).holds)


def agreement_short_of_its_promise() -> float:
    """How far P(n_t = 0) falls below (1-α)^t: one state, three actions, the second policy without the first of them."""
    mdp = theory.FiniteMDP(np.ones((1, 3, 1)), np.zeros(1), np.ones(1), 0.9)
    found = theory.coupling_argument(mdp, np.full((1, 3), 1 / 3), np.array([[0, 0.5, 0.5]]), 5)
    return float((found.agreed_least - found.agreed).max())


def largest_kl_breach(delta: float = 0.2) -> float:
    """How far beyond δ the KL(old‖new) of an exact step lies, and of TRPO's own."""
    worst = -np.inf
    for mdp, old, _ in twins.random_cases(10, seed=93):
        for update, spent in ((theory.trpo_step, theory.mean_kl), (theory.max_kl_step, theory.max_kl)):
            worst = max(worst, spent(mdp, old, update(mdp, old, delta).policy) - delta)
    return worst


def worst_fall(iterations: int = 6) -> float:
    """The most of M_i(π_{i+1}) - η(π_{i+1}) over Algorithm 1's iterations: positive where a promise is broken."""
    most = -np.inf
    for mdp, old, _ in twins.random_cases(4, seed=94):
        run = theory.improve(mdp, old, theory.algorithm_1_step, iterations)
        most = max(most, *(step.guaranteed - after for after, step in zip(run.etas[1:], run.steps, strict=True)))
    return float(most)


# Sampling and simulators


def single_path_deviation(weighting: str = "discounted") -> float:
    mdp = sampled.small_mdp()
    learner = sampled.peaked_learner(mdp)
    exact = sampled.exact_single_path(mdp, learner.policy, weighting == "discounted")
    return sampled.worst_deviation(sampled.by_single_path(mdp, learner, weighting), exact)


def steps_beyond(task: str, limit: int) -> float:
    """Steps beyond its time limit of a branch that begins 10 steps before it."""
    return vine.steps_to_the_limit(task, limit - 10) - 10


# a measure: its most with the true code
MEASURES: dict[str, tuple[Callable[[], float], float]] = {
    "KL beyond δ": (kl_breach, 1e-9),
    "θ moved though rejected": (moved_though_rejected, 0),
    "loss of the step": (loss_of_the_step, 0),
    "natural gradient's want of KL": (natural_gradients_want_of_kl, 0),
    "largest KL beyond δ": (max_kl_breach, 1e-9),
    "error of the empirical Fisher matrix": (empirical_fisher_error, 1e-9),
    "slope left of the penalised objective": (slope_left_of_the_penalised_objective, 0.02),
    "penalty that stays": (penalty_that_stays, 0.9),
    "standstill of the regression": (standstill_of_the_regression, 1),
    "missed by CEM": (missed_by_cem, 1.0),
    "CEM when resumed": (cem_differs_when_resumed, 0),
    "error of REPS's KL": (reps_kl_error, 1e-6),
    "error of Eq. 2": (identity_error, 1e-8),
    "gap to the first term": (gap_to_the_first_term, 1e-8),
    "Theorem 1 broken": (theorem_1_breach, 0),
    "agreement short of its promise": (agreement_short_of_its_promise, 1e-12),
    "KL beyond δ of exact steps": (largest_kl_breach, 1e-6),
    "Algorithm 1's worst fall": (worst_fall, 1e-10),
    "single path's deviation": (single_path_deviation, 4),
    "finite replays": (partial(vine.replay_difference, "finite/random-20x4"), 0),
    "MuJoCo's replays": (partial(vine.replay_difference, "Walker2d-v5"), 0),
    "finite MDPs' time limit": (partial(steps_beyond, "finite/chain-8", 100), 0),
    "MuJoCo's time limit": (partial(steps_beyond, "Swimmer-v5", 1000), 0),
    "cart-poles' time limit": (partial(steps_beyond, "CartPole-v1", 500), 0),
    "branches of MuJoCo that are equal": (partial(vine.equal_across_states, "paper/Swimmer"), 0),
    "branches of an adapted task that are equal": (partial(vine.equal_across_states, vine.finite), 0),
    "angle of Eq. 16 under uniform actions": (lambda: 1 - vine.uniform_gradient_cosine(), 0.1),
    "error of log q": (vine.uniform_log_q_error, 1e-6),
}
# a fault, its measure, the least of it with the fault, and the row that it belongs to
CASES = [
    ("KL arguments swapped", "KL beyond δ", 0.01, "R32"),
    ("a line search that ignores the KL", "KL beyond δ", 0.01, "R32"),
    ("a line search with one and a half times the bound", "KL beyond δ", 0.01, "R32"),
    ("a rejected candidate left in the policy", "θ moved though rejected", 1e-3, "R13"),
    ("advantages negated", "loss of the step", 0, "R32"),
    ("a natural gradient rescaled to δ", "natural gradient's want of KL", 0, None),
    ("a max KL that tests the mean", "largest KL beyond δ", 1e-3, None),
    ("scores of another proposal without weights", "error of the empirical Fisher matrix", 0.05, None),
    ("scores that carry the advantages", "error of the empirical Fisher matrix", 0.05, None),
    ("a penalty whose KL slope is forgotten", "slope left of the penalised objective", 0.05, None),
    ("an adaptive penalty that does not adapt", "penalty that stays", 0.99, None),
    ("a regression that counts all actions alike", "standstill of the regression", 3, None),
    ("an elite of the worst", "missed by CEM", 5.0, None),
    ("a search with a generator of its own", "CEM when resumed", 0, None),
    ("a dual that is not solved", "error of REPS's KL", 0.4, None),
    ("a normalised visitation", "error of Eq. 2", 1e-2, None),
    ("a local model with the states of the new policy", "gap to the first term", 1e-3, None),
    ("an epsilon of expected advantages", "Theorem 1 broken", 0, None),
    ("one uniform for both policies", "agreement short of its promise", 0.1, None),
    ("KL arguments swapped in an exact step", "KL beyond δ of exact steps", 1e-3, None),
    ("a penalty without the squared horizon", "Algorithm 1's worst fall", 1e-4, None),
    ("states without their discount", "single path's deviation", 4, None),
    ("returns that do not discount", "single path's deviation", 4, None),
    ("finite MDPs restored without the noise", "finite replays", 0, None),
    ("MuJoCo restored without the warm start", "MuJoCo's replays", 0, "R18"),
    ("finite MDPs restored without the step counter", "finite MDPs' time limit", 0, None),
    ("MuJoCo restored without the step counter", "MuJoCo's time limit", 0, "R18"),
    ("cart-poles restored without the step counter", "cart-poles' time limit", 0, "R18"),
    ("one noise sequence for all states", "branches of MuJoCo that are equal", 0, "R33"),
    ("one noise sequence for all states", "branches of an adapted task that are equal", 0, "R33"),
    ("Equation 16 over the old policy, in its check", "angle of Eq. 16 under uniform actions", 0.2, "R33"),
    ("Equation 16 over the old policy", "error of log q", 0.1, "R33"),
]
PLANTED = [
    pytest.param(fault, measure, least, marks=pytest.mark.reliability(*filter(None, [row])), id=f"{fault}: {measure}")
    for fault, measure, least, row in CASES
]


@pytest.mark.parametrize("name", MEASURES)
def test_without_a_fault_it_is_small(name: str) -> None:
    measure, most = MEASURES[name]
    assert measure() <= most


@pytest.mark.parametrize(("fault", "name", "least"), PLANTED)
def test_a_planted_fault_makes_it_large(fault: str, name: str, least: float, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(fault, monkeypatch)
    assert MEASURES[name][0]() > least


@pytest.mark.reliability
def test_a_multiplier_that_is_not_the_constraints(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that takes 1/t for μ stops short of the maximum of M."""
    mdp, old, _ = next(twins.random_cases(1, seed=95))
    best = theory.algorithm_1_step(mdp, old).guaranteed
    plant("a multiplier that is not the constraint's", monkeypatch)
    assert theory.algorithm_1_step(mdp, old).guaranteed < best - 1e-9


# What needs no place in the code: the wrong form is handed to the check


def solve_with_shared_memory(A, b, *, iterations=10, tolerance=1e-10):
    """CG whose p and r are the same memory, while r is updated in place."""
    x, r = torch.zeros_like(b), b.clone()
    p = r
    rr = float(r @ r)
    for _ in range(iterations):
        product = A(p)
        alpha = rr / float(p @ product)
        x += alpha * p
        r -= alpha * product
        previous, rr = rr, float(r @ r)
        if rr < tolerance:
            break
        p = r + rr / previous * p
    return x


def cosine_to_solution(solve) -> float:
    spectrum = np.geomspace(1, 100, 30)
    matrix = torch.from_numpy(reference.random_spd(np.random.default_rng(0), spectrum))
    b = torch.from_numpy(np.random.default_rng(1).normal(size=30))
    x, exact = solve(lambda v: matrix @ v, b), torch.linalg.solve(matrix, b)
    return float(x @ exact / (x.norm() * exact.norm()))


@pytest.mark.reliability("R32")
def test_aliased_cg_vectors() -> None:
    assert cosine_to_solution(lambda A, b: conjugate_gradient(A, b).x) > 0.99
    assert cosine_to_solution(solve_with_shared_memory) < 0.95


def uniform_proposal_error(values=surrogate.state_terms) -> float:
    """Distance of the Eq. 16 estimate under uniform actions from the exact expectation, 3 actions, large K."""
    q_hat, log_pi = torch.tensor([0.2, 1.0, -0.5]), torch.tensor([0.3, -0.2, 0.1]).log_softmax(0)
    drawn = torch.from_numpy(np.random.default_rng(0).integers(0, 3, size=(400, 500)))
    log_w = log_pi[drawn] + math.log(3)
    estimate = values(log_w, q_hat[drawn], Estimator.SELF_NORMALIZED).mean()
    return abs(float(estimate - log_pi.exp() @ q_hat))


@pytest.mark.reliability("R33")
def test_the_old_policy_in_the_denominators_under_a_uniform_proposal() -> None:
    assert uniform_proposal_error() < 0.01
    # at θ_old π_θ/π_old is 1 for every action: the plain mean
    assert uniform_proposal_error(lambda log_w, q, _: q.mean(1)) > 0.03


@pytest.mark.reliability("R33")
def test_equation_16_over_the_old_policy_when_actions_are_uniform() -> None:
    """On a peaked four-armed state: the true form is exact once K reaches all actions, the wrong one never is."""
    assert uniform_error(4) < 1e-12
    assert uniform_error(4, lambda actions: np.log(PI)[actions]) > 0.01

"""R33: what the sampler and the returns make of a small MDP, against values solved exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.reliability.tabular import GAMMA, LIMIT, STATES, P, R, Tabular, values
from trpolab.policies import Learner, Policy, ValueFunction, make_policy
from trpolab.policies.config import PolicyConfig
from trpolab.policies.mlp import MLP
from trpolab.sampling.config import SinglePath
from trpolab.sampling.returns import generalized_advantage
from trpolab.sampling.single_path import SinglePathSampler, single_path_batch
from trpolab.sampling.streams import Streams
from trpolab.sampling.trajectories import Trajectories
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators import find_task

STEPS = 30_000


@pytest.fixture(scope="module")
def policy() -> Policy:
    """A linear policy on one-hot states, away from uniform."""
    task = find_task(Tabular)
    config = PolicyConfig(hidden=(), normalize_observations=False, output_scale=1.0)
    made = make_policy(task.observation_space, task.action_space, config, np.random.default_rng(1))
    return made.replace(theta=made.theta * 0.8)


@pytest.fixture(scope="module")
def pi(policy: Policy) -> np.ndarray:
    """Its probabilities [S, A]."""
    u = policy.parameters(policy.features(np.eye(STATES, dtype=np.float32)))
    return u.double().softmax(1).detach().numpy()


@pytest.fixture(scope="module", params=[False, True], ids=["going on", "whole paths"])
def sampled(request: pytest.FixtureRequest, policy: Policy) -> Trajectories:
    """Episodes that end by themselves and episodes that are cut."""
    pool = SimulatorPool(Tabular, 32, 1)
    config = SinglePath(steps_per_iteration=STEPS, whole=request.param, horizon=LIMIT)
    found = SinglePathSampler(pool, Streams(0)).trajectories(policy, config, 1, lambda: False)
    pool.close()
    assert 0.2 < found.terminated.mean() < 0.95, "both kinds of end are there"
    return found


def exact_value_function(v: np.ndarray) -> ValueFunction:
    """V as a linear network on one-hot states."""
    network = MLP((STATES, 1))
    layer = network.layers[0]
    theta = torch.zeros(network.size)
    theta[layer.start : layer.split] = torch.from_numpy(v.astype(np.float32))
    return ValueFunction(network, theta, fits=1)


def each_pair(found: Trajectories, estimates: np.ndarray):
    """(state, action, mean, standard error) of the estimates for each pair seen often."""
    states = found.obs.argmax(1)
    for state in range(STATES - 1):
        for action in range(3):
            chosen = estimates[(states == state) & (found.actions == action)]
            if len(chosen) > 100:
                yield state, action, chosen.mean(), chosen.std() / np.sqrt(len(chosen))


@pytest.mark.reliability("R33")
@pytest.mark.parametrize("lam", [0.0, 0.5, 0.95, 1.0])
def test_gae_with_the_exact_values_has_the_exact_advantages_as_its_mean(lam, sampled, policy, pi) -> None:
    """For every λ: E[GAE | s, a] = Q(s, a) - V(s), ends and cuts included."""
    v, q, _ = values(pi)
    learner = Learner(policy, exact_value_function(v))
    config = SinglePath(advantage="gae", lam=lam, standardize=False)
    batch = single_path_batch(sampled, learner, config, GAMMA, "equal").batch
    pairs = list(each_pair(sampled, batch.q_values[:, 0]))
    assert len(pairs) >= 8
    for state, action, mean, error in pairs:
        assert abs(mean - (q[state, action] - v[state])) < 4 * error + 1e-6, (state, action)


@pytest.mark.reliability("R33")
def test_a_cut_taken_for_an_end_is_wrong_by_the_known_amount(sampled, pi) -> None:
    """With λ = 1 the sums lack γ^k V(s_k) of the state k steps later, in which the path was cut."""
    v, _, _ = values(pi)
    at, after = v[sampled.obs.argmax(1)], v[sampled.last_obs.argmax(1)]
    given = (sampled.rewards, at, after)
    right = generalized_advantage(*given, sampled.terminated, sampled.start, GAMMA, 1.0)
    wrong = generalized_advantage(*given, np.ones_like(sampled.terminated), sampled.start, GAMMA, 1.0)
    left = np.concatenate([np.arange(n, 0, -1) for n in np.diff(sampled.start)])
    lengths = np.diff(sampled.start)
    missing = GAMMA**left * np.repeat(np.where(sampled.terminated, 0.0, after), lengths)
    np.testing.assert_allclose(right - wrong, missing, atol=1e-12)
    assert missing.mean() > 0.1


@pytest.mark.reliability("R33")
def test_discounted_sums_of_whole_paths_have_the_values_of_a_cut_game_as_their_mean(sampled, policy, pi) -> None:
    """The paper's Q̂ has no tail: its mean at a path's first step is the value of LIMIT steps."""
    horizon = np.zeros(STATES)
    for _ in range(LIMIT - 1):
        horizon = (pi * (R + GAMMA * P @ horizon)).sum(1)
    q = R + GAMMA * P @ horizon
    learner, config = Learner(policy), SinglePath(advantage="monte_carlo", standardize=False)
    batch = single_path_batch(sampled, learner, config, GAMMA, "equal").batch
    whole = np.repeat(np.diff(sampled.start) == LIMIT, np.diff(sampled.start)) | np.repeat(
        sampled.terminated, np.diff(sampled.start)
    )
    first = (sampled.t == 0) & whole
    states, actions = sampled.obs[first].argmax(1), sampled.actions[first]
    for state in (0, 1):
        for action in range(3):
            chosen = batch.q_values[first, 0][(states == state) & (actions == action)]
            if len(chosen) > 100:
                error = chosen.std() / np.sqrt(len(chosen))
                assert abs(chosen.mean() - q[state, action]) < 4 * error, (state, action)

"""Checks of the vine that both its tests and the planted faults use: each returns what it found, asserting nothing."""

from __future__ import annotations

from dataclasses import replace

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete

from trpolab.policies import Categorical
from trpolab.sampling.config import Vine
from trpolab.sampling.sampler import Resources, Returns
from trpolab.sampling.streams import Streams
from trpolab.sampling.vine.proposals import FirstActions, draw_first_actions
from trpolab.sampling.vine.sampler import VineSampler, q_values
from trpolab.sampling.vine.trunks import choose_states, run_trunks
from trpolab.simulators import find_task, make
from trpolab.training.config import resolve
from trpolab.training.loop import start_learner
from trpolab.updates.surrogate import state_terms

SMALL = Vine(trunks=3, trunk_length=40, states=7, actions=3, rollout_length=15)
GAMMA = 0.97


def never():
    return False


class FiniteEnv(gymnasium.Env):
    """Three states in a noisy ring: action a moves by a with probability 0.7, else by 1 - a; state 2 may end it."""

    observation_space, action_space = Discrete(3), Discrete(2)
    MOVES = np.array(  # [S, A, S]; what is missing to 1 ends the episode
        [[[0.7, 0.3, 0.0], [0.3, 0.7, 0.0]], [[0.0, 0.7, 0.3], [0.0, 0.3, 0.7]], [[0.3, 0.0, 0.6], [0.6, 0.0, 0.3]]]
    )
    REWARD = np.array([[1.0, 0.0], [0.5, -1.0], [2.0, 3.0]])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.s = int(self.np_random.integers(3))
        return self.s, {}

    def step(self, action):
        reward = self.REWARD[self.s, action]
        edges = np.cumsum(self.MOVES[self.s, action])
        drawn = self.np_random.random()
        if drawn >= edges[-1]:
            return self.s, reward, True, False, {}
        self.s = int(np.searchsorted(edges, drawn, side="right"))
        return self.s, reward, False, False, {}


def finite():
    return FiniteEnv()


class Factored(gymnasium.Env):
    """Two factors of 2 and 3 actions; the reward tells them apart, the state counts steps."""

    observation_space, action_space = Box(-np.inf, np.inf, (1,), np.float32), gymnasium.spaces.MultiDiscrete([2, 3])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.array([0.0], np.float32), {}

    def step(self, action):
        self.t += 1
        reward = 10.0 * action[0] + action[1]
        return np.array([self.t / 10], np.float32), reward, self.t >= 10, False, {}


def factored():
    return Factored()


class Setting:
    """A sampler on a task with an untrained learner, to be closed."""

    def __init__(self, source, seed=0, threads=1, **settings):
        self.task = find_task(source)
        streams = Streams(seed)
        self.config = resolve(self.task, overrides={"normalize_observations": False, **settings})
        self.learner = start_learner(self.task, self.config, streams)
        self.sampler = VineSampler(Resources(source, self.task, 1, threads, streams))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.sampler.close()

    def sample(self, vine=SMALL, iteration=1):
        return self.sampler.collect(self.learner, vine, Returns(GAMMA), iteration, never)

    def roots(self, vine=SMALL, iteration=1):
        chosen = choose_states(self.sampler.streams, iteration, vine.trunks, vine.trunk_length, vine.states)
        pool, streams = self.sampler.trunk_pool(vine.trunks), self.sampler.streams
        return run_trunks(pool, self.learner.policy, vine.trunk_length, chosen, streams, iteration, never)

    def first(self, roots, vine=SMALL, seed=0):
        old = self.learner.policy.actor(8).evaluate(roots.obs)
        return draw_first_actions(self.learner.policy.distribution, old, vine, np.random.default_rng(seed))

    def roll_out(self, roots, first, vine=SMALL, iteration=1):
        return self.sampler.roll_out(self.learner.policy, roots, first, vine, GAMMA, iteration, never)

    def q(self, rollouts, value=None):
        return q_values(rollouts, self.learner.policy, value, GAMMA)


def replay_difference(task, warmup=20, steps=60, seed=3):
    """Largest difference between a slot's future and that of its snapshot in another simulator, of other width.

    Observations, rewards, ends and the time limit all count; NaN compares as different.
    """
    simulator, other = make(task, 3), make(task, 2)
    rng = np.random.default_rng(seed)
    simulator.reset(None, np.arange(3) + seed)
    other.reset(None, np.arange(2) + 77)

    def actions():
        space = simulator.action_space
        if isinstance(space, Box):
            return rng.uniform(-1, 1, (3, *space.shape)).astype(np.float32)
        return rng.integers(0, space.n, 3)

    for _ in range(warmup):
        simulator.step(None, actions())
    saved = simulator.snapshot(np.array([1]))
    for _ in range(5):  # the rows that are restored into have lived
        other.step(None, actions()[:2])
    other.restore(np.array([0]), saved)
    worst = 0.0
    for _ in range(steps):
        a = actions()
        plain, again = simulator.step(None, a), other.step(np.array([0]), a[1:2])
        pairs = [(plain.obs[1], again.obs[0]), (plain.reward[1], again.reward[0])]
        pairs += [(plain.terminated[1], again.terminated[0]), (plain.truncated[1], again.truncated[0])]
        worst = max(worst, *(float(np.abs(np.asarray(x, float) - np.asarray(y, float)).max()) for x, y in pairs))
    return worst


def steps_to_the_limit(task="CartPole-v1", age=490, vine=SMALL):
    """Longest of branches that start `age` steps into an episode with a time limit of 500."""
    with Setting(task) as setting:
        _, roots = setting.roots(vine)
        steps = roots.snapshot.parts["steps"]
        aged = replace(roots.snapshot, parts={**roots.snapshot.parts, "steps": np.full_like(steps, age)})
        roots = replace(roots, snapshot=aged)
        rollouts = setting.roll_out(roots, setting.first(roots, vine), vine)
        return int(rollouts.rolled.lengths.max())


def equal_across_states(task="paper/Swimmer", vine=SMALL):
    """Number of pairs of different root rows that, put into the *same* state, have the same branches."""
    with Setting(task) as setting:
        _, roots = setting.roots(vine)
        same = np.zeros(len(roots), int)
        roots = replace(roots, snapshot=roots.snapshot.take(same), obs=roots.obs[same])
        first = setting.first(roots, vine)
        one = np.repeat(first.actions[:1], len(roots), axis=0)
        q = setting.q(setting.roll_out(roots, FirstActions(one, first.log_q, first.estimator), vine))
        return sum(np.array_equal(q[i], q[j]) for i in range(len(q)) for j in range(i))


def uniform_log_q_error():
    """Largest distance of a sampled batch's log q from -log A: a peaked policy, half of the four actions drawn."""
    with Setting("finite/gridworld-4x4") as setting:
        policy = setting.learner.policy
        theta = policy.theta + torch.from_numpy(np.random.default_rng(1).normal(size=policy.size)).float()
        setting.learner = replace(setting.learner, policy=policy.with_theta(theta))
        batch = setting.sample(replace(SMALL, proposal="uniform", actions=2)).batch
        assert np.ptp(batch.old) > 1, "the policy is not peaked"
        return float(np.abs(batch.log_q + np.log(4)).max())


def uniform_gradient_cosine(count=64, k=32, states=200):
    """Cosine of the mean gradient under uniform draws with the exact one, for a peaked policy over many actions."""
    rng = np.random.default_rng(5)
    distribution, q = Categorical(count), rng.normal(size=count)
    logits = 1.5 * rng.normal(size=count)
    old = np.tile(logits, (states, 1)).astype(np.float32)
    first = draw_first_actions(distribution, old, replace(SMALL, proposal="uniform", actions=k), rng)
    theta = torch.tensor(logits, requires_grad=True)
    log_p = theta.log_softmax(0)
    log_w = log_p[torch.from_numpy(first.actions)] - torch.from_numpy(first.log_q)
    estimate = state_terms(log_w, torch.from_numpy(q[first.actions]), first.estimator).mean()
    exact = log_p.exp() @ torch.from_numpy(q)
    one, two = (torch.autograd.grad(value, theta, retain_graph=True)[0] for value in (estimate, exact))
    return float(one @ two / (one.norm() * two.norm()))

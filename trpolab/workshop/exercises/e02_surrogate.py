"""η and the surrogate L on a finite MDP, against sums over time and loops."""

from __future__ import annotations

import numpy as np

from trpolab.workshop.attempt import Attempt
from trpolab.workshop.checks import Properties
from trpolab.workshop.compare import near

GAMMA = 0.8


def eta(attempt: Attempt) -> Properties:
    """η = Σ_t γ^t E r(s_t, a_t), summed over time with the distribution of states."""
    transitions, rewards, start, policy = world()
    true = over_time(transitions, rewards, start, GAMMA, policy)
    moves, earned = np.einsum("sa,sat->st", policy, transitions), (policy * rewards).sum(1)
    uniform = np.full(len(start), 1 / len(start))
    back = np.linalg.solve(np.eye(len(start)) - GAMMA * moves.T, earned)
    mistakes = {
        "it is the mean reward of a step, not the sum": (1 - GAMMA) * true,
        "the reward of the first step is missing": GAMMA * true,
        "it starts in every state alike": over_time(transitions, rewards, uniform, GAMMA, policy),
        "the states move backwards: mind rows and columns": float(start @ back),
        "it takes all actions alike, whatever the policy says": over_time(
            transitions, rewards, start, GAMMA, np.full_like(policy, 1 / policy.shape[1])
        ),
        "it is the reward of the first step alone": float(start @ earned),
    }
    found = attempt(transitions, rewards, start, GAMMA, policy, like=0.0)
    yield "the discounted sum of rewards, from the start states on", near(found, true, mistakes)
    yield (
        "γ = 0 sees the first reward alone",
        attempt.gives(float(start @ earned), transitions, rewards, start, 0.0, policy),
    )
    greedy = np.eye(policy.shape[1])[[0, 1, 0, 2]]
    right = over_time(transitions, rewards, start, 0.95, greedy)
    yield "a policy without chance, γ = 0.95", attempt.gives(right, transitions, rewards, start, 0.95, greedy)


def surrogate(attempt: Attempt) -> Properties:
    """L(π̃) = η(π) + Σ_s ρ(s) Σ_a π̃(a|s) A(s, a), state by state."""
    generator = np.random.default_rng(8)
    visits, advantages = generator.uniform(0.1, 2, size=4), generator.normal(size=(4, 3))
    policy, base = world(9)[3], 1.7
    gain = sum(visits[s] * policy[s, a] * advantages[s, a] for s in range(4) for a in range(3))
    mistakes = {
        "it is the gain alone: where does the new policy begin from?": gain,
        "it loses what it should gain": base - gain,
        "the visits are normalised: here they sum to 1/(1-γ)": base + gain / visits.sum(),
        "all states count alike": base + float((policy * advantages).sum()),
        "it is a mean over the states, whatever their visits": base + float((policy * advantages).sum(1).mean()),
        "the new policy has no effect": base + float((visits[:, None] * advantages).sum()),
        "it is the best action's advantage, not the new policy's mean": base + float(visits @ advantages.max(1)),
    }
    yield (
        "η plus the advantages of the new actions in the old states",
        near(attempt(base, visits, advantages, policy, like=0.0), base + gain, mistakes),
    )
    zero = advantages - (policy * advantages).sum(1, keepdims=True)
    yield "the old policy itself has L = η", attempt.gives(base, base, visits, zero, policy)
    yield "no advantages, no gain", attempt.gives(base, base, visits, 0 * advantages, policy)


def world(seed: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Transitions [4, 3, 4], rewards [4, 3], where it starts [4], and a policy [4, 3]."""
    generator = np.random.default_rng(seed)
    transitions, start = generator.dirichlet(np.ones(4), size=(4, 3)), generator.dirichlet(np.ones(4))
    return transitions, generator.normal(size=(4, 3)), start, generator.dirichlet(np.ones(3), size=4)


def over_time(
    transitions: np.ndarray, rewards: np.ndarray, start: np.ndarray, gamma: float, policy: np.ndarray
) -> float:
    """The sum over 2,000 steps, with the distribution of the states at each."""
    total, here = 0.0, start
    for t in range(2000):
        joint = here[:, None] * policy
        total += gamma**t * float((joint * rewards).sum())
        here = np.einsum("sa,sat->t", joint, transitions)
    return total

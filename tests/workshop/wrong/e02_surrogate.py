"""What students write instead of η and L."""

import numpy as np


def solved(transitions, rewards, start, gamma, policy, transpose=False):
    moves = np.einsum("sa,sat->st", policy, transitions)
    moves = moves.T if transpose else moves
    return start @ np.linalg.solve(np.eye(len(start)) - gamma * moves, (policy * rewards).sum(1))


def mean_of_states(transitions, rewards, start, gamma, policy):
    return solved(transitions, rewards, np.full(len(start), 1 / len(start)), gamma, policy)


def any_action(transitions, rewards, start, gamma, policy):
    return solved(transitions, rewards, start, gamma, np.full_like(policy, 1 / policy.shape[1]))


def without_gamma(transitions, rewards, start, gamma, policy):
    return solved(transitions, rewards, start, 0.999999, policy)


WRONG = {
    "eta": {
        "backwards": lambda p, r, start, gamma, pi: solved(p, r, start, gamma, pi, transpose=True),
        "a mean reward": lambda p, r, start, gamma, pi: (1 - gamma) * solved(p, r, start, gamma, pi),
        "starts anywhere": mean_of_states,
        "takes any action": any_action,
        "forgets the first reward": lambda p, r, start, gamma, pi: gamma * solved(p, r, start, gamma, pi),
        "forgets γ": without_gamma,
        "the first step alone": lambda p, r, start, gamma, pi: start @ (pi * r).sum(1),
        "a vector": lambda p, r, start, gamma, pi: (pi * r).sum(1),
        "minus": lambda p, r, start, gamma, pi: -solved(p, r, start, gamma, pi),
    },
    "surrogate": {
        "forgets η": lambda eta, visits, A, pi: visits @ (pi * A).sum(1),
        "minus": lambda eta, visits, A, pi: eta - visits @ (pi * A).sum(1),
        "normalises the visits": lambda eta, visits, A, pi: eta + visits @ (pi * A).sum(1) / visits.sum(),
        "forgets the visits": lambda eta, visits, A, pi: eta + (pi * A).sum(),
        "a mean over states": lambda eta, visits, A, pi: eta + (pi * A).sum(1).mean(),
        "forgets the policy": lambda eta, visits, A, pi: eta + (visits[:, None] * A).sum(),
        "greedy": lambda eta, visits, A, pi: eta + visits @ A.max(1),
        "by state": lambda eta, visits, A, pi: eta + visits * (pi * A).sum(1),
    },
}

"""What students write instead of returns and of the score-function gradient."""

import numpy as np


def sums(rewards, factor, own=1.0, first=0):
    found, after = np.zeros(len(rewards)), 0.0
    for t in reversed(range(first, len(rewards))):
        after = own * rewards[t] + factor * after
        found[t] = after
    return found


def absolute(rewards, gamma):
    weighed = gamma ** np.arange(len(rewards)) * rewards
    return weighed[::-1].cumsum()[::-1]


def writes_into_rewards(rewards, gamma):
    for t in reversed(range(len(rewards) - 1)):
        rewards[t] += gamma * rewards[t + 1]
    return rewards


def forward(rewards, gamma):
    found, before = np.zeros(len(rewards)), 0.0
    for t in range(len(rewards)):
        before = rewards[t] + gamma * before
        found[t] = before
    return found


def softmax(theta):
    weights = np.exp(theta - theta.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def score(theta, states, actions, q, minus=1.0, weights=None):
    g, probabilities = np.zeros_like(theta), softmax(theta)
    for s, a, value in zip(states, actions, q, strict=True):
        g[s] -= minus * value * probabilities[s]
        g[s, a] += value
    return g / len(q)


def repeated_indices(theta, states, actions, q):
    g = np.zeros_like(theta)
    g[states] += q[:, None] * (np.eye(theta.shape[1])[actions] - softmax(theta)[states])
    return g / len(q)


def overflows(theta, states, actions, q):
    weights = np.exp(theta)
    probabilities = weights / weights.sum(1, keepdims=True)
    g = np.zeros_like(theta)
    for s, a, value in zip(states, actions, q, strict=True):
        g[s] -= value * probabilities[s]
        g[s, a] += value
    return g / len(q)


WRONG = {
    "returns": {
        "γ^t from the start": absolute,
        "forgets to discount": lambda rewards, gamma: sums(rewards, 1.0),
        "leaves the own reward out": lambda rewards, gamma: sums(rewards, gamma) - rewards,
        "discounts the own reward": lambda rewards, gamma: gamma * sums(rewards, gamma),
        "sums the past": forward,
        "does not sum": lambda rewards, gamma: gamma ** np.arange(len(rewards)) * rewards,
        "in reverse order": lambda rewards, gamma: sums(rewards, gamma)[::-1],
        "one number": lambda rewards, gamma: sums(rewards, gamma)[0],
        "writes into the rewards": writes_into_rewards,
        "forgets the first step": lambda rewards, gamma: sums(rewards, gamma, first=1),
        "minus": lambda rewards, gamma: -sums(rewards, gamma),
    },
    "score_gradient": {
        "wrong sign": lambda theta, states, actions, q: -score(theta, states, actions, q),
        "missing mean": lambda theta, states, actions, q: len(q) * score(theta, states, actions, q),
        "forgets the other actions": lambda theta, states, actions, q: score(theta, states, actions, q, 0.0),
        "repeated indices": repeated_indices,
        "forgets q": lambda theta, states, actions, q: score(theta, states, actions, np.ones(len(q))),
        "overflows": overflows,
        "of the probability": lambda theta, states, actions, q: softmax(theta) * score(theta, states, actions, q),
        "writes into theta": lambda theta, states, actions, q: theta.__iadd__(score(theta, states, actions, q)),
        "transposed": lambda theta, states, actions, q: score(theta, states, actions, q).T,
    },
}

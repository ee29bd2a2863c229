"""What students write instead of Q̂ and of GAE."""

import numpy as np


def q(rewards, last_value, gamma, *, discount_last=True, sign=1):
    found, after = np.zeros(len(rewards)), sign * (last_value if discount_last else last_value / max(gamma, 1e-9))
    for t in reversed(range(len(rewards))):
        after = rewards[t] + gamma * after
        found[t] = after
    return found


def deltas(rewards, values, last_value, gamma):
    return rewards + gamma * np.append(values[1:], last_value) - values


def off_by_one(rewards, last_value, gamma):
    return np.append(q(rewards, last_value, gamma)[1:], last_value) * gamma


def one_value_short(rewards, values, last_value, gamma, lam):
    return q(rewards[:-1] + gamma * values[1:] - values[:-1], 0.0, gamma * lam)


WRONG = {
    "q_hat": {
        "no discount": lambda rewards, last_value, gamma: q(rewards, last_value, 1.0),
        "looks back": lambda rewards, last_value, gamma: q(rewards[::-1], 0.0, gamma)[::-1],
        "starts one late": off_by_one,
        "discounts from the start": lambda rewards, last_value, gamma: (
            q(rewards, last_value, gamma) * gamma ** np.arange(len(rewards))
        ),
        "ends at the cut": lambda rewards, last_value, gamma: q(rewards, 0.0, gamma),
        "last value one early": lambda rewards, last_value, gamma: q(rewards, last_value, gamma, discount_last=False),
        "last value with a minus": lambda rewards, last_value, gamma: q(rewards, last_value, gamma, sign=-1),
        "last value everywhere": lambda rewards, last_value, gamma: q(rewards, 0.0, gamma) + last_value,
        "reversed": lambda rewards, last_value, gamma: q(rewards, last_value, gamma)[::-1],
        "negative": lambda rewards, last_value, gamma: -q(rewards, last_value, gamma),
    },
    "advantages": {
        "no V of the state": lambda rewards, values, last_value, gamma, lam: q(
            deltas(rewards, values, last_value, gamma) + values, 0.0, gamma * lam
        ),
        "no V of the next": lambda rewards, values, last_value, gamma, lam: q(rewards - values, 0.0, gamma * lam),
        "next V without γ": lambda rewards, values, last_value, gamma, lam: q(
            deltas(rewards, values, last_value, 1.0), 0.0, gamma * lam
        ),
        "ends at the cut": lambda rewards, values, last_value, gamma, lam: q(
            deltas(rewards, values, 0.0, gamma), 0.0, gamma * lam
        ),
        "λ without γ": lambda rewards, values, last_value, gamma, lam: q(
            deltas(rewards, values, last_value, gamma), 0.0, lam
        ),
        "γ without λ": lambda rewards, values, last_value, gamma, lam: q(
            deltas(rewards, values, last_value, gamma), 0.0, gamma
        ),
        "runs forward": lambda rewards, values, last_value, gamma, lam: q(
            deltas(rewards, values, last_value, gamma)[::-1], 0.0, gamma * lam
        )[::-1],
        "a mixture": lambda rewards, values, last_value, gamma, lam: (
            (1 - lam) * deltas(rewards, values, last_value, gamma) + lam * (q(rewards, last_value, gamma) - values)
        ),
        "one value short": one_value_short,
        "the wrong sign": lambda rewards, values, last_value, gamma, lam: (
            -q(deltas(rewards, values, last_value, gamma), 0.0, gamma * lam)
        ),
    },
}

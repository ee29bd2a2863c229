"""What students write instead of the KL of Gaussians and its Hessian."""

import numpy as np


def kl(m, s, n, t, logs=1.0, means=1.0, constant=0.5, power=2):
    spread = np.exp(power * s) + means * np.abs(m - n) ** 2
    return (logs * (t - s) + spread / (2 * np.exp(power * t)) - constant).sum()


WRONG = {
    "gaussian_kl": {
        "swapped": lambda m, s, n, t: kl(n, t, m, s),
        "a mean over dimensions": lambda m, s, n, t: kl(m, s, n, t) / len(m),
        "forgets the log σ": lambda m, s, n, t: kl(m, s, n, t, logs=0.0),
        "forgets the means": lambda m, s, n, t: kl(m, s, n, t, means=0.0),
        "forgets -½": lambda m, s, n, t: kl(m, s, n, t, constant=0.0),
        "σ in place of σ²": lambda m, s, n, t: kl(m, s, n, t, power=1),
        "in bits": lambda m, s, n, t: kl(m, s, n, t) / np.log(2),
        "minus": lambda m, s, n, t: -kl(m, s, n, t),
        "twice": lambda m, s, n, t: 2 * kl(m, s, n, t),
        "by dimension": lambda m, s, n, t: m - n,
    },
    "kl_hessian": {
        "zero": lambda s: np.zeros(2 * len(s)),
        "1 for log σ": lambda s: np.concatenate([np.exp(-2 * s), np.ones(len(s))]),
        "4 for log σ": lambda s: np.concatenate([np.exp(-2 * s), np.full(len(s), 4.0)]),
        "in σ": lambda s: np.concatenate([np.exp(-2 * s), 2 * np.exp(-2 * s)]),
        "1/σ": lambda s: np.concatenate([np.exp(-s), np.full(len(s), 2.0)]),
        "σ²": lambda s: np.concatenate([np.exp(2 * s), np.full(len(s), 2.0)]),
        "the other order": lambda s: np.concatenate([np.full(len(s), 2.0), np.exp(-2 * s)]),
        "of the means alone": lambda s: np.exp(-2 * s),
        "half": lambda s: np.concatenate([np.exp(-2 * s), np.full(len(s), 2.0)]) / 2,
        "minus": lambda s: -np.concatenate([np.exp(-2 * s), np.full(len(s), 2.0)]),
    },
}

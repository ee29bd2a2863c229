"""What students write instead of Eq. 15, Eq. 16 and common random numbers."""

import numpy as np
import torch


def noise(generator, shape, actions, axis):
    return np.repeat(generator.normal(size=shape), actions, axis=axis)


def seeded(generator, states, actions, steps):
    return np.repeat(np.random.default_rng(0).normal(size=(states, 1, steps)), actions, axis=1)


WRONG = {
    "every_action": {
        "a mean": lambda probabilities, q_values: (probabilities * q_values).mean(1),
        "no policy": lambda probabilities, q_values: q_values.sum(1),
        "a plain mean": lambda probabilities, q_values: q_values.mean(1),
        "the best": lambda probabilities, q_values: q_values.max(1).values,
        "over everything": lambda probabilities, q_values: (probabilities * q_values).sum(),
        "over the states": lambda probabilities, q_values: (probabilities * q_values).sum(0),
        "logarithms": lambda probabilities, q_values: (probabilities.log() * q_values).sum(1),
        "the wrong sign": lambda probabilities, q_values: -(probabilities * q_values).sum(1),
        "no sum": lambda probabilities, q_values: probabilities * q_values,
        "Eq. 16": lambda probabilities, q_values: (probabilities * q_values).sum(1) / probabilities.sum(1),
    },
    "vine_estimate": {
        "Eq. 14": lambda weights, q_values: (weights * q_values).mean(1),
        "not normalised": lambda weights, q_values: (weights * q_values).sum(1),
        "normalised over all": lambda weights, q_values: (weights * q_values).sum(1) / weights.sum(),
        "a mean too many": lambda weights, q_values: (weights * q_values).mean(1) / weights.sum(1),
        "turned over": lambda weights, q_values: (q_values / weights).sum(1) / (1 / weights).sum(1),
        "a baseline": lambda weights, q_values: (weights * q_values).sum(1) / weights.sum(1) - q_values.mean(1),
        "detached": lambda weights, q_values: (weights * q_values).sum(1) / weights.sum(1).detach(),
        "in NumPy": lambda weights, q_values: torch.from_numpy(
            (weights.detach().numpy() * q_values.numpy()).sum(1) / weights.detach().numpy().sum(1)
        ),
        "no weights": lambda weights, q_values: q_values.mean(1),
        "a soft-max of the weights": lambda weights, q_values: (weights.softmax(1) * q_values).sum(1),
    },
    "branch_noise": {
        "separate": lambda generator, states, actions, steps: generator.normal(size=(states, actions, steps)),
        "one for all states": lambda generator, states, actions, steps: np.broadcast_to(
            generator.normal(size=(1, 1, steps)), (states, actions, steps)
        ),
        "one for all steps": lambda generator, states, actions, steps: np.broadcast_to(
            generator.normal(size=(states, 1, 1)), (states, actions, steps)
        ),
        "uniform": lambda generator, states, actions, steps: np.repeat(
            generator.uniform(-(3**0.5), 3**0.5, (states, 1, steps)), actions, axis=1
        ),
        "a seed of its own": seeded,
        "from 0 to 1": lambda generator, states, actions, steps: np.repeat(
            generator.random((states, 1, steps)), actions, axis=1
        ),
        "axes in another order": lambda generator, states, actions, steps: noise(
            generator, (1, states, steps), actions, 0
        ),
        "too wide": lambda generator, states, actions, steps: noise(generator, (states, 1, steps), actions, 1) * 2,
    },
}

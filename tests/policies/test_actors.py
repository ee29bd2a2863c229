"""Many policies of one shape evaluated at once: each row the numbers of its own policy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests import reference
from trpolab.policies import Policy
from trpolab.policies.actors import BatchedActor
from trpolab.policies.normalizer import Normalizer


def policies(kind: str, count: int = 5, **config) -> list[Policy]:
    first = reference.small_policy(kind, **config)
    first = first.replace(theta=first.theta.float())
    if config.get("normalize_observations"):
        first = first.replace(normalizer=Normalizer(9.0, np.array([0.5, -1.0, 0.0]), np.array([2.0, 0.1, 1.0])))
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=(count, first.size)).astype(np.float32))
    return [first.replace(theta=first.theta + row) for row in noise]


def crowd_of(members: list[Policy]) -> BatchedActor:
    crowd = BatchedActor(members[0], len(members))
    for row, member in enumerate(members):
        crowd.assign(row, member.theta.numpy())
    return crowd


@pytest.mark.parametrize("kind", list(reference.ACTION_SPACES))
@pytest.mark.parametrize(
    "config", [{}, {"hidden": ()}, {"hidden": (5, 4), "activation": "relu"}, {"bias": False}], ids=str
)
def test_every_row_is_its_own_policy(kind: str, config: dict) -> None:
    members = policies(kind, **{"normalize_observations": True, **config})
    obs = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
    found = crowd_of(members).parameters(obs)
    for row, member in enumerate(members):
        alone = member.actor(1).parameters(obs[row : row + 1])[0]
        np.testing.assert_allclose(found[row], alone, rtol=1e-5, atol=1e-6)


def test_a_row_depends_bit_for_bit_on_nothing_but_itself() -> None:
    members = policies("gaussian", hidden=(64, 64))
    obs = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
    found = crowd_of(members).parameters(obs).copy()
    for row in range(5):
        alone = crowd_of(members[row : row + 1]).parameters(obs[row : row + 1])
        np.testing.assert_array_equal(alone[0], found[row])


def test_log_std_beyond_its_bounds_acts_as_if_on_them() -> None:
    (member,) = policies("gaussian", count=1)
    theta = member.theta.numpy().copy()
    theta[-2:] = (9.0, -9.0)
    crowd = BatchedActor(member, 1)
    crowd.assign(0, theta)
    assert crowd.parameters(np.zeros((1, 3), np.float32))[0, -2:].tolist() == [2.0, -5.0]


def test_what_does_not_fit_is_refused_in_a_sentence() -> None:
    (member,) = policies("gaussian", count=1)
    with pytest.raises(ValueError, match="theta has shape"):
        BatchedActor(member, 2).assign(0, np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="obs has shape"):
        BatchedActor(member, 2).parameters(np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match="rows = 0"):
        BatchedActor(member, 0)

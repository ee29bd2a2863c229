"""A vine's branches, played again: what is shown is what was sampled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trpolab.lab.pictures.ghosts import branch_out, vine_states
from trpolab.lab.pictures.packed import pack
from trpolab.simulators import make
from trpolab.training.session import Session

CART = 1  # the body whose x is the first number observed


def second_iteration(**settings: Any) -> tuple[Any, Any]:
    """An iteration, and the policy that it sampled with."""
    few = {"vine.trunks": 2, "vine.trunk_length": 40, "vine.states": 5, "vine.rollout_length": 7}
    session = Session("CartPole-v1", out=None, sampler="vine", iterations=2, **{**few, **settings})
    first, second = session.iterate()
    return second, first.learner.policy


@pytest.mark.parametrize(
    "settings",
    [{}, {"vine.common_random_numbers": False}, {"proposal": "policy", "vine.actions": 4}],
    ids=["every action", "own noise", "sampled actions"],
)
def test_ghosts_go_where_the_branches_went(settings: dict[str, Any]) -> None:
    iteration, policy = second_iteration(**settings)
    record = iteration.batch.paths
    rows = vine_states(record)
    assert sorted(rows) == sorted(set(record.branch_state.tolist()))
    for row in rows:
        found = branch_out(iteration, policy, 0, int(row), lambda slots: make("CartPole-v1", slots))
        assert found is not None
        still, ghosts = found
        drawn = np.flatnonzero(record.branch_state == row)
        assert len(ghosts.q) == len(drawn) and (np.diff(ghosts.q) <= 0).all()
        np.testing.assert_allclose(still.poses[0, CART, 0], record.roots[row, 0], rtol=1e-6)
        ways = {ghost[:length, CART, 0].tobytes() for ghost, length in zip(ghosts.poses, ghosts.lengths, strict=True)}
        sampled = {
            record.branch_obs[record.start[b] : record.start[b + 1], 0].astype(np.float32).tobytes() for b in drawn
        }
        assert ways == sampled
    about, buffers = pack(still, ghosts)
    assert about["ghosts"]["count"] == len(ghosts.q)
    assert len(buffers[about["ghosts"]["poses"]]) == ghosts.poses.size * 4


def test_the_states_that_tell_most_come_first() -> None:
    record = second_iteration()[0].batch.paths
    spread = [np.ptp(record.branch_q[record.branch_state == row]) for row in vine_states(record)]
    assert (np.diff(spread) <= 0).all()

"""Which policies of a run can be played."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from trpolab.lab.kept_policies import MOST, InFolder, InMemory, choices, kept_in
from trpolab.policies import Policy, make_policy
from trpolab.runs.reader import RunFolderError
from trpolab.simulators import find_task
from trpolab.training.config import resolve
from trpolab.training.session import Session


def some_policy() -> Policy:
    about = find_task("CartPole-v1")
    return make_policy(about.observation_space, about.action_space, resolve(about).policy, np.random.default_rng(0))


def test_memory_holds_the_newest_three_and_some_of_every_age() -> None:
    first = some_policy()
    kept = InMemory(0, first)
    policies = {0: first}
    for iteration in range(1, 2001):
        policies[iteration] = first.replace()
        kept.add(iteration, policies[iteration])
    held = kept.iterations()
    assert len(held) == MOST and {0, 1998, 1999, 2000} <= set(held)
    assert kept.newest() == (2000, policies[2000])
    assert all(kept.policy(at) is policies[at] for at in held)
    assert (
        any(at <= 10 for at in held[1:]) and any(50 < at < 200 for at in held) and any(500 < at < 1500 for at in held)
    )


def test_going_back_forgets_what_came_later() -> None:
    kept = InMemory(0, some_policy())
    for iteration in (1, 2, 3, 2):
        kept.add(iteration, some_policy())
    assert kept.iterations() == [0, 1, 2]


def test_a_run_folder_is_read_while_it_grows(tmp_path: Path) -> None:
    session = Session("CartPole-v1", out=tmp_path, iterations=3)
    kept: InFolder | None = None
    for iteration in session.iterate():
        kept = kept or kept_in(session.path)
        assert kept.iterations()[-1] == iteration.index
        np.testing.assert_array_equal(kept.policy(iteration.index).theta, iteration.learner.policy.theta)
    assert kept is not None
    with pytest.raises(RunFolderError, match="holds no policy of iteration 9"):
        kept.policy(9)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not a run folder"):
        kept_in(tmp_path)


def test_a_slider_offers_some_of_very_many_the_newest_always() -> None:
    assert choices([3, 5, 8]) == [3, 5, 8]
    offered = choices(list(range(0, 5001)))
    assert len(offered) == 200 == len(set(offered)) and offered[0] == 0 and offered[-2:] == [4999, 5000]
    assert offered == sorted(offered) and max(b - a for a, b in pairwise(offered)) <= 26
    assert len(set(choices(list(range(201))))) == 200

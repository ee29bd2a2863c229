"""Whole paths: over how many blocks they are spread, and that each is the same whoever plays it."""

from __future__ import annotations

import numpy as np
import pytest

from trpolab.policies import make_policy
from trpolab.policies.config import PolicyConfig
from trpolab.sampling.config import SinglePath
from trpolab.sampling.fresh_episodes import Draw, Quota
from trpolab.sampling.play import never
from trpolab.sampling.single_path import SinglePathSampler
from trpolab.sampling.streams import Streams
from trpolab.sampling.whole_paths import whole_paths
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators import find_task, make

TASK, HORIZON = "Hopper-v5", 10


class Counting:
    """Runs units here, and counts how many there are at a time: so many workers can be busy."""

    def __init__(self) -> None:
        self.events: list[dict] = []
        self.counts: list[int] = []

    def map(self, unit, rows, interrupt):
        self.counts.append(len(rows))
        bench: dict = {}
        return [unit(bench, *row, interrupt=interrupt) for row in rows]

    def close(self) -> None: ...


def policy():
    task = find_task(TASK)
    return make_policy(task.observation_space, task.action_space, PolicyConfig(hidden=(8,)), np.random.default_rng(0))


def paths_of(pool: SimulatorPool, steps: int):
    """All whole paths of an iteration: their names, lengths and rewards."""
    sampler = SinglePathSampler(pool, Streams(3))
    config = SinglePath(steps_per_iteration=steps, advantage="centred", whole=True, horizon=HORIZON)
    try:
        found = sampler.trajectories(policy(), config, 1, never)
    finally:
        sampler.close()
    return found, {
        int(name): found.rewards[begin:end]
        for name, begin, end in zip(found.path, found.start[:-1], found.start[1:], strict=True)
    }


@pytest.mark.parametrize(("paths", "blocks"), [(4, 2), (7, 2), (8, 4), (31, 8), (10_000, 16)])
def test_more_paths_keep_more_workers_busy_by_the_same_slots(monkeypatch, paths: int, blocks: int) -> None:
    workers = Counting()
    pool = SimulatorPool(TASK, 4, 1, 2, workers)  # type: ignore[arg-type]
    monkeypatch.setattr("trpolab.sampling.single_path.join", lambda parts: parts)
    monkeypatch.setattr("trpolab.sampling.single_path.whole_paths", lambda *_, **__: None)
    paths_of_none = SinglePath(steps_per_iteration=paths * HORIZON, advantage="centred", whole=True, horizon=HORIZON)
    SinglePathSampler(pool, Streams(3)).trajectories(policy(), paths_of_none, 1, never)
    assert workers.counts == [blocks]


def test_a_path_is_the_same_whichever_block_plays_it() -> None:
    found, spread = paths_of(SimulatorPool(TASK, 4, 2, 2), 30 * HORIZON)
    assert len(found) >= 30 * HORIZON and max(map(len, spread.values())) <= HORIZON
    for name in list(spread)[::7]:
        quota = Quota(blocks=1_000, episodes=name + 1)  # that one alone
        alone = whole_paths(
            make(TASK, 1), name, policy=policy(), draw=Draw(Streams(3), 1), quota=quota, horizon=HORIZON
        )
        np.testing.assert_array_equal(alone.rewards, spread[name])


def test_threads_and_workers_give_the_same_paths() -> None:
    batches = [
        paths_of(SimulatorPool(TASK, 4, 1, 2, Counting()), 200)[0],  # type: ignore[arg-type]
        paths_of(SimulatorPool(TASK, 4, 1, 2), 200)[0],
        paths_of(SimulatorPool(TASK, 4, 3, 2), 200)[0],
    ]
    for other in batches[1:]:
        for name in ("actions", "old", "rewards", "path", "start"):
            np.testing.assert_array_equal(getattr(batches[0], name), getattr(other, name))

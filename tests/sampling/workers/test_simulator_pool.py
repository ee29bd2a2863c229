"""Atari batches: the same from any number of worker processes and after the death of one; frames, rewards, resuming."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.sampling.workers import units
from trpolab.policies import Learner, make_policy
from trpolab.policies.config import PolicyConfig
from trpolab.policies.frames import Frames
from trpolab.runs.reader import load_policy
from trpolab.sampling.batch import Batch
from trpolab.sampling.config import SinglePath, Vine
from trpolab.sampling.evaluate import play_episodes
from trpolab.sampling.streams import Streams
from trpolab.sampling.trajectories import Trajectories
from trpolab.simulators import Atari, AtariGame, find_task, make
from trpolab.training.config import Config
from trpolab.training.samplers import Samplers
from trpolab.training.session import train

GAME = "ALE/Breakout-v5"
WHOLE = SinglePath(steps_per_iteration=240, advantage="centred", whole=True, horizon=60)
SMALL_VINE = Vine(
    trunks=2, trunk_length=40, states=4, actions=3, proposal="uniform", rollout_length=8, tail_value=False
)


class Inline:
    """A pool that runs units here and now: the oracle of the true one, and quick."""

    def __init__(self, count: int):
        self.events: list[dict] = []
        self.bench: dict = {}

    def map(self, unit, rows, interrupt):
        return [unit(self.bench, *row, interrupt=interrupt) for row in rows]

    def close(self) -> None: ...


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker processes in this test."""
    monkeypatch.setattr("trpolab.training.samplers.ProcessPool", Inline)
    monkeypatch.setattr("trpolab.sampling.workers.simulator_pool.ProcessPool", Inline)


def learner() -> Learner:
    task = find_task(GAME)
    config = PolicyConfig(hidden=(20,), normalize_observations=False, output_scale=1.0)
    return Learner(make_policy(task.observation_space, task.action_space, config, np.random.default_rng(0)))


def config(sampler: SinglePath | Vine, **settings: bool) -> Config:
    return Config(task=GAME).replace(sampler=sampler, gamma=0.99, **settings)


def samplers(threads: int, slots: int = 4) -> Samplers:
    return Samplers(GAME, find_task(GAME), slots, threads, Streams(5))


def collect(chosen: Samplers, sampler: SinglePath | Vine, **settings: bool) -> Batch:
    return chosen.collect(learner(), config(sampler, **settings), 1, lambda: False).batch


def same(one: Batch, other: Batch) -> bool:
    """Bit for bit, pixels included."""
    fields = ("actions", "log_q", "q_values", "path", "t", "old", "constraint_old")
    seen = all(torch.equal(pixels(a), pixels(b)) for a, b in ((one.obs, other.obs),))
    return seen and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in fields)


def pixels(obs: Frames | np.ndarray) -> torch.Tensor:
    return obs.pixels() if isinstance(obs, Frames) else torch.from_numpy(obs)


@pytest.mark.reliability("R20", "R24")
def test_a_batch_depends_neither_on_the_workers_nor_on_the_death_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = samplers(2)
    try:
        for sampler in (WHOLE, SMALL_VINE):
            with monkeypatch.context() as patch:
                patch.setattr("trpolab.training.samplers.ProcessPool", Inline)
                expected = collect(samplers(1), sampler)
            assert same(collect(chosen, sampler), expected)
            assert chosen.processes is not None and not chosen.processes.events
            victim = chosen.processes.pids()[0]
            killer = threading.Timer(0.1, os.kill, (victim, signal.SIGKILL))  # in mid rollout
            killer.start()
            assert same(collect(chosen, sampler), expected)
            killer.join()
            if not chosen.processes.events:  # it came after the last unit: the next batch finds the worker dead
                assert same(collect(chosen, sampler), expected)
            assert [event["event"] for event in chosen.take_events()] == ["worker_restarted"]
            assert victim not in chosen.processes.pids()
    finally:
        pids = chosen.processes.pids()
        chosen.close()
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def goes_on_the_same(marker: Path, forgets: bool = False) -> None:
    """A game that goes on over two iterations, bit for bit, though its worker is killed in the second.

    It is not where `marker` is there; see `units.dies_before_it_answers`.
    """
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as given_back:
        patch.setattr("trpolab.training.samplers.ProcessPool", Inline)
        reference = samplers(1, slots=1)
        patch.undo()
        chosen, dies = samplers(1, slots=1), not marker.exists()
        given_back.callback(reference.close)
        given_back.callback(chosen.close)
        for iteration in (1, 2):
            if iteration == 2:
                unit = functools.partial(units.dies_before_it_answers, str(marker), forgets)
                patch.setattr("trpolab.sampling.workers.simulator_pool._run_unit", unit)
            seen = stretch(chosen, iteration)
            patch.undo()
            expected = stretch(reference, iteration)
            assert torch.equal(pixels(seen.obs), pixels(expected.obs))
            assert np.array_equal(seen.actions, expected.actions) and np.array_equal(seen.rewards, expected.rewards)
        assert [event["event"] for event in chosen.take_events()] == ["worker_restarted"] * dies


def stretch(chosen: Samplers, iteration: int) -> Trajectories:
    """Forty steps of the episodes under way."""
    return chosen.single_path.trajectories(
        learner().policy, SinglePath(steps_per_iteration=40), iteration, lambda: False
    )


@pytest.mark.reliability("R20")
def test_a_game_goes_on_the_same_after_the_death_of_its_worker(tmp_path: Path) -> None:
    goes_on_the_same(tmp_path / "died")


@pytest.mark.usefixtures("inline")
def test_a_batch_holds_what_the_game_shows() -> None:
    """Its actions, played by hand, give its frames; rewards are the game's own, and learned from by their sign."""
    chosen = samplers(1)
    try:
        trajectories = chosen.single_path.trajectories(learner().policy, WHOLE, 1, lambda: False)
        batch = collect(chosen, WHOLE, **{"atari.clip_rewards": True})
    finally:
        chosen.close()
    assert isinstance(trajectories.obs, Frames)
    assert len(trajectories.obs.frames) == len(trajectories) + 3 * len(trajectories.path)
    simulator = make(GAME, 1)
    first, last = trajectories.start[1], trajectories.start[2]
    obs = simulator.reset(None, np.array([0]))
    for row in range(first, last):
        assert np.array_equal(trajectories.obs.take([row]), obs)
        result = simulator.step(None, trajectories.actions[row : row + 1])
        assert result.reward[0] == trajectories.rewards[row]
        obs = result.obs
    assert np.array_equal(trajectories.last_obs[1], obs[0])
    assert np.array_equal(batch.episodes.returns, trajectories.episodes.returns)
    lengths = np.diff(trajectories.start)
    for path, (start, length) in enumerate(zip(trajectories.start, lengths, strict=False)):
        assert trajectories.rewards[start : start + length].sum() == batch.episodes.returns[path]


@pytest.mark.usefixtures("inline")
def test_clipped_rewards_are_signs_in_paths_and_in_branches(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Q*bert rewards are 25 and more: with γ = 1 sums of signs are small whole numbers."""
    task = find_task("ALE/Qbert-v5")
    chosen = Samplers("ALE/Qbert-v5", task, 4, 1, Streams(1))
    long_vine = dataclasses.replace(SMALL_VINE, rollout_length=30)
    try:
        for sampler in (dataclasses.replace(WHOLE, advantage="monte_carlo", standardize=False), long_vine):
            raw, signs = (
                chosen.collect(
                    learner(),
                    Config(task=task.name).replace(sampler=sampler, gamma=1.0, **{"atari.clip_rewards": clip}),
                    1,
                    lambda: False,
                ).batch.q_values
                for clip in (False, True)
            )
            assert raw.max() >= 25 and 1 <= signs.max() < 25
            assert np.array_equal(signs, np.round(signs)) and ((raw > 0) == (signs > 0)).all()
    finally:
        chosen.close()


@pytest.mark.usefixtures("inline")
def test_every_one_of_the_18_actions_can_be_rolled_out() -> None:
    batch = collect(samplers(1), dataclasses.replace(SMALL_VINE, proposal="all"))
    assert batch.actions.shape == (4, 18, 3)
    assert isinstance(batch.constraint_obs, Frames) and len(batch.constraint_obs) == 2 * 40
    assert batch.sim_steps <= 2 * 40 + 4 * 18 * 8


@pytest.mark.parametrize(
    "settings",
    [
        {"preset": "paper", "steps_per_iteration": 400, "path.horizon": 100, "slots": 4},
        {"sampler": SMALL_VINE, "preset": "paper"},
        {"atari.pixels": "dqn", "steps_per_iteration": 64, "slots": 4},
    ],
    ids=["paper", "vine", "dqn"],
)
def test_a_run_ends_in_a_policy_file_that_plays(settings: dict, tmp_path, request: pytest.FixtureRequest) -> None:
    if settings.get("sampler") is None:  # one of them with the true workers
        request.getfixturevalue("inline")
    session = train(GAME, out=tmp_path, iterations=1, threads=1, **settings)
    policy = load_policy(session.path)
    assert torch.equal(policy.theta, session.policy.theta)
    game = AtariGame(GAME, Atari(pixels=settings.get("atari.pixels", "paper"), frame_skip=16))
    request.getfixturevalue("inline")
    scores = play_episodes(policy, game, episodes=2, seed=0)
    assert (scores.returns >= 0).all() and len(scores.returns) == 2


def test_a_policy_of_other_pixels_is_told_what_it_sees() -> None:
    with pytest.raises(ValueError, match=r"\(4, 52, 40\), the task gives \(4, 84, 84\)"):
        play_episodes(learner().policy, AtariGame(GAME, Atari(pixels="dqn")), episodes=1)

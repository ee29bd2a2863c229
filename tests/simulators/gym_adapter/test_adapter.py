"""Any other environment: values pass through, ends stay apart, restores are exact or refused with the reason."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete

import trpolab
from tests.simulators.environments import Corridor, GlobalNoise, Strange, Switches, Uncopyable
from trpolab.simulators import SnapshotUnsupported, UnknownTask, UnsupportedSpace, find_task, make


def test_what_the_environment_says_passes_through() -> None:
    simulator, env = make("Pendulum-v1", 2), gymnasium.make("Pendulum-v1")
    obs, rng = simulator.reset(None, np.array([3, 4])), np.random.default_rng(0)
    assert np.array_equal(obs[1], env.reset(seed=4)[0])
    for _ in range(200):
        actions = rng.uniform(-2, 2, size=(2, 1)).astype(np.float32)
        result = simulator.step(None, actions)
        expected, reward, terminated, truncated, _ = env.step(actions[1])
        assert result.obs[1].tobytes() == expected.astype(np.float64).tobytes()
        assert (result.reward[1], result.terminated[1], result.truncated[1]) == (reward, terminated, truncated)
    assert result.truncated.all() and not result.terminated.any()


def test_ends_are_kept_apart() -> None:
    """The corridor ends at 5 (terminated) or after 8 steps (truncated); here also through factored actions."""
    simulator = make(Corridor, 2)
    assert simulator.action_space == MultiDiscrete([3, 2])
    simulator.reset(None, np.array([0, 1]))
    seen = [simulator.step(None, np.array([[2, 1], [1, 0]])) for _ in range(3)]  # by +2 and by 0
    assert [step.terminated.tolist() for step in seen] == [[False, False], [False, False], [True, False]]
    for _ in range(5):
        last = simulator.step(np.array([1]), np.array([[1, 1]]))
    assert last.truncated[0] and not last.terminated[0]


def test_whole_number_spaces_count_from_zero() -> None:
    simulator = make(Switches, 1)
    assert simulator.observation_space == Box(0, 1, (3,), np.float32)
    assert simulator.action_space == Discrete(3)
    assert simulator.reset(None, np.array([0])).tolist() == [[1, 0, 0]]
    result = simulator.step(None, np.array([2]))
    assert result.obs.tolist() == [[0, 0, 1]] and result.reward.tolist() == [7]


def test_strange_spaces_are_named_both() -> None:
    with pytest.raises(UnsupportedSpace, match=r"Dict\('a': Discrete\(2\)\).*Box\(0, 3, \(2,\), int64\)"):
        make(Strange, 1)


@pytest.mark.reliability("R18")
@pytest.mark.parametrize(
    ("task", "reason"),
    [(GlobalNoise, "does not repeat its future"), (Uncopyable, "holds a socket"), ("HumanoidStandup-v5", "MjModel")],
)
def test_what_copies_cannot_hold_is_refused(task: object, reason: str) -> None:
    about = find_task(task)
    assert not about.can_restore and reason in about.restore_reason
    simulator = make(task, 1)
    simulator.reset(None, np.array([0]))
    with pytest.raises(SnapshotUnsupported, match=reason):
        simulator.snapshot(None)


def test_new_seeds_draw_the_tasks_noise_anew() -> None:
    simulator = make(Corridor, 2)
    simulator.reset(None, np.array([9, 9]))
    saved, still = simulator.snapshot(None), np.array([[1, 0], [1, 0]])
    expected = simulator.step(None, still).reward.copy()
    simulator.restore(None, saved)
    assert np.array_equal(simulator.step(None, still).reward, expected)
    simulator.restore(None, saved, seeds=np.array([1, 2]))
    first = simulator.step(None, still).reward.copy()
    assert len({*first, *expected}) == 3  # 9 and 9 agree, 1 and 2 differ from them and from each other
    simulator.restore(None, saved, seeds=np.array([1, 2]))
    assert np.array_equal(simulator.step(None, still).reward, first)


@pytest.mark.reliability("R18")
class OwnNoise(Corridor):
    """Its reward's noise comes from a generator of its own, seeded by reset."""

    kind = np.random.default_rng

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        self.rng = type(self).kind(seed)
        return super().reset(seed=seed)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        obs, _, terminated, truncated, info = super().step(action)
        return obs, float(self.rng.normal()), terminated, truncated, info


class OldNoise(OwnNoise):
    """The same from a generator of the older kind."""

    kind = np.random.RandomState


def test_new_seeds_draw_noise_of_the_environments_own_anew() -> None:
    simulator = make(lambda: gymnasium.wrappers.TimeLimit(OwnNoise(), 6), 4)
    only, stay = np.arange(4), np.zeros((4, 2), np.int64)
    simulator.reset(None, only)
    saved = simulator.snapshot(np.array([0]))

    def rewards(seeds: list[int] | None) -> list[float]:
        simulator.restore(only, saved.take([0, 0, 0, 0]), None if seeds is None else np.array(seeds))
        return simulator.step(None, stay).reward.tolist()

    assert len(set(rewards(None))) == 1
    one, two, three, four = rewards([1, 2, 1, 3])
    assert one == three and len({one, two, four}) == 3


def test_noise_that_cannot_be_drawn_anew_is_refused() -> None:
    about = find_task(OldNoise)
    assert not about.can_restore and "draws noise from rng" in about.restore_reason


def test_frozen_lake_keeps_its_luck() -> None:
    """A slippery lake: its noise after the start is part of the snapshot."""
    simulator = make("FrozenLake-v1", 8)
    simulator.reset(None, np.arange(8))
    saved, right = simulator.snapshot(None), np.full(8, 2)
    expected = simulator.step(None, right).obs.copy()
    assert len(np.unique(expected, axis=0)) > 1
    for _ in range(3):
        simulator.restore(None, saved)
        assert np.array_equal(simulator.step(None, right).obs, expected)


@pytest.mark.reliability("R16")
def test_a_silent_reset_of_mujoco_is_reported_here_too() -> None:
    simulator = make("HumanoidStandup-v5", 2)
    simulator.reset(None, np.array([0, 1]))
    still = np.zeros((2, 17), np.float32)
    data = simulator._envs[1].unwrapped.data
    for _ in range(2):
        simulator.step(None, still)
        data.qvel[0] = 1e12
        assert simulator.step(None, still).unstable.tolist() == [False, True]
    assert not simulator.step(None, still).unstable.any()


def test_adapted_tasks_say_that_they_step_in_python() -> None:
    assert find_task(Corridor).python and not find_task("Hopper-v5").python
    assert find_task("Hopper-v5").block == 32 and find_task(Corridor).block is None


class Moody(Corridor):
    """Its step raises."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        raise RuntimeError("the motor is on fire")


def test_an_environment_that_fails_its_trial_is_known_and_told_later() -> None:
    """A fault that comes now and then must not keep a person from training; the reason bars the vine."""
    about = find_task(Moody)
    assert not about.can_restore
    assert about.restore_reason == "Moody failed when it was tried out (RuntimeError: the motor is on fire)"
    simulator = make(Moody, 1)
    simulator.reset(None, np.array([0]))
    with pytest.raises(RuntimeError, match="on fire"):
        simulator.step(None, np.array([[0, 0]]))


@pytest.mark.parametrize("made", [None, 5, "Hopper-v5", Corridor])
def test_a_callable_that_makes_no_environment_is_refused_in_a_sentence(made: object) -> None:
    with pytest.raises(UnknownTask, match=f"returned {type(made).__name__}, which is not a gymnasium.Env"):
        find_task(lambda: made)
    with pytest.raises(UnknownTask, match="not a gymnasium"):
        make(lambda: made, 2)


def test_an_environment_in_place_of_a_callable_is_refused_in_a_sentence() -> None:
    for given in (Corridor(), 3, None):
        with pytest.raises(UnknownTask, match=f"not {type(given).__name__}; for an environment"):
            find_task(given)


class Seeded(Corridor):
    """Keeps what it is seeded with; its generator takes 32 bits."""

    seeds: list[object] = []  # noqa: RUF012

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        self.seeds.append(seed)
        self.noise = np.random.RandomState(seed)
        return super().reset(seed=seed, options=options)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        obs, *rest = super().step(action)
        return obs + self.noise.normal(), *rest


@pytest.fixture
def seeds(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    monkeypatch.setattr(Seeded, "seeds", [])
    return Seeded.seeds


def test_environments_get_the_lowest_31_bits_of_a_seed(seeds: list[object]) -> None:
    simulator = make(Seeded, 4)
    seeds.clear()
    given = [3, 2**31 + 3, 2**63 - 1, 12345]
    first = simulator.reset(None, np.array(given)).copy()
    assert seeds == [3, 3, 2**31 - 1, 12345] and all(type(seed) is int for seed in seeds)
    assert np.array_equal(first[0], first[1]) and not np.array_equal(first[0], first[3])
    env = trpolab.as_gymnasium(Seeded)
    env.reset(seed=2**70 + 9)
    env.reset()
    assert seeds[-2] == 9 and 0 <= seeds[-1] < 2**31


TINY = {"iterations": 2, "steps_per_iteration": 64, "slots": 4, "hidden": (4,), "out": None, "threads": 1}


SAMPLERS: dict[str, dict[str, Any]] = {
    "single path": {},
    "whole paths": {"path.whole": True, "advantage": "centred", "path.horizon": 8},
    "vine": {"sampler": "vine", "vine.trunks": 2, "vine.trunk_length": 20, "vine.states": 5, "vine.rollout_length": 4},
    "candidates": {"method": "cem", "cem.population": 4, "path.horizon": 8},
}


@pytest.mark.parametrize("how", SAMPLERS.values(), ids=list(SAMPLERS))
def test_every_sampler_seeds_with_31_bits(seeds: list[object], monkeypatch: pytest.MonkeyPatch, how: dict) -> None:
    if how.get("sampler") == "vine":
        monkeypatch.setattr(Seeded, "step", Corridor.step)
        monkeypatch.setattr(Seeded, "reset", counted(Corridor.reset))
    session = trpolab.train(Seeded, **TINY, **how)
    trpolab.evaluate(session.policy, Seeded, episodes=3)
    assert len(seeds) > 20 and all(type(seed) is int and 0 <= seed < 2**31 for seed in seeds)


def counted(reset: Any) -> Any:
    def keeping(self: Seeded, *, seed: int | None = None, options: Any = None) -> Any:
        self.seeds.append(seed)
        return reset(self, seed=seed, options=options)

    return keeping


def test_a_past_of_an_older_version_is_relived_with_all_its_bits() -> None:
    """They handed over 63 bits, and wrote them down."""
    old, env = 2**40 + 5, Corridor()
    obs, _ = env.reset(seed=old)
    for _ in range(2):
        obs, *_ = env.step(np.array([1, 1]))
    past = {"seed": np.array([old]), "steps": np.array([2]), "actions": np.array([[2, 1]] * 2), "obs": obs[None]}
    simulator = make(Corridor, 1)
    assert len(list(simulator.relive(past))) == 2
    assert np.array_equal(simulator.past()["obs"][0], obs)


def test_slots_whose_spaces_differ_are_refused() -> None:
    sizes = itertools.chain([2] * 5, itertools.repeat(3))

    def factory() -> gymnasium.Env:
        env = Switches()
        env.action_space = Discrete(next(sizes), start=5)
        return env

    with pytest.raises(UnsupportedSpace, match=r"Switches: the action space of slot [1-9] is .*; that of slot 0 was"):
        make(factory, 8)


class Narrow(Corridor):
    """Its bounds are no numbers of 32 bits; it takes nothing from outside them."""

    action_space = Box(-0.1, np.array([0.1, np.inf]), (2,), np.float64)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        self.drift = 0.0
        return super().reset(seed=seed, options=options)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert self.action_space.contains(action) and action.dtype == np.float64 and np.isfinite(action).all()
        self.drift += float(action.sum())
        self.age += 1
        return np.array([self.drift, self.start]), self.drift, False, self.age >= 8, {}


@pytest.mark.parametrize("how", SAMPLERS, ids=list(SAMPLERS))
def test_every_sampler_hands_over_actions_of_the_space(how: str, tmp_path: Path) -> None:
    settings = TINY | SAMPLERS[how] | {"policy.log_std": 1.0, "out": tmp_path}
    session = trpolab.train(Narrow, **settings)
    assert session.history[-1]["clipped_fraction"] > 0.3
    trpolab.evaluate(session.policy, Narrow, episodes=3)
    assert trpolab.Session(Narrow, resume=session.path, iterations=3).run().progress.iteration == 3
    env = Narrow()
    obs, _ = env.reset(seed=1)
    for _ in range(9):
        obs, *_ = env.step(session.policy(obs))


def test_what_comes_to_a_simulator_from_elsewhere_is_brought_into_the_space_too() -> None:
    simulator, env = make(Narrow, 2), trpolab.as_gymnasium(Narrow)
    simulator.reset(None, np.arange(2))
    env.reset(seed=0)
    for row in ([5.0, 5.0], [-5.0, -5.0], [0.1, 3e38], [-0.1, 0.0]):
        for kind in (np.float16, np.float32, np.float64):
            simulator.step(None, np.array([row, row]).clip(-6e4, 6e4).astype(kind))
        env.step(np.array(row))

"""Our tasks as Gymnasium environments: its own checker passes, and they are the simulators' numbers bit for bit."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import ClipAction

import trpolab
from tests.simulators.contract import random_actions
from trpolab.selftest.physics import poisoned
from trpolab.settings import ConfigError
from trpolab.simulators import Atari, AtariGame, UnknownTask, find_task, make
from trpolab.simulators.environment import SimulatorEnv

IDS = {f"trpolab/{name}-v0": f"paper/{name}" for name in ("CartPole", "Swimmer", "Hopper", "Walker")}
OTHERS = ["finite/chain-8", trpolab.theory.gridworld(3, 3), "ALE/Pong-v5", "Pendulum-v1", "FrozenLake-v1", "Reacher-v5"]
# Of the task's own spaces; Gymnasium's environments of these tasks are told the same.
HARMLESS = (
    "minimum value is -infinity",
    "maximum value is infinity",
    "symmetric and normalized space",
    "having a spec",
)


def checked(env: gymnasium.Env) -> None:
    """Gymnasium's own check, with every warning that is none of the harmless ones an error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env)
    assert [str(one.message) for one in caught if not any(text in str(one.message) for text in HARMLESS)] == []


def played(env: gymnasium.Env, actions: np.ndarray, seed: int) -> list[tuple[bytes, float, bool, bool]]:
    """What an environment gives, from a reset with this seed to the end of the episode or of the actions."""
    obs, info = env.reset(seed=seed)
    assert info == {}
    trace = [(obs.tobytes(), 0.0, False, False)]
    for action in actions:
        obs, reward, terminated, truncated, info = env.step(action)
        trace.append((obs.tobytes(), reward, terminated, truncated))
        if terminated or truncated:
            break
    return trace


def simulated(task: Any, actions: np.ndarray, seed: int) -> list[tuple[bytes, float, bool, bool]]:
    """The same of our simulator."""
    simulator = make(task)
    trace = [(simulator.reset(None, np.array([seed]))[0].tobytes(), 0.0, False, False)]
    for action in actions:
        after = simulator.step(None, action[None])
        ends = bool(after.terminated[0]), bool(after.truncated[0])
        trace.append((after.obs[0].tobytes(), float(after.reward[0]), *ends))
        if any(ends):
            break
    return trace


@pytest.mark.parametrize("name", IDS)
def test_gymnasiums_checker_passes(name: str) -> None:
    checked(gymnasium.make(name).unwrapped)


@pytest.mark.parametrize("task", OTHERS, ids=str)
def test_it_passes_on_any_task(task: Any) -> None:
    checked(trpolab.as_gymnasium(task))


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("seed", [0, 7])
def test_they_are_ours_bit_for_bit(name: str, seed: int) -> None:
    task = IDS[name]
    actions = random_actions(make(task), 1001, 1, seed=seed)[:, 0]
    expected = simulated(task, actions, seed)
    assert played(gymnasium.make(name), actions, seed) == expected
    assert played(trpolab.as_gymnasium(task), actions, seed) == expected
    if task == "paper/Swimmer":  # never falls: cut by the time limit
        assert len(expected) == 1001 and expected[-1][2:] == (False, True)


@pytest.mark.parametrize("task", OTHERS, ids=str)
def test_any_task_is_ours_bit_for_bit(task: Any) -> None:
    actions = random_actions(make(task), 150, 1, seed=3)[:, 0]
    assert played(trpolab.as_gymnasium(task), actions, 5) == simulated(task, actions, 5)


@pytest.mark.parametrize("name", IDS)
def test_gymnasium_knows_what_we_know(name: str) -> None:
    about, env = find_task(IDS[name]), gymnasium.make(name)
    assert env.spec is not None and env.spec.max_episode_steps == about.time_limit
    assert (env.observation_space, env.action_space) == (about.observation_space, about.action_space)


@pytest.mark.parametrize("name", IDS)
def test_training_takes_the_fast_simulator(name: str) -> None:
    about, expected = find_task(name), find_task(IDS[name])
    assert (about.name, about.kind, about.defaults) == (expected.name, expected.kind, expected.defaults)
    assert type(make(name, 2)) is type(make(IDS[name], 2))


def test_a_run_of_an_id_is_a_run_of_the_task() -> None:
    runs = [
        trpolab.train(name, iterations=1, steps_per_iteration=512, out=None, threads=1)
        for name in ("trpolab/Swimmer-v0", "paper/Swimmer")
    ]
    assert [run.task.name for run in runs] == ["paper/Swimmer"] * 2
    assert np.array_equal(*(np.asarray(run.policy.theta) for run in runs))


def test_a_callable_goes_through_the_adapter() -> None:
    factory = lambda: trpolab.as_gymnasium("paper/CartPole")  # noqa: E731
    assert find_task(factory).kind == "gymnasium"
    session = trpolab.train(factory, iterations=1, steps_per_iteration=256, slots=2, out=None)
    assert len(session.history) == 1


def test_seeds_come_from_the_environments_own_generator() -> None:
    first, second = (trpolab.as_gymnasium("paper/Hopper") for _ in range(2))
    starts = [env.reset(seed=3)[0].tobytes() for env in (first, second)]
    starts += [env.reset()[0].tobytes() for env in (first, second)]
    assert starts[0] == starts[1] != starts[2] == starts[3]
    fresh = {trpolab.as_gymnasium("paper/Hopper").reset()[0].tobytes() for _ in range(3)}
    assert len(fresh) == 3
    assert first.reset(options={"anything": 1})[0].shape == (12,)


def test_what_it_returned_stays_as_it_was() -> None:
    env = trpolab.as_gymnasium("paper/Swimmer")
    obs, _ = env.reset(seed=0)
    kept = obs.copy()
    after = env.step(np.array([0.5, -0.5], np.float32))[0]
    assert np.array_equal(obs, kept) and not np.array_equal(after, kept)
    obs[:] = after[:] = 0
    assert env.step(np.array([0.5, -0.5], np.float32))[0].any()


@pytest.mark.parametrize(
    ("task", "action", "told"),
    [
        ("paper/Swimmer", np.zeros(3, np.float32), "actions are float32"),
        ("paper/Swimmer", np.array(["a", "b"]), "actions are"),
        ("CartPole-v1", 2, r"action = 2: must be in Discrete\(2\)"),
        ("CartPole-v1", -1, "action = -1: must be in"),
        ("CartPole-v1", 0.5, "actions are float64"),
        ("ALE/Pong-v5", [0, 0, 2], r"must be in MultiDiscrete\(\[3 3 2\]\)"),
    ],
)
def test_an_action_of_another_kind_is_refused(task: str, action: Any, told: str) -> None:
    env = trpolab.as_gymnasium(task)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(env.action_space.sample())
    env.reset(seed=0)
    with pytest.raises(ValueError, match=told):
        env.step(action)
    env.step(env.action_space.sample())


def test_actions_may_be_lists_and_numbers() -> None:
    env = trpolab.as_gymnasium("paper/Swimmer")
    env.reset(seed=0)
    listed = env.step([1, 0])[0]
    env.reset(seed=0)
    assert np.array_equal(env.step(np.array([1, 0], np.float32))[0], listed)
    env = ClipAction(trpolab.as_gymnasium("paper/CartPole"))
    env.reset(seed=0)
    clipped = env.step(np.array([90.0]))[0]
    env.reset(seed=0)
    assert np.array_equal(env.step(np.array([10.0]))[0], clipped)


def test_physics_that_blow_up_cut_the_episode() -> None:
    simulator = make("Hopper-v5")
    env = SimulatorEnv(simulator)
    before, _ = env.reset(seed=0)
    simulator.restore(None, poisoned(simulator, [0]))
    obs, reward, terminated, truncated, info = env.step(np.zeros(3, np.float32))
    assert (reward, terminated, truncated, info) == (0.0, False, True, {"unstable": True})
    assert np.array_equal(obs, before)
    assert np.isfinite(env.reset(seed=1)[0]).all()


def test_settings_are_given_by_their_names() -> None:
    env = trpolab.as_gymnasium("ALE/Pong-v5", **{"atari.pixels": "dqn", "atari.frame_skip": 2})
    assert env.observation_space.shape == (4, 84, 84)
    actions = random_actions(make("CartPole-v1"), 20, 1, seed=0)[:, 0]
    game = AtariGame("ALE/Pong-v5", Atari(pixels="dqn", frame_skip=2))
    assert played(env, actions, 0) == simulated(game, actions, 0)


@pytest.mark.parametrize(
    ("task", "settings", "told"),
    [
        ("ALE/Pong-v5", {"atari.sticky": 2.0}, "atari.sticky = 2.0: must be >= 0 and < 1"),
        ("ALE/Pong-v5", {"atari.stiky": 0.1}, "unknown setting 'atari.stiky'; did you mean atari.sticky"),
        ("paper/Hopper", {"gamma": 0.9}, "unknown setting 'gamma'"),
    ],
)
def test_other_settings_are_refused(task: str, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        trpolab.as_gymnasium(task, **settings)


def test_nothing_is_rendered() -> None:
    for make_one in (trpolab.as_gymnasium, gymnasium.make):
        task = "paper/Hopper" if make_one is trpolab.as_gymnasium else "trpolab/Hopper-v0"
        with pytest.raises(ValueError, match=r"render_mode = 'human': must be None"):
            make_one(task, render_mode="human")


def test_many_at_once() -> None:
    envs = gymnasium.make_vec("trpolab/Swimmer-v0", num_envs=3, vectorization_mode="sync")
    obs, _ = envs.reset(seed=[1, 2, 3])
    assert np.array_equal(obs, make("paper/Swimmer", 3).reset(None, np.array([1, 2, 3])))
    envs.close()


@pytest.mark.parametrize(
    "code",
    [
        "import gymnasium, trpolab; gymnasium.make('trpolab/Swimmer-v0')",
        "import trpolab, gymnasium; gymnasium.make('trpolab/Swimmer-v0')",
        "import gymnasium; gymnasium.make('trpolab:trpolab/Swimmer-v0')",
        "import importlib, trpolab; importlib.reload(trpolab); import gymnasium; gymnasium.make('trpolab/Swimmer-v0')",
    ],
)
def test_the_ids_are_there_once_the_package_is(code: str, checkout: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_an_id_near_ours_is_answered_with_the_task() -> None:
    with pytest.raises(UnknownTask, match="paper/Swimmer") as caught:
        find_task("Swimmer")
    assert "trpolab/" not in str(caught.value)
    with pytest.raises(UnknownTask, match="unknown task"):
        find_task("trpolab/Swimer-v0")
